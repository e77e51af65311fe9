#include "consensus/superblock.hpp"

#include <algorithm>
#include <optional>

#include "base/assert.hpp"
#include "base/le.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::consensus {
namespace {

constexpr std::uint32_t superblock_magic = 0x3153424B;  // "KBS1"
constexpr std::size_t identity_at = 36;
constexpr std::size_t checkpoint_at = 152;
constexpr std::size_t members_at = 360;
constexpr std::size_t incarnations_at = members_at + members_max * sizeof(Id128);
constexpr std::size_t view_headers_at = incarnations_at + members_max * sizeof(std::uint64_t);
constexpr std::size_t headers_max_end = view_headers_at + view_headers_max * prepare_header_size;
constexpr std::size_t view_durable_at = headers_max_end;
constexpr std::size_t words_from_at = view_durable_at + sizeof(std::uint64_t);
constexpr std::size_t tokens_at = words_from_at + sizeof(std::uint64_t);
constexpr std::size_t own_tokens_at = tokens_at + members_max * sizeof(std::uint64_t);
constexpr std::size_t configuration_op_at = own_tokens_at + lives_kept * sizeof(std::uint64_t);
constexpr std::size_t self_at = configuration_op_at + sizeof(std::uint64_t);
constexpr std::size_t fields_end = self_at + sizeof(Id128);
static_assert(incarnations_at == 568 && view_headers_at == 672 && view_durable_at == 3744);
static_assert(tokens_at == 3760 && own_tokens_at == 3864 && configuration_op_at == 4056);
static_assert(fields_end <= sector_size);

using Sector = std::span<const std::byte, sector_size>;
using HeaderBytes = std::span<const std::byte, prepare_header_size>;

template <std::size_t N>
std::array<std::byte, N> take(const std::byte* from) {
  std::array<std::byte, N> value;
  std::copy_n(from, N, value.begin());
  return value;
}

template <std::size_t N>
void put(std::byte* to, const std::array<std::byte, N>& value) {
  std::ranges::copy(value, to);
}

std::uint64_t word(const std::byte* from) { return load_le<std::uint64_t>(from); }

Error wrong(std::string_view what) { return Error{Code::integrity_superblock, "{}", what}; }

void encode_checkpoint(const Checkpoint& checkpoint, std::byte* to) {
  store_le(to, checkpoint.op.value());
  store_le(to + 8, checkpoint.next_timestamp.value());
  store_le(to + 16, checkpoint.ring_offset);
  put(to + 32, checkpoint.epoch_key);
  put(to + 48, checkpoint.header_checksum);
  put(to + 80, checkpoint.snapshot);
  put(to + 112, checkpoint.keystore);
  put(to + 144, checkpoint.heads);
  put(to + 176, checkpoint.state);
}

Checkpoint decode_checkpoint(const std::byte* from) {
  return {.op = OpNumber{word(from)},
          .header_checksum = take<32>(from + 48),
          .next_timestamp = TimestampUs{word(from + 8)},
          .ring_offset = word(from + 16),
          .snapshot = take<32>(from + 80),
          .keystore = take<32>(from + 112),
          .epoch_key = take<16>(from + 32),
          .heads = take<32>(from + 144),
          .state = take<32>(from + 176)};
}

// All of a copy but its number and checksum.
void encode_common(const Superblock& superblock, std::byte* at) {
  store_le(at + 36, superblock_magic);
  store_le(at + 40, format_version);
  store_le(at + 42, superblock.configuration.voters);
  at[44] = std::byte{superblock.replica};
  at[45] = static_cast<std::byte>(superblock.view_headers.size());
  at[46] = static_cast<std::byte>(superblock.standing);
  store_le(at + 48, superblock.sequence);
  put(at + 56, superblock.parent);
  put(at + 88, superblock.cluster);
  store_le(at + 104, superblock.configuration.epoch);
  store_le(at + configuration_op_at, superblock.configuration.op.value());
  put(at + self_at, superblock.self);
  store_le(at + 112, superblock.incarnation);
  store_le(at + 120, superblock.view.value());
  store_le(at + 128, superblock.log_view.value());
  store_le(at + 136, superblock.sync_from.value());
  store_le(at + 144, superblock.sync_to.value());
  encode_checkpoint(superblock.checkpoint, at + checkpoint_at);
  for (std::size_t i = 0; i < members_max; ++i) {
    put(at + members_at + i * sizeof(Id128), superblock.configuration.members[i]);
    const LifeId& seen = superblock.lives_seen[i];
    store_le(at + incarnations_at + i * sizeof(std::uint64_t), seen.incarnation);
    store_le(at + tokens_at + i * sizeof(std::uint64_t), seen.token);
  }
  for (std::size_t i = 0; i < lives_kept; ++i) {
    store_le(at + own_tokens_at + i * sizeof(std::uint64_t), superblock.tokens[i]);
  }
  for (std::size_t i = 0; i < superblock.view_headers.size(); ++i) {
    PrepareHeader header = superblock.view_headers[i];
    encode_prepare(header,
                   std::span<std::byte, prepare_header_size>(
                       at + view_headers_at + i * prepare_header_size, prepare_header_size));
  }
  store_le(at + view_durable_at, superblock.view_durable.value());
  store_le(at + words_from_at, superblock.words_from.value());
}

// `to` holds what all copies have in common.
void seal_copy(std::uint32_t copy, std::span<std::byte, sector_size> to) {
  store_le(to.data() + 32, copy);
  put(to.data(), crypto::blake3(Bytes(to.subspan(32))));
}

bool is_consistent(const Superblock& superblock) {
  const Checkpoint& checkpoint = superblock.checkpoint;
  const OpNumber newest = superblock.view_headers.empty()
                              ? checkpoint.op
                              : std::max(checkpoint.op, superblock.view_headers.back().op);
  return superblock.sequence > 0 && is_possible(superblock.configuration) &&
         superblock.replica < members_max && superblock.self != Id128{} &&
         superblock.log_view <= superblock.view && superblock.sync_from <= superblock.sync_to &&
         checkpoint.ring_offset % sector_size == 0 &&
         checkpoint.next_timestamp.value() < timestamp_max && superblock.view_durable <= newest &&
         superblock.words_from <= superblock.view;
}

Status decode_view_headers(Superblock& superblock, std::size_t count, Sector from) {
  for (std::size_t i = 0; i < count; ++i) {
    const HeaderBytes bytes(from.data() + view_headers_at + i * prepare_header_size,
                            prepare_header_size);
    KIMBERLITE_TRY(const PrepareHeader header, decode_prepare(bytes));
    if (i > 0 && !follows(superblock.view_headers.back(), header)) {
      return wrong("the view headers of a superblock do not chain");
    }
    if (header.cluster != superblock.cluster || header.view > superblock.view) {
      return wrong("a view header of a superblock is not of its log");
    }
    superblock.view_headers.push_back(header);
  }
  return {};
}

Hash identity_of(Bytes copy) { return crypto::blake3(copy.subspan(identity_at)); }

}  // namespace

Superblock first_superblock(const Genesis& genesis) {
  Superblock superblock;
  superblock.sequence = 1;
  superblock.cluster = genesis.cluster;
  superblock.configuration = genesis.configuration;
  superblock.replica = genesis.replica;
  superblock.self = genesis.configuration.members.at(genesis.replica);
  if (genesis.anew) {
    superblock.standing = Standing::lost;
    superblock.incarnation = std::max(lives_gap, genesis.anew->value());
  }
  superblock.checkpoint = {.op = genesis.op,
                           .header_checksum = genesis.op == OpNumber{0}
                                                  ? root_prepare(genesis.cluster).checksum
                                                  : genesis.state,
                           .next_timestamp = genesis.next_timestamp,
                           .ring_offset = 0,
                           .snapshot = genesis.snapshot,
                           .keystore = genesis.keystore,
                           .epoch_key = genesis.epoch_key,
                           .heads = genesis.heads,
                           .state = genesis.state};
  KIMBERLITE_ASSERT(is_consistent(superblock));
  return superblock;
}

void encode_superblock(const Superblock& superblock, std::span<std::byte, superblock_size> to) {
  KIMBERLITE_ASSERT(is_consistent(superblock));
  KIMBERLITE_ASSERT(superblock.view_headers.size() <= view_headers_max);
  std::ranges::fill(to.first<sector_size>(), std::byte{0});
  encode_common(superblock, to.data());
  for (std::uint32_t copy = 0; copy < superblock_copies; ++copy) {
    const std::span<std::byte, sector_size> at(to.data() + copy * sector_size, sector_size);
    if (copy > 0) std::ranges::copy(to.first<sector_size>(), at.begin());
    seal_copy(copy, at);
  }
}

Hash superblock_identity(const Superblock& superblock) {
  std::array<std::byte, sector_size> bytes{};
  encode_common(superblock, bytes.data());
  return identity_of(bytes);
}

Result<Superblock> decode_superblock_copy(Sector from, std::uint32_t copy) {
  const std::byte* const at = from.data();
  const Hash stored = take<32>(at);
  const Hash computed = crypto::blake3(from.subspan(32));
  if (stored != computed) {
    return Error{Code::integrity_superblock, "the checksum of a superblock copy is wrong"}.why(
        "{} is written, {} was computed", to_hex(Bytes(stored).first(8)),
        to_hex(Bytes(computed).first(8)));
  }
  if (load_le<std::uint32_t>(at + 36) != superblock_magic) {
    return wrong("a superblock copy does not start as one");
  }
  const auto version = load_le<std::uint16_t>(at + 40);
  if (version > format_version) {
    return Error{Code::unavailable_version, "the directory has format {}", version}
        .why("this program knows formats up to {}", format_version)
        .next("use a newer release");
  }
  const auto headers = std::to_integer<std::size_t>(at[45]);
  Superblock superblock;
  superblock.configuration.voters = load_le<std::uint16_t>(at + 42);
  superblock.replica = std::to_integer<std::uint8_t>(at[44]);
  superblock.sequence = word(at + 48);
  superblock.parent = take<32>(at + 56);
  superblock.cluster = take<16>(at + 88);
  superblock.configuration.epoch = word(at + 104);
  superblock.configuration.op = OpNumber{word(at + configuration_op_at)};
  superblock.self = take<16>(at + self_at);
  superblock.incarnation = word(at + 112);
  superblock.view = ViewNumber{word(at + 120)};
  superblock.log_view = ViewNumber{word(at + 128)};
  superblock.sync_from = OpNumber{word(at + 136)};
  superblock.sync_to = OpNumber{word(at + 144)};
  superblock.checkpoint = decode_checkpoint(at + checkpoint_at);
  if (headers > view_headers_max) {
    return wrong("a superblock copy counts more headers than it can hold");
  }
  for (std::size_t i = 0; i < members_max; ++i) {
    superblock.configuration.members[i] = take<16>(at + members_at + i * sizeof(Id128));
    superblock.lives_seen[i] = {
        .incarnation = word(at + incarnations_at + i * sizeof(std::uint64_t)),
        .token = word(at + tokens_at + i * sizeof(std::uint64_t))};
  }
  for (std::size_t i = 0; i < lives_kept; ++i) {
    superblock.tokens[i] = word(at + own_tokens_at + i * sizeof(std::uint64_t));
  }
  KIMBERLITE_CHECK(decode_view_headers(superblock, headers, from));
  superblock.view_durable = OpNumber{word(at + view_durable_at)};
  superblock.words_from = ViewNumber{word(at + words_from_at)};
  superblock.standing = static_cast<Standing>(at[46]);
  const std::size_t headers_end = view_headers_at + headers * prepare_header_size;
  const bool canonical =
      version == format_version && load_le<std::uint32_t>(at + 32) == copy &&
      load_le<std::uint16_t>(at + 46) <= static_cast<std::uint16_t>(Standing::headless) &&
      word(at + 176) == 0 && all_zero(from.subspan(headers_end, headers_max_end - headers_end)) &&
      all_zero(from.subspan(fields_end));
  if (!canonical || !is_consistent(superblock)) {
    return wrong("the fields of a superblock copy contradict each other");
  }
  return superblock;
}

namespace {

struct Copy {
  std::optional<Superblock> superblock;
  Hash identity{};
  std::optional<Error> error;
};
using Copies = std::array<Copy, superblock_copies>;

Sector sector_of(std::span<const std::byte, superblock_size> file, std::size_t copy) {
  return Sector(file.data() + copy * sector_size, sector_size);
}

Copies decode_all(std::span<const std::byte, superblock_size> file) {
  Copies copies;
  for (std::uint32_t i = 0; i < superblock_copies; ++i) {
    const Sector sector = sector_of(file, i);
    auto decoded = decode_superblock_copy(sector, i);
    if (decoded) {
      copies[i].superblock = *std::move(decoded);
      copies[i].identity = identity_of(sector);
    } else {
      copies[i].error = std::move(decoded).error();
    }
  }
  return copies;
}

std::size_t agreeing(const Copies& copies, const Hash& identity) {
  return static_cast<std::size_t>(std::ranges::count_if(copies, [&](const Copy& copy) {
    return copy.superblock.has_value() && copy.identity == identity;
  }));
}

// The newest copy that a quorum agrees on; fails if there are two such.
Result<const Copy*> newest_agreed(const Copies& copies) {
  const Copy* newest = nullptr;
  for (const Copy& copy : copies) {
    if (!copy.superblock || agreeing(copies, copy.identity) < superblock_quorum) continue;
    if (newest == nullptr || copy.superblock->sequence > newest->superblock->sequence) {
      newest = &copy;
    } else if (copy.superblock->sequence == newest->superblock->sequence &&
               copy.identity != newest->identity) {
      return wrong("two superblocks of one sequence number have two copies each");
    }
  }
  return newest;
}

Error no_quorum(const Copies& copies, std::span<const std::byte, superblock_size> file) {
  bool was_ours = false;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    was_ours = was_ours || copies[i].superblock.has_value() ||
               load_le<std::uint32_t>(sector_of(file, i).data() + 36) == superblock_magic;
  }
  if (!was_ours) {
    return Error{Code::usage_not_ours, "this is not the superblock of a data directory"}.where(
        "superblock");
  }
  std::string why;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    why += fmt::format("{}copy {}: {}", i == 0 ? "" : "; ", i,
                       copies[i].superblock
                           ? fmt::format("sequence {}", copies[i].superblock->sequence)
                           : copies[i].error->what());
  }
  return Error{Code::integrity_superblock, "no two copies of the superblock agree"}
      .where("superblock, bytes 0..{}", superblock_size - 1)
      .why("{}", why)
      .next("restore a backup");
}

// The bytes of a copy that differ from what it should be: [first, last].
std::pair<std::size_t, std::size_t> difference(Sector actual, Bytes expected) {
  std::size_t first = 0;
  while (first + 1 < sector_size && actual[first] == expected[first]) ++first;
  std::size_t last = sector_size - 1;
  while (last > first && actual[last] == expected[last]) --last;
  return {first, last};
}

// What a copy that is not the superblock is; `expected` is what should stand there.
Finding explain(const Copy& copy, std::size_t index, const Copy& winner, Sector actual,
                Bytes expected) {
  const auto [first, last] = difference(actual, expected);
  const std::size_t offset = index * sector_size + first;
  std::string_view what = "a copy of the superblock is damaged";
  std::string why = copy.error ? copy.error->what() : "";
  Severity severity = Severity::damage;
  if (copy.superblock) {
    const Superblock& found = *copy.superblock;
    const Superblock& agreed = *winner.superblock;
    const bool ahead = found.sequence == agreed.sequence + 1 && found.parent == winner.identity;
    const bool behind = found.sequence + 1 == agreed.sequence && agreed.parent == copy.identity;
    if (ahead || behind) {
      severity = Severity::note;
      what = "a crash interrupted the writing of the superblock";
    }
    why = fmt::format("it has sequence {}, the superblock is {}", found.sequence, agreed.sequence);
  }
  return {.severity = severity,
          .offset = offset,
          .size = last - first + 1,
          .error = wrong(what)
                       .where("superblock, byte {}, copy {}", offset, index)
                       .why("{}", why)
                       .next("the next open writes all four copies again")};
}

}  // namespace

Result<SuperblockRead> read_superblock(std::span<const std::byte, superblock_size> file) {
  const Copies copies = decode_all(file);
  for (const Copy& copy : copies) {
    if (copy.error && copy.error->code() == Code::unavailable_version) return *copy.error;
  }
  KIMBERLITE_TRY(const Copy* const winner, newest_agreed(copies));
  if (winner == nullptr) return no_quorum(copies, file);
  SuperblockRead read{.superblock = *winner->superblock, .order = {}, .findings = {}};
  std::array<std::byte, superblock_size> expected;
  encode_superblock(read.superblock, expected);

  // (S1): the copies that do not count are overwritten first, so two that do are left meanwhile.
  std::size_t first = 0;
  for (std::uint8_t i = 0; i < superblock_copies; ++i) {
    const Copy& copy = copies[i];
    if (copy.superblock && copy.identity == winner->identity) continue;
    if (copy.superblock && copy.superblock->sequence > read.superblock.sequence + 1) {  // (S2)
      return Error{Code::integrity_rollback, "the superblock was put back from an older time"}
          .where("superblock, byte {}, copy {}", i * sector_size, i)
          .why("this copy has sequence {}, the copies that agree have {}",
               copy.superblock->sequence, read.superblock.sequence)
          .next("restore the whole directory from one backup");
    }
    read.order[first++] = i;
    read.findings.push_back(explain(copy, i, *winner, sector_of(file, i),
                                    Bytes(expected).subspan(i * sector_size, sector_size)));
  }
  for (std::uint8_t i = 0; i < superblock_copies; ++i) {
    const Copy& copy = copies[i];
    if (copy.superblock && copy.identity == winner->identity) read.order[first++] = i;
  }
  return read;
}

}  // namespace kimberlite::consensus
