// Probes (base/probe.hpp) on branches that no life of this simulator can reach, with the tests that
// take them: what `vopr run --require-probes` and the probe test do not ask of lives.
//
// Thread rule: constants.
#pragma once

#include <array>
#include <string_view>

namespace kimberlite::vopr {

struct TakenElsewhere {
  std::string_view probe;
  std::string_view where;
};

inline constexpr std::array taken_elsewhere{
    TakenElsewhere{"consensus.clock.jump",
                   "of a lone database: the engine's tests and those of consensus"},
    TakenElsewhere{"consensus.heartbeat.to_another_life",
                   "an old copy of a primary's disk: stories and lives of consensus"},
    TakenElsewhere{"consensus.recovery.forked",
                   "an old copy beside a lost disk: stories and lives of consensus"},
    TakenElsewhere{"engine.write.overtaken", "clients at once: the engine's tests (Crowd)"},
    TakenElsewhere{"engine.forward.answer_too_long",
                   "a megabyte returned tenfold: the engine's tests (Crowd)"},
    TakenElsewhere{"engine.forward.full", "nobody serves: the engine's tests (Crowd)"},
    TakenElsewhere{"engine.forward.too_old", "nobody serves: the engine's tests (Crowd)"},
    TakenElsewhere{"engine.mend.asked", "a segment rots: stories, and the engine's tests (Mend)"},
    TakenElsewhere{"engine.mend.mended", "a segment rots: stories, and the engine's tests (Mend)"},
    TakenElsewhere{"engine.mend.not_had", "nobody gives a record: stories"},
    TakenElsewhere{"engine.mend.silent", "nobody gives a record: stories"},
    TakenElsewhere{"engine.projection.damaged",
                   "a page goes bad while its replica runs: the engine's tests (ADamagedPage)"},
};

}  // namespace kimberlite::vopr
