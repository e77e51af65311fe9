// Power failures and failing disks under the whole engine, on the simulated machine.
//
// A script is run once undisturbed. Then again and again, each time losing power at another I/O
// call, or with one call failing; what is left on the disk must open, hold all that was
// acknowledged and nothing that was refused, and answer about the past as it did.
//
//   engine_tests --gtest_filter='Crash*' --every=1 --random=2000
//   engine_tests --gtest_filter='Fault*' --every=1
//
// Options: --every=N each N-th call (default: a sample), --first=N from that call on, --random=N so
// many calls of the long script, --show=1 one line a call.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "engine/verify.hpp"
#include "support/script.hpp"
#include "vopr/prng.hpp"

namespace kimberlite::engine::test {
namespace {

struct Head {
  Position position;
  Hash leaf{};
  friend bool operator==(const Head&, const Head&) = default;
};
using LogName = std::pair<TenantId, std::string>;
using Heads = std::map<LogName, Head>;

Heads heads_of(Database& database) {
  Heads heads;
  const auto status = database.status();
  EXPECT_TRUE(status) << to_string(status.error());
  if (!status) return heads;
  for (const TenantInfo& tenant : status->tenants) {
    for (const LogInfo& log : tenant.logs) {
      heads[{tenant.id, log.lane}] = {log.position, log.leaf};
    }
  }
  return heads;
}

Position position_in(const Heads& heads, const LogName& log) {
  const auto found = heads.find(log);
  return found == heads.end() ? Position{} : found->second.position;
}

// What a run did, as far as anybody may believe it.
struct Trace {
  std::vector<StepResult> results;
  std::vector<Heads> heads;  // after each step
};

// Runs steps from `first` on until the power goes or, after `patience` of them failed because the
// database has, until nobody would go on.
Trace run_script(Machine& machine, const std::vector<Step>& script, std::size_t first = 0,
                 std::size_t patience = 3) {
  Trace trace;
  for (std::size_t i = first; i < script.size(); ++i) {
    StepResult result = machine.run(script[i], i);
    const Heads heads =
        machine.is_open() && !machine.storage().frozen() ? heads_of(machine.database()) : Heads{};
    if (machine.storage().frozen()) return trace;
    const bool broken = result.refused && class_of(*result.refused) == ErrorClass::unavailable;
    trace.results.push_back(std::move(result));
    trace.heads.push_back(heads);
    if (broken && patience-- == 0) return trace;
  }
  return trace;
}

struct Reference {
  std::uint64_t seed;
  std::vector<Step> script;
  vopr::DiskImage start;
  Trace trace;
  std::vector<vopr::CallKind> kinds;  // of the run and its close, by call number − 1
  std::map<LogName, std::map<Position, Hash>> leaves;
  std::map<std::pair<std::string, Position>, std::string> dumps;  // by tenant's name
  std::map<TenantId, std::string> names;
};

// What was seen while each position was the newest.
void observe_as_it_happens(Reference& reference) {
  Machine machine{reference.seed, reference.start};
  ASSERT_TRUE(machine.open());
  Heads before;
  for (std::size_t i = 0; i < reference.script.size(); ++i) {
    static_cast<void>(machine.run(reference.script[i], i));
    if (!machine.is_open()) continue;
    const auto status = machine.database().status();
    ASSERT_TRUE(status);
    for (const TenantInfo& tenant : status->tenants) {
      if (tenant.id == TenantId{0}) continue;
      reference.names[tenant.id] = tenant.name;
      const LogInfo& data = tenant.logs.front();
      const std::pair key{tenant.name, data.position};
      if (reference.dumps.contains(key)) continue;
      const auto dump = machine.database().dump(tenant.name, data.position);
      ASSERT_TRUE(dump) << to_string(dump.error());
      reference.dumps[key] = *dump;
    }
  }
}

Reference make_reference(std::uint64_t seed, std::size_t steps) {
  Reference reference{.seed = seed, .script = make_script(seed, steps), .start = fresh_disk(seed)};
  Machine machine{seed, reference.start};
  const Status opened = machine.open();
  EXPECT_TRUE(opened) << to_string(opened.error());
  reference.trace = run_script(machine, reference.script);
  EXPECT_EQ(reference.trace.results.size(), steps);
  for (const Heads& heads : reference.trace.heads) {
    for (const auto& [log, head] : heads) reference.leaves[log][head.position] = head.leaf;
  }
  const Status closed = machine.close();
  EXPECT_TRUE(closed) << to_string(closed.error());
  reference.kinds = machine.storage().kinds();
  observe_as_it_happens(reference);
  return reference;
}

struct Statistics {
  std::uint64_t runs = 0;
  std::uint64_t answers = 0;    // about the past, compared
  std::uint64_t in_flight = 0;  // writes that were under way and turned out to be there
  std::uint64_t again = 0;      // recoveries that lost power too
  std::uint64_t replayed = 0;   // steps done again under their request id
  std::uint64_t twins = 0;      // runs repeated, and their disks equal
  std::uint64_t mended = 0;     // failures that no answer showed
  std::uint64_t findings_before_open = 0;
};

VerifyReport verified(vopr::SimStorage& storage) {
  VerifyOptions options;
  options.master = &master_key();
  options.projection = true;
  auto report = verify(storage, options);
  EXPECT_TRUE(report) << to_string(report.error());
  return report ? *std::move(report) : VerifyReport{.findings_total = 1};
}

std::string text_of_findings(const VerifyReport& report) {
  std::string text;
  for (const VerifyFinding& finding : report.findings) {
    text += fmt::format("\n{}, byte {}, record {}: {} ({} / {})", finding.file, finding.offset,
                        finding.position.value(), finding.what, finding.expected, finding.found);
  }
  return text;
}

// Verification before anybody opened the directory: of what a power failure leaves, only a sector
// that was being written may look like damage, and it is one of those that exist twice or more.
void check_unopened(const vopr::DiskImage& image, Statistics& statistics) {
  vopr::SimEnv world{5, image};
  const VerifyReport report = verified(world.storage());
  for (const VerifyFinding& finding : report.findings) {
    const bool copy =
        finding.file == "superblock" || (finding.file == "journal" && finding.offset < 8192);
    EXPECT_TRUE(copy) << text_of_findings(report);
    ++statistics.findings_before_open;
  }
}

void check_past(Machine& machine, const Reference& reference, const Heads& heads,
                std::uint64_t salt, std::size_t samples, Statistics& statistics) {
  vopr::Prng prng{salt, 5};
  for (const auto& [tenant, name] : reference.names) {
    const std::uint64_t head = position_in(heads, {tenant, "data"}).value();
    if (head == 0) continue;
    for (std::size_t i = 0; i <= samples; ++i) {
      const Position position{i == 0 ? head : 1 + prng.below(head)};
      const auto known = reference.dumps.find({name, position});
      if (known == reference.dumps.end()) continue;
      const auto dump = machine.database().dump(name, position);
      ASSERT_TRUE(dump) << to_string(dump.error());
      ASSERT_EQ(*dump, known->second) << name << " as of " << position.value();
      ++statistics.answers;
    }
  }
}

using Sums = std::map<std::string, std::vector<ProjectionSum>>;

Sums sums_of(Machine& machine) {
  Sums sums;
  const auto status = machine.database().status();
  EXPECT_TRUE(status);
  if (!status) return sums;
  for (const TenantInfo& tenant : status->tenants) {
    if (tenant.id == TenantId{0}) continue;
    auto sum = machine.database().sums(tenant.name);
    EXPECT_TRUE(sum) << to_string(sum.error());
    if (sum) sums[tenant.name] = *std::move(sum);
  }
  return sums;
}

// What may be deleted is deleted, and comes back the same.
void check_rebuild(const vopr::DiskImage& closed, const Sums& sums, const Heads& heads,
                   std::uint64_t salt) {
  vopr::DiskImage image = closed;
  for (const std::string& path : image.paths()) {
    const bool derived = path.find("projection.db") != std::string::npos ||
                         path.find("/tiles/") != std::string::npos ||
                         path.find("/nodes/") != std::string::npos || path.ends_with("/offsets");
    const bool snapshot = path.starts_with("snapshot-") && salt % 2 == 0;
    if (derived || snapshot) image.remove(path);
  }
  Machine machine{salt, image};
  const Status opened = machine.open();
  ASSERT_TRUE(opened) << to_string(opened.error());
  EXPECT_EQ(heads_of(machine.database()), heads);
  EXPECT_EQ(sums_of(machine), sums) << "a rebuilt projection differs";
  const Status shut = machine.close();
  ASSERT_TRUE(shut) << to_string(shut.error());
  const VerifyReport report = verified(machine.storage());
  EXPECT_TRUE(report.clean()) << text_of_findings(report);
}

// Everything that must hold of a disk when power went in step `done` of the reference's script.
void check_crash(const Reference& reference, std::size_t done, const vopr::DiskImage& left,
                 std::uint64_t salt, Statistics& statistics) {
  const Heads none;
  const Heads& least = done == 0 ? none : reference.trace.heads[done - 1];
  const Heads& most = reference.trace.heads[std::min(done, reference.script.size() - 1)];
  check_unopened(left, statistics);

  vopr::DiskImage image = left;
  if (salt % 3 == 0) {  // the recovery itself loses power
    std::uint64_t calls = 0;
    {
      Machine rehearsal{salt, image};
      ASSERT_TRUE(rehearsal.open());
      calls = rehearsal.storage().calls();
    }
    Machine unlucky{salt, image, {.crash_at = 1 + vopr::Prng{salt, 6}.below(calls)}};
    static_cast<void>(unlucky.open().has_value());
    static_cast<void>(unlucky.close().has_value());
    image = unlucky.storage().crash();
    ++statistics.again;
  }

  Machine machine{salt, image};
  const Status opened = machine.open();
  ASSERT_TRUE(opened) << to_string(opened.error());
  const Heads heads = heads_of(machine.database());
  for (const auto& [log, head] : heads) {
    ASSERT_GE(head.position, position_in(least, log)) << "lost, of tenant " << log.first.value();
    ASSERT_LE(head.position, position_in(most, log)) << "too much, tenant " << log.first.value();
    if (head.position > position_in(least, log)) ++statistics.in_flight;
    const auto& leaves = reference.leaves.at(log);
    const auto leaf = leaves.find(head.position);
    if (leaf != leaves.end()) {
      ASSERT_EQ(head.leaf, leaf->second) << "another log, of tenant " << log.first.value();
    }
  }
  for (const auto& [log, head] : least) {
    ASSERT_TRUE(heads.contains(log)) << "lost: tenant " << log.first.value();
  }
  ASSERT_NO_FATAL_FAILURE(check_past(machine, reference, heads, salt, 3, statistics));

  // The client comes back and repeats what it got no answer to; then life goes on.
  const std::size_t until = std::min(done + 4, reference.script.size());
  for (std::size_t i = done; i < until; ++i) {
    const Step& step = reference.script[i];
    const bool there = i == done && heads == most;
    // A transaction's statements would find its own rows; its client asks first.
    if (there && (step.kind == StepKind::transaction || step.kind == StepKind::create_tenant))
      continue;
    const StepResult result = machine.run(step, i);
    ++statistics.replayed;
    const StepResult& before = reference.trace.results[i];
    ASSERT_EQ(result.refused, before.refused)
        << "step " << i << ": " << result.error << before.error;
    ASSERT_EQ(result.position, before.position) << "step " << i;
  }
  const Heads now = heads_of(machine.database());
  if (until > 0) {
    for (const auto& [log, head] : now) {
      ASSERT_EQ(head.position, position_in(reference.trace.heads[until - 1], log))
          << "tenant " << log.first.value();
    }
  }
  ASSERT_NO_FATAL_FAILURE(check_past(machine, reference, now, salt, 1, statistics));
  const Sums sums = sums_of(machine);
  const Status closed = machine.close();
  ASSERT_TRUE(closed) << to_string(closed.error());
  const VerifyReport report = verified(machine.storage());
  ASSERT_TRUE(report.clean()) << text_of_findings(report);
  check_rebuild(machine.storage().image(), sums, now, salt);
  ++statistics.runs;
}

// The same crash, with nothing after it: what `photograph` gave is what a crash leaves.
void check_twin(const Reference& reference, std::uint64_t call, std::size_t done,
                const vopr::DiskImage& left, Statistics& statistics) {
  Machine machine{reference.seed, reference.start, {.crash_at = call}};
  Trace trace;
  if (machine.open() && !machine.storage().frozen()) trace = run_script(machine, reference.script);
  static_cast<void>(machine.close().has_value());
  ASSERT_TRUE(machine.storage().frozen());
  ASSERT_EQ(trace.results.size(), done);
  for (std::size_t i = 0; i < done; ++i) {
    ASSERT_EQ(trace.heads[i], reference.trace.heads[i]) << "two runs of one seed differ";
  }
  ASSERT_EQ(machine.storage().crash().digest(), left.digest())
      << "two runs of one seed leave different bytes";
  ++statistics.twins;
}

struct Photograph {
  std::uint64_t call;
  std::size_t done;  // steps
  vopr::DiskImage image;
};

// What a power failure at each of `calls` would leave of one run of the script.
std::vector<Photograph> photographs(const Reference& reference,
                                    const std::set<std::uint64_t>& calls) {
  std::vector<Photograph> taken;
  std::size_t done = 0;
  Machine machine{reference.seed, reference.start};
  machine.storage().photograph(calls, [&](std::uint64_t call, vopr::DiskImage image) {
    taken.push_back({call, done, std::move(image)});
  });
  EXPECT_TRUE(machine.open());
  for (; done < reference.script.size(); ++done) {
    static_cast<void>(machine.run(reference.script[done], done));
  }
  EXPECT_TRUE(machine.close());
  EXPECT_EQ(taken.size(), calls.size());
  return taken;
}

// Looks at what power lost at each of `calls` would have left; one machine runs at a time, for
// SQLite's random numbers are the process's.
void crash_at(const Reference& reference, std::set<std::uint64_t> calls, Statistics& statistics) {
  constexpr std::size_t at_a_time = 500;  // images in memory
  while (!calls.empty() && !testing::Test::HasFailure()) {
    const auto end =
        std::next(calls.begin(), static_cast<std::ptrdiff_t>(std::min(at_a_time, calls.size())));
    const std::set<std::uint64_t> some{calls.begin(), end};
    calls.erase(calls.begin(), end);
    for (const auto& [call, done, image] : photographs(reference, some)) {
      SCOPED_TRACE(fmt::format("seed {}, power lost at call {} of {}, in step {}", reference.seed,
                               call, reference.kinds.size(), done));
      if (option("--show=", 0) != 0) fmt::print(stderr, "call {}, step {}\n", call, done);
      if (call % 16 == 0) check_twin(reference, call, done, image, statistics);
      check_crash(reference, done, image, call, statistics);
      if (testing::Test::HasFailure()) return;
    }
  }
}

void report(const Statistics& statistics) {
  std::fprintf(
      stderr,
      "%llu recoveries, %llu of them twice; %llu answers about the past compared; %llu "
      "writes under way were kept; %llu steps done again; %llu disks made twice and equal; "
      "%llu failures mended unseen; %llu findings before the open\n",
      static_cast<unsigned long long>(statistics.runs),
      static_cast<unsigned long long>(statistics.again),
      static_cast<unsigned long long>(statistics.answers),
      static_cast<unsigned long long>(statistics.in_flight),
      static_cast<unsigned long long>(statistics.replayed),
      static_cast<unsigned long long>(statistics.twins),
      static_cast<unsigned long long>(statistics.mended),
      static_cast<unsigned long long>(statistics.findings_before_open));
}

TEST(Crash, AtEveryCallNothingAcknowledgedIsLost) {
  const Reference reference = make_reference(option("--seed=", 11), 320);
  ASSERT_FALSE(HasFailure());
  std::fprintf(stderr, "%zu steps, %zu I/O calls\n", reference.script.size(),
               reference.kinds.size());
  Statistics statistics;
  std::set<std::uint64_t> calls;
  const std::uint64_t every = option("--every=", 331);
  for (std::uint64_t call = option("--first=", 1); call <= reference.kinds.size(); call += every) {
    calls.insert(call);
  }
  crash_at(reference, calls, statistics);
  report(statistics);
}

TEST(Crash, AtRandomCallsOfALongRun) {
  const Reference reference = make_reference(option("--seed=", 12), option("--steps=", 2000));
  ASSERT_FALSE(HasFailure());
  std::fprintf(stderr, "%zu steps, %zu I/O calls\n", reference.script.size(),
               reference.kinds.size());
  Statistics statistics;
  vopr::Prng prng{option("--seed=", 12), 9};
  std::set<std::uint64_t> calls;
  const std::uint64_t count = option("--random=", 3);
  while (calls.size() < count) calls.insert(1 + prng.below(reference.kinds.size()));
  crash_at(reference, calls, statistics);
  report(statistics);
}

// ---- failing disks -----------------------------------------------------------------------------

bool is_write(vopr::CallKind kind) {
  switch (kind) {
    case vopr::CallKind::read:
    case vopr::CallKind::device_read:
    case vopr::CallKind::device_done:
    case vopr::CallKind::lock:
      return false;
    default:
      return true;
  }
}

// Which steps of the script left a record in the tenant's log, and where.
std::map<std::size_t, RecordInfo> steps_recorded(Database& database, const std::string& tenant,
                                                 std::size_t steps) {
  std::map<Id128, std::size_t> step_of;
  for (std::size_t i = 0; i < steps; ++i) step_of[request_id(i)] = i;
  std::map<std::size_t, RecordInfo> found;
  auto session = database.session(tenant);
  EXPECT_TRUE(session) << to_string(session.error());
  if (!session) return found;
  const auto records = (*session)->records(Position{1}, 1'000'000);
  EXPECT_TRUE(records) << to_string(records.error());
  if (!records) return found;
  std::uint64_t next = 1;
  for (const RecordInfo& record : *records) {
    EXPECT_EQ(record.position, Position{next++}) << "positions are dense";
    const auto step = step_of.find(record.request_id);
    if (step == step_of.end()) continue;
    EXPECT_TRUE(found.emplace(step->second, record).second) << "done twice: step " << step->second;
  }
  return found;
}

// Acknowledged is there, refused is not, unknown may be either; then as after a crash.
void check_fault(const Reference& reference, const Trace& trace, const vopr::DiskImage& left,
                 std::uint64_t salt, Statistics& statistics) {
  check_unopened(left, statistics);
  Machine machine{salt, left};
  const Status opened = machine.open();
  ASSERT_TRUE(opened) << to_string(opened.error());
  const auto status = machine.database().status();
  ASSERT_TRUE(status);
  std::set<std::string> there;
  std::map<std::string, std::map<std::size_t, RecordInfo>> recorded;
  for (const TenantInfo& tenant : status->tenants) {
    if (tenant.id == TenantId{0}) continue;
    there.insert(tenant.name);
    recorded[tenant.name] =
        steps_recorded(machine.database(), tenant.name, reference.script.size());
  }
  for (std::size_t i = 0; i < trace.results.size(); ++i) {
    const StepResult& result = trace.results[i];
    const Step& step = reference.script[i];
    const bool unknown = result.refused == Code::unavailable_outcome_unknown;
    if (unknown || step.kind == StepKind::reopen || step.kind == StepKind::read_now ||
        step.kind == StepKind::sign) {
      continue;
    }
    SCOPED_TRACE(fmt::format("step {}: {}", i, result.error));
    if (step.kind == StepKind::create_tenant) {
      ASSERT_TRUE(result.refused || there.contains(step.tenant));
      continue;
    }
    const auto& records = recorded[step.tenant];
    const auto record = records.find(i);
    if (result.refused || result.position == Position{}) {
      ASSERT_EQ(record, records.end()) << "refused, and yet there";
    } else {
      ASSERT_NE(record, records.end()) << "acknowledged, and lost";
      ASSERT_EQ(record->second.position, result.position);
      ASSERT_EQ(record->second.leaf, result.leaf);
      ++statistics.answers;
    }
  }
  const Heads heads = heads_of(machine.database());
  const StepResult after =
      machine.run({.kind = StepKind::append, .tenant = "main", .texts = {"after"}, .stream = "s9"},
                  reference.script.size());
  ASSERT_FALSE(after.refused) << after.error;
  const std::uint64_t head = position_in(heads, {TenantId{1}, "data"}).value();
  // A tenant's first write is preceded by the record of who its writer is.
  ASSERT_EQ(after.position, Position{head == 0 ? 2 : head + 1});
  const Heads now = heads_of(machine.database());
  const Sums sums = sums_of(machine);
  const Status closed = machine.close();
  ASSERT_TRUE(closed) << to_string(closed.error());
  const VerifyReport report = verified(machine.storage());
  ASSERT_TRUE(report.clean()) << text_of_findings(report);
  check_rebuild(machine.storage().image(), sums, now, salt);
  ++statistics.runs;
}

void fail_at(const Reference& reference, std::uint64_t call, vopr::Faults::Injection injection,
             Statistics& statistics) {
  SCOPED_TRACE(fmt::format("seed {}, {} at call {} of {}{}", reference.seed,
                           injection.failure == vopr::Failure::io ? "EIO" : "ENOSPC", call,
                           reference.kinds.size(), injection.from_then_on ? " and all later" : ""));
  if (option("--show=", 0) != 0) {
    std::fprintf(stderr, "call %llu\n", static_cast<unsigned long long>(call));
  }
  injection.call = call;
  Machine machine{reference.seed, reference.start, {.injections = {injection}}};
  Trace trace;
  const Status opened = machine.open();
  if (opened) {
    std::size_t beyond = 0;  // some steps beyond the one that met the failure are enough
    for (std::size_t i = 0; i < reference.script.size() && beyond < 6; ++i) {
      trace.results.push_back(machine.run(reference.script[i], i));
      if (machine.storage().calls() >= call) ++beyond;
      if (trace.results.back().refused == Code::internal_bug) FAIL() << trace.results.back().error;
    }
  }
  const bool closed = machine.close().has_value();
  bool told = !opened || !closed;
  for (std::size_t i = 0; i < trace.results.size(); ++i) {
    told |= trace.results[i].refused != reference.trace.results[i].refused;
  }
  // One failed write to a projection is nobody's concern: it is derived, and derived again at once.
  // Nor is a file that was to go and did not: the next checkpoint or open removes it.
  const vopr::CallKind kind = reference.kinds[call - 1];
  if (!told) {
    const bool harmless = kind == vopr::CallKind::write || kind == vopr::CallKind::sync ||
                          kind == vopr::CallKind::truncate || kind == vopr::CallKind::remove;
    ASSERT_TRUE(harmless && !injection.from_then_on) << "nobody was told";
    ++statistics.mended;
  }
  // The process ends; or the machine does too, with all that was not synced.
  const vopr::DiskImage left =
      call % 2 == 0 ? machine.storage().image() : machine.storage().crash();
  check_fault(reference, trace, left, call, statistics);
}

TEST(Fault, AtEveryWriteAnErrorAndNothingLost) {
  const Reference reference = make_reference(option("--seed=", 11), 320);
  ASSERT_FALSE(HasFailure());
  Statistics statistics;
  const std::uint64_t every = option("--every=", 701);
  std::uint64_t writes = 0;
  for (std::uint64_t call = 1; call <= reference.kinds.size(); ++call) {
    if (!is_write(reference.kinds[call - 1])) continue;
    ++writes;
    if (call < option("--first=", 1) || (writes - 1) % every != 0) continue;
    for (const vopr::Failure failure : {vopr::Failure::io, vopr::Failure::disk_full}) {
      const bool full = failure == vopr::Failure::disk_full;
      if (full && !vopr::can_be_disk_full(reference.kinds[call - 1])) continue;
      for (const bool lasting : {false, true}) {
        fail_at(reference, call, {.failure = failure, .from_then_on = lasting}, statistics);
        if (HasFailure()) return report(statistics);
      }
    }
  }
  std::fprintf(stderr, "%llu writes among %zu I/O calls\n", static_cast<unsigned long long>(writes),
               reference.kinds.size());
  report(statistics);
}

TEST(Crash, TheSameSeedLeavesTheSameBytes) {
  const auto script = make_script(21, 60);
  std::vector<Hash> closed;
  std::vector<Hash> crashed;
  for (int i = 0; i < 2; ++i) {
    Machine machine{21, fresh_disk(21)};
    ASSERT_TRUE(machine.open());
    static_cast<void>(run_script(machine, script));
    ASSERT_TRUE(machine.close());
    closed.push_back(machine.storage().image().digest());
    Machine unlucky{21, fresh_disk(21), {.crash_at = machine.storage().calls() / 2}};
    ASSERT_TRUE(unlucky.open());
    static_cast<void>(run_script(unlucky, script));
    static_cast<void>(unlucky.close().has_value());
    crashed.push_back(unlucky.storage().crash().digest());
  }
  EXPECT_EQ(closed[0], closed[1]);
  EXPECT_EQ(crashed[0], crashed[1]);
  EXPECT_NE(closed[0], crashed[0]);
}

// Before there is a file layer for it, even: what is left of a projection whose key nobody has is
// to be removed first.
TEST(Open, ADiskThatRefusesToRemoveAProjectionIsAnError) {
  vopr::SimEnv before{1};
  ASSERT_TRUE(Database::create(before.env(), master_key(), create_options()));
  // It dies before a checkpoint has the key.
  const auto first = Database::open(before.env(), master_key(), open_options());
  ASSERT_TRUE(first && (*first)->create_tenant("clinic", {}));
  const vopr::DiskImage image = before.storage().image();
  ASSERT_TRUE(before.storage().contains("tenants/2/projection.db"));
  vopr::SimEnv world{2, image};
  world.storage().on_call([](vopr::CallKind kind, std::string_view path) {
    const bool refused = kind == vopr::CallKind::remove && path.contains("projection.db");
    return vopr::Strike{.failure = refused ? std::optional{vopr::Failure::io} : std::nullopt};
  });
  const auto opened = Database::open(world.env(), master_key(), open_options());
  ASSERT_TRUE(opened) << to_string(opened.error());
  const auto session = (*opened)->session("clinic");
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code(), Code::unavailable_io) << to_string(session.error());
}

TEST(Status, SaysWhyAReplicaFailed) {
  vopr::SimEnv world{1};
  ASSERT_TRUE(Database::create(world.env(), master_key(), create_options()));
  const auto database = Database::open(world.env(), master_key(), open_options()).value();
  EXPECT_TRUE(database->status()->notes.empty());
  world.storage().on_call([](vopr::CallKind kind, std::string_view path) {
    const bool refused = kind == vopr::CallKind::device_write && path.contains("journal");
    return vopr::Strike{.failure = refused ? std::optional{vopr::Failure::io} : std::nullopt};
  });
  EXPECT_FALSE(database->create_tenant("clinic", {}));
  const auto status = database->status();
  ASSERT_TRUE(status) << to_string(status.error());
  EXPECT_EQ(status->state, "failed");
  ASSERT_EQ(status->notes.size(), 1U);
  EXPECT_TRUE(status->notes[0].starts_with("unavailable.io: ")) << status->notes[0];
}

}  // namespace
}  // namespace kimberlite::engine::test
