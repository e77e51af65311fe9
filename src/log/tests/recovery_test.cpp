#include <gtest/gtest.h>

#include "made_log.hpp"
#include "record/frame.hpp"

namespace kimberlite::log {
namespace {

using made::Heads;

constexpr made::Shape shape{.epoch_records = 40};
constexpr std::uint64_t checkpoint_at = 55;
constexpr std::uint64_t end_at = 130;

std::string last_segment() { return "tenants/7/data/00000000000000000121.segment"; }

// What a run does up to a checkpoint, and then on without another.
Status run(env::Storage& storage, Heads& heads) {
  auto log = TenantLog::open(storage, made::name, made::log_id(0), {});
  if (!log) return log.error();
  KIMBERLITE_CHECK(made::extend(**log, heads, checkpoint_at, 0, shape));
  KIMBERLITE_CHECK((*log)->flush());
  KIMBERLITE_CHECK(storage.sync_all());
  for (std::uint64_t p = checkpoint_at; p <= end_at; p += 3) {
    KIMBERLITE_CHECK(made::extend(**log, heads, p, 0, shape));
    KIMBERLITE_CHECK((*log)->flush());
  }
  return made::extend(**log, heads, end_at, 0, shape);
}

// Replays what the journal has behind the checkpoint.
Status recover(env::Storage& storage, Heads heads, std::uint64_t end = end_at, unsigned seed = 0) {
  auto log = TenantLog::open(storage, made::name, made::log_id(1), heads[checkpoint_at]);
  if (!log) return log.error();
  KIMBERLITE_CHECK(made::extend(**log, heads, end, seed, shape));
  KIMBERLITE_CHECK((*log)->settle());
  return storage.sync_all();
}

vopr::DiskImage unbroken(Heads& heads) {
  vopr::SimEnv world{0};
  EXPECT_TRUE(run(world.storage(), heads).has_value());
  EXPECT_TRUE(recover(world.storage(), heads).has_value());
  return world.storage().image();
}

// Power lost at every call behind the checkpoint, and what is lost chosen by several seeds.
TEST(Recovery, GivesTheSameBytesAsARunThatNeverCrashed) {
  Heads heads{{}};
  const vopr::DiskImage expected = unbroken(heads);
  vopr::SimEnv counted{0};
  Heads again{{}};
  ASSERT_TRUE(run(counted.storage(), again).has_value());
  const auto& kinds = counted.storage().kinds();
  const auto synced = std::ranges::find(kinds, vopr::CallKind::sync_all);
  const auto first = static_cast<std::uint64_t>(synced - kinds.begin()) + 2;
  ASSERT_LT(first + 30, kinds.size());
  std::size_t crashes = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    for (std::uint64_t call = first; call <= kinds.size() + 1; ++call) {
      vopr::SimEnv crashing{seed, {}, {.crash_at = call}};
      Heads unused{{}};
      (void)run(crashing.storage(), unused);
      const vopr::DiskImage survived = crashing.storage().crash();

      vopr::SimEnv after{seed + 100, survived};
      // Before anything is opened: the tail is torn, and that is no finding.
      VerifyOptions options;
      options.at_least = heads[checkpoint_at];
      const VerifyReport report = made::verified(after.storage(), options);
      ASSERT_TRUE(report.clean()) << made::describe(report);
      ASSERT_GE(report.records, checkpoint_at);

      const Status recovered = recover(after.storage(), heads);
      ASSERT_TRUE(recovered.has_value())
          << to_string(recovered.error()) << " seed " << seed << " call " << call;
      made::expect_clean(after.storage(), heads[end_at]);
      ASSERT_EQ(after.storage().image().digest(), expected.digest())
          << "seed " << seed << " call " << call;
      ++crashes;
    }
  }
  EXPECT_GT(crashes, 200U);
}

TEST(Recovery, CutsOffWhatIsTorn) {
  Heads heads{{}};
  vopr::DiskImage image = unbroken(heads);
  vopr::SimEnv shorter{0};
  Heads unused{{}};
  ASSERT_TRUE(run(shorter.storage(), unused).has_value());
  ASSERT_TRUE(recover(shorter.storage(), heads).has_value());
  // The last record, its first bytes gone.
  const std::uint64_t begins = segment_header_size + heads[129].bytes - heads[120].bytes;
  image.flip(last_segment(), begins + 70);
  vopr::SimEnv world{2, image};
  ASSERT_TRUE(recover(world.storage(), heads, 129).has_value());
  EXPECT_EQ(world.storage().image().size(last_segment()), begins);
  made::expect_clean(world.storage(), heads[129]);
}

TEST(Recovery, RaisesAnAlarmForARecordTheJournalTellsOtherwise) {
  Heads heads{{}};
  const vopr::DiskImage image = unbroken(heads);
  vopr::SimEnv world{2, image};
  Heads other{heads.begin(), heads.begin() + checkpoint_at + 1};
  const Status status = recover(world.storage(), other, 60, /*seed=*/5);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code(), Code::integrity_frame);
  EXPECT_NE(status.error().where().find("position 56"), std::string::npos)
      << status.error().where();
  EXPECT_EQ(world.storage().image().digest(), image.digest());  // nothing was overwritten
}

// Records that only a journal can have brought there, and that it does not have any more.
TEST(Recovery, RaisesAnAlarmForARecordTheJournalLost) {
  Heads heads{{}};
  const vopr::DiskImage image = unbroken(heads);
  for (const std::uint64_t end : {checkpoint_at, std::uint64_t{79}, std::uint64_t{80},
                                  std::uint64_t{100}, std::uint64_t{129}}) {
    vopr::SimEnv world{2, image};
    const Status status = recover(world.storage(), heads, end);
    ASSERT_FALSE(status.has_value()) << end;
    EXPECT_EQ(status.error().code(), Code::integrity_journal_lost);
  }
}

// Every I/O call fails once; the same call of the log's is made again.
TEST(Recovery, AFailedCallMayBeMadeAgain) {
  Heads heads{{}};
  vopr::SimEnv whole{0};
  {
    const auto log = made::open(whole.storage());
    ASSERT_TRUE(made::extend(*log, heads, end_at, 0, shape).has_value());
    ASSERT_TRUE(log->settle().has_value());
  }
  const Hash expected = whole.storage().image().digest();
  for (const vopr::Failure failure : {vopr::Failure::disk_full, vopr::Failure::io}) {
    for (std::uint64_t call = 1; call <= whole.storage().calls(); ++call) {
      vopr::SimEnv world{call, {}, {.injections = {{.call = call, .failure = failure}}}};
      auto log = TenantLog::open(world.storage(), made::name, made::log_id(0), {});
      if (!log) log = TenantLog::open(world.storage(), made::name, made::log_id(0), {});
      ASSERT_TRUE(log.has_value());
      Heads again{{}};
      const auto twice = [](auto step) { return step().has_value() || step().has_value(); };
      ASSERT_TRUE(twice([&] { return made::extend(**log, again, end_at, 0, shape); })) << call;
      ASSERT_TRUE(twice([&] { return (*log)->settle(); })) << call;
      ASSERT_EQ(world.storage().image().digest(), expected) << call;
    }
  }
}

}  // namespace
}  // namespace kimberlite::log
