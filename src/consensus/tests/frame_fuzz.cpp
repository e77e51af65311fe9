// A journal of any bytes. First as it is: the scan must say something and never read outside. Then
// as a ring with a log of real frames, changed by the input: what is recovered is a prefix of that
// log, and the audit's ranges cover the file.
//
// Input: byte 0 chooses; then raw sectors, or runs of (offset u24, value u8).
#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "base/le.hpp"
#include "consensus/journal.hpp"

using namespace kimberlite;
using namespace kimberlite::consensus;

namespace {

constexpr JournalLimits limits{.ring_size = 16 * sector_size, .prepare_size_max = 2 * sector_size};
using File = std::vector<std::byte>;

Superblock superblock() {
  Genesis genesis;
  genesis.cluster.fill(std::byte{1});
  Id128 id{};
  id.fill(std::byte{2});
  genesis.configuration = first_configuration(std::span(&id, 1), 1);
  Superblock first = first_superblock(genesis);
  first.view = first.log_view = ViewNumber{1};
  return first;
}

File sample(std::vector<Hash>& checksums) {
  File file(journal_size(limits.ring_size));
  PrepareHeader before = root_prepare(superblock().cluster);
  Mark mark{.sequence = 1,
            .durable = {},
            .view = ViewNumber{1},
            .cluster = before.cluster,
            .headers = {}};
  std::uint64_t at = 0;
  for (std::uint64_t op = 1; op <= 6; ++op) {
    const std::size_t sectors = 1 + op % 2;
    FrameHead head{.ring_offset = at, .durable = OpNumber{op - 1}, .prepare = before};
    head.prepare.parent = before.checksum;
    head.prepare.view = ViewNumber{1};
    head.prepare.op = OpNumber{op};
    head.prepare.timestamp = next_timestamp(before);
    head.prepare.commands = 1;
    head.prepare.size = static_cast<std::uint32_t>(sectors * sector_size - local_header_size - 50);
    seal_frame(head, std::span(file).subspan(file_offset(at), sectors * sector_size));
    before = head.prepare;
    checksums.push_back(before.checksum);
    mark.headers.push_back(before);
    at += sectors * sector_size;
  }
  mark.durable = before.op;
  encode_mark(mark, std::span<std::byte, mark_size>(file.data() + mark_size, mark_size));
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::vector<Hash> checksums;
  static const File whole = sample(checksums);
  static const Superblock first = superblock();
  if (size == 0) return 0;
  File file = whole;
  const std::span<const std::uint8_t> rest(data + 1, size - 1);
  if (data[0] == 0) {
    const Bytes raw = std::as_bytes(rest);
    std::ranges::copy(raw.first(std::min(raw.size(), file.size())), file.begin());
  } else {
    for (std::size_t i = 0; i + 4 <= rest.size(); i += 4) {
      const std::size_t offset =
          (load_le<std::uint16_t>(rest.data() + i) | std::size_t{rest[i + 2]} << 16U) % file.size();
      file[offset] = std::byte{rest[i + 3]};
    }
  }
  const ReadAt read = [&](std::uint64_t offset, MutBytes to) -> Status {
    if (offset % sector_size != 0 || to.size() % sector_size != 0 ||
        offset + to.size() > file.size()) {
      std::abort();
    }
    std::ranges::copy(Bytes(file).subspan(offset, to.size()), to.begin());
    return {};
  };
  const auto journal = recover_journal(first, limits, read);
  if (journal) {
    if (journal->frames.size() > checksums.size()) std::abort();
    for (std::size_t i = 0; i < journal->frames.size(); ++i) {
      if (journal->frames[i].checksum != checksums[i]) std::abort();
    }
  } else if (journal.error().what().empty()) {
    std::abort();
  }
  const auto audit = audit_journal(first, limits, read);
  if (!audit) std::abort();
  std::uint64_t covered = 0;
  bool clean = true;
  for (const Finding& finding : audit->findings)
    clean = clean && finding.severity == Severity::note;
  std::vector<JournalRange> ranges = audit->ranges;
  for (const JournalRange& range : ranges) {
    if (range.offset != covered || range.size == 0) std::abort();
    covered += range.size;
  }
  if (covered != file.size()) std::abort();
  if (clean && !journal) std::abort();
  return 0;
}
