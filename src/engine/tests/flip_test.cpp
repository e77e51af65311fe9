// Every byte of every file of a data directory, flipped one at a time: the verifier finds it and
// names the file and the record, or the inspector lists the byte as one that nobody reads.
//
// Two directories: one closed as it should be, and one whose process was killed, with prepares in
// its journal that no checkpoint holds. Of the ring's unused and stale sectors one byte each.
//
//   engine_tests --gtest_filter='Flip*' --every=1
//
// Options: --every=N each N-th byte (default: a sample), --first=N from that one on. The first byte
// of each range the inspector names is always among them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

#include "base/limits.hpp"
#include "engine/anchoring.hpp"
#include "engine/verify.hpp"
#include "record/frame.hpp"
#include "support/script.hpp"
#include "vopr/prng.hpp"

namespace kimberlite::engine::test {
namespace {

VerifyReport verified(vopr::SimStorage& storage) {
  VerifyOptions options;
  options.master = &master_key();
  options.projection = true;
  auto report = verify(storage, options);
  EXPECT_TRUE(report) << to_string(report.error());
  return report ? *std::move(report) : VerifyReport{};
}

struct Byte {
  std::string path;
  std::uint64_t offset;
  std::string what;   // the inspector's word for it
  bool unused;        // the inspector says so
  Position position;  // of the record it belongs to, in a segment
  bool first;         // of its range
};

// The records of a segment by where their frames begin.
std::map<std::uint64_t, Position> records_of(const Inspection& inspection) {
  std::map<std::uint64_t, Position> records;
  for (const FileRange& range : inspection.ranges) {
    constexpr std::string_view record = "record ";
    std::uint64_t position = 0;
    if (range.what.starts_with(record)) {
      const char* const digits = range.what.data() + record.size();
      const char* const end = range.what.data() + range.what.size();
      const auto number = std::from_chars(digits, end, position);
      if (number.ptr == end || *number.ptr != ',') position = 0;
    }
    records.emplace(range.offset, Position{position});
  }
  return records;
}

// All bytes there are to flip.
std::vector<Byte> bytes_of(const vopr::DiskImage& image) {
  vopr::SimEnv world{5, image};
  std::vector<Byte> bytes;
  for (const std::string& path : image.paths()) {
    const auto inspection = inspect(world.storage(), path, &master_key());
    EXPECT_TRUE(inspection) << path << ": " << to_string(inspection.error());
    if (!inspection) continue;
    EXPECT_TRUE(inspection->findings.empty()) << path;
    std::uint64_t next = 0;
    const bool segment = inspection->kind == "segment";
    const auto records = segment ? records_of(*inspection) : std::map<std::uint64_t, Position>{};
    for (const FileRange& range : inspection->ranges) {
      EXPECT_EQ(range.offset, next) << path << ": the inspector leaves bytes out";
      next = range.offset + range.size;
      const std::uint64_t step = range.unused ? sector_size : 1;
      const Position position = segment ? records.at(range.offset) : Position{};
      for (std::uint64_t at = range.offset; at < next; at += step) {
        bytes.push_back({path, at, range.what, range.unused, position, at == range.offset});
      }
    }
    EXPECT_EQ(next, image.size(path)) << path << ": the inspector leaves bytes out";
  }
  return bytes;
}

bool listed_unused(vopr::SimStorage& storage, const Byte& byte) {
  const auto inspection = inspect(storage, byte.path, &master_key());
  if (!inspection) return false;
  return std::ranges::any_of(inspection->ranges, [&](const FileRange& range) {
    return range.unused && byte.offset >= range.offset && byte.offset - range.offset < range.size;
  });
}

struct Found {
  std::uint64_t findings = 0;
  std::uint64_t notes = 0;
  std::uint64_t unused = 0;
  std::uint64_t cut = 0;  // at the end of a write-ahead log: unused from then on
};

void flip(const vopr::DiskImage& image, const Byte& byte, std::size_t notes, Found& found) {
  SCOPED_TRACE(fmt::format("{}, byte {}, {}", byte.path, byte.offset, byte.what));
  vopr::Prng prng{byte.offset, 3};
  const auto mask = static_cast<std::byte>(prng.coin() ? 1U << prng.below(8) : 0xffU);
  vopr::DiskImage flipped = image;
  flipped.flip(byte.path, byte.offset, mask);
  vopr::SimEnv world{5, flipped};
  const VerifyReport report = verified(world.storage());
  std::string all;
  bool named = false;
  bool placed = byte.position == Position{};
  for (const VerifyFinding& finding : report.findings) {
    all += fmt::format("\n{}, byte {}, record {}: {}", finding.file, finding.offset,
                       finding.position.value(), finding.what);
    if (finding.file != byte.path) continue;
    named = true;
    placed |= finding.position == byte.position;
  }
  if (named) {
    ++found.findings;
    EXPECT_TRUE(placed) << "the record is not named:" << all;
    EXPECT_FALSE(byte.unused) << all;
    return;
  }
  EXPECT_TRUE(report.findings.empty()) << "another file is blamed:" << all;
  if (byte.unused) {
    ++found.unused;
    return;
  }
  for (const std::string& note : report.notes) all += "\nnote: " + note;
  // What stands behind the last checkpoint stands in the journal too.
  const bool noted = report.notes.size() > notes &&
                     std::ranges::any_of(report.notes, [&](const std::string& note) {
                       return note.starts_with(byte.path);
                     });
  if (noted) {
    ++found.notes;
    return;
  }
  // The end of a write-ahead log cannot be told from one that a power failure cut; the projection
  // takes what it lost from the log again.
  if (byte.path.ends_with("-wal") && listed_unused(world.storage(), byte)) {
    ++found.cut;
    return;
  }
  ADD_FAILURE() << "not found" << all;
}

void flip_all(const vopr::DiskImage& image, std::string_view name) {
  std::size_t notes = 0;
  {
    vopr::SimEnv world{5, image};
    const VerifyReport report = verified(world.storage());
    ASSERT_TRUE(report.clean());
    notes = report.notes.size();
  }
  const std::vector<Byte> bytes = bytes_of(image);
  ASSERT_GT(bytes.size(), 50'000U);
  Found found;
  std::uint64_t flips = 0;
  const std::uint64_t every = option("--every=", 9973);
  for (std::uint64_t i = option("--first=", 0); i < bytes.size(); ++i) {
    const Byte& byte = bytes[static_cast<std::size_t>(i)];
    if (i % every != 0 && !byte.first) continue;
    flip(image, byte, notes, found);
    ++flips;
    if (testing::Test::HasFailure()) break;
  }
  fmt::print(stderr,
             "{}: {} files, {} bytes to flip, {} flipped: {} found, {} noted as made again from "
             "the journal, {} listed as unused, {} at the cut end of a write-ahead log\n",
             name, image.paths().size(), bytes.size(), flips, found.findings, found.notes,
             found.unused, found.cut);
}

// Runs steps [first, last) of the script.
void run_steps(Machine& machine, const std::vector<Step>& script, std::size_t first,
               std::size_t last) {
  for (std::size_t i = first; i < last; ++i) static_cast<void>(machine.run(script[i], i));
}

// So that there is a file of heads and one of anchors too.
void anchor_main(Machine& machine) {
  const auto session = machine.database().session("main");
  ASSERT_TRUE(session) << to_string(session.error());
  vopr::SimEnv elsewhere{1};
  for (std::uint64_t now = 1; now <= 2; ++now) {
    const auto anchor =
        anchor_in_directory(**session, elsewhere.storage(), "anchors", TimestampUs{now});
    ASSERT_TRUE(anchor) << to_string(anchor.error());
  }
}

TEST(Flip, EveryByteOfAClosedDirectory) {
  Machine machine{31, fresh_disk(31)};
  ASSERT_TRUE(machine.open());
  run_steps(machine, make_script(31, 10), 0, 10);
  ASSERT_NO_FATAL_FAILURE(anchor_main(machine));
  ASSERT_TRUE(machine.close());
  flip_all(machine.storage().image(), "closed");
}

TEST(Flip, EveryByteOfADirectoryWhoseProcessWasKilled) {
  Machine machine{32, fresh_disk(32)};
  ASSERT_TRUE(machine.open());
  const auto script = make_script(34, 26);
  run_steps(machine, script, 0, 10);
  ASSERT_TRUE(machine.close());  // so that the keystore has the keys of every tenant
  ASSERT_TRUE(machine.open());
  run_steps(machine, script, 10, 26);
  ASSERT_TRUE(machine.is_open());
  ASSERT_NO_FATAL_FAILURE(anchor_main(machine));
  const auto journal = inspect(machine.storage(), "journal");
  ASSERT_TRUE(journal);
  ASSERT_GT(std::ranges::count_if(
                journal->ranges,
                [](const FileRange& range) { return range.what.starts_with("live frame"); }),
            4);
  flip_all(machine.storage().image(), "killed");
}

// The keys of a tenant made since the last checkpoint are in the journal alone.
TEST(Flip, AProjectionThatCannotBeAuthenticatedIsNamed) {
  Machine machine{33, fresh_disk(33)};
  ASSERT_TRUE(machine.open());
  const StepResult made = machine.run({.kind = StepKind::create_tenant, .tenant = "late"}, 0);
  ASSERT_FALSE(made.refused) << made.error;
  const StepResult table = machine.run({.tenant = "late", .texts = {"CREATE TABLE t (a TEXT)"}}, 1);
  ASSERT_FALSE(table.refused) << table.error;
  vopr::SimEnv world{5, machine.storage().image()};
  const VerifyReport report = verified(world.storage());
  EXPECT_TRUE(report.clean());
  EXPECT_TRUE(std::ranges::any_of(report.notes, [](const std::string& note) {
    return note.starts_with("tenants/2/projection.db: ");
  }));
}

}  // namespace
}  // namespace kimberlite::engine::test
