// layers: all
// expect: Snapshot. has no member named .execute
#include "kimberlite/kimberlite.hpp"

namespace kimberlite {

bool use(Session& session) {
  Snapshot then = session.as_of(Position{3});
#ifdef KIMBERLITE_CONTROL
  return then.query<std::int64_t>("SELECT 1").has_value();
#else
  return then.execute(Write{}, "DELETE FROM t").has_value();
#endif
}

}  // namespace kimberlite
