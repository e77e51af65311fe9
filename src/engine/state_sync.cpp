#include "state_sync.hpp"

#include <algorithm>
#include <array>

#include "base/canary.hpp"
#include "base/probe.hpp"
#include "core.hpp"
#include "crypto/blake3.hpp"
#include "files.hpp"
#include "kernel/snapshot.hpp"
#include "peer_frame.hpp"
#include "record/body.hpp"
#include "record/frame.hpp"
#include "snapshot_file.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint32_t magic = 0x3154424B;  // "KBT1"
constexpr std::size_t piece_max = std::size_t{256} << 10;
constexpr std::uint64_t ask_again_ns = 200'000'000;
constexpr std::uint64_t patience_ns = 3'000'000'000;
// No larger files are taken from a peer: state is O(tenants + tables + users).
constexpr std::uint64_t file_max = std::uint64_t{1} << 32;

enum Kind : std::uint8_t {
  ask_what = 1,
  it_is,
  ask_file,
  file,
  ask_records,
  records,
  no,
};

Error wrong(std::string_view what) {
  return Error{Code::integrity_state, "what a peer gave of its state is not right"}.why("{}", what);
}

constexpr std::array<kernel::Lane, 2> lanes{kernel::Lane::data, kernel::Lane::access};

}  // namespace

bool StateSync::is_frame(Bytes frame) { return is_peer_frame(frame, magic); }

Buffer StateSync::seal(std::uint8_t kind, std::uint64_t ticket, OpNumber op, Bytes body) const {
  Writer frame = begin_peer_frame(magic, kind, core_.state().cluster(), ticket);
  frame.id(op);
  frame.bytes(body);
  return seal_peer_frame(std::move(frame));
}

// ---- taking -------------------------------------------------------------------------------------

void StateSync::start(std::uint8_t from, OpNumber op) {
  probe<"engine.sync.begun">();
  if (is_planted(Canary::ignore_sync)) return;
  taking_.emplace();
  taking_->from = from;
  taking_->op = op;
  taking_->answered_ns = core_.env().clock.monotonic_ns();
  ask(ask_what, {});
}

void StateSync::ask(std::uint8_t kind, const Writer& body) {
  taking_->ticket = ++tickets_;
  taking_->question = seal(kind, taking_->ticket, taking_->op, body.buffer());
  taking_->asked_ns = core_.env().clock.monotonic_ns();
  core_.env().network.send(taking_->from, taking_->question);
}

void StateSync::tick(std::uint64_t now_ns) {
  if (!taking_) return;
  if (now_ns > taking_->answered_ns + patience_ns) probe<"engine.sync.peer_silent">();
  if (now_ns > taking_->answered_ns + patience_ns) return give_up("the peer no longer answers");
  if (now_ns < taking_->asked_ns + ask_again_ns) return;
  taking_->asked_ns = now_ns;
  probe<"engine.sync.asked_again">();
  core_.env().network.send(taking_->from, taking_->question);
}

void StateSync::give_up(const std::string& why) {
  taking_.reset();
  core_.state_not_had(why);
}

void StateSync::received(std::uint8_t from, Bytes frame) {
  std::optional<PeerFrame> opened = open_peer_frame(frame, core_.state().cluster());
  if (!opened) return;
  const std::uint8_t kind = opened->kind;
  const std::uint64_t ticket = opened->ticket;
  Reader& reader = opened->rest;
  const OpNumber op = reader.id<OpNumber>();
  if (reader.failed()) return;
  if (kind == ask_what || kind == ask_file || kind == ask_records) {
    const std::optional<Writer> found = answer(kind, op, reader);
    core_.env().network.send(
        from, found ? seal(static_cast<std::uint8_t>(kind + 1), ticket, op, found->buffer())
                    : seal(no, ticket, op, {}));
    return;
  }
  if (!taking_ || from != taking_->from || ticket != taking_->ticket || op != taking_->op) return;
  taking_->answered_ns = core_.env().clock.monotonic_ns();
  if (kind == no) probe<"engine.sync.other_checkpoint">();
  if (kind == no) return give_up("the peer has made another checkpoint");
  if (Status taken = take(kind, reader); !taken) return give_up(to_string(taken.error()));
  next();
}

Status StateSync::take(std::uint8_t kind, Reader& body) {
  switch (kind) {
    case it_is:
      return take_manifest(body);
    case file:
      return take_file(body);
    case records:
      return take_records(body);
    default:
      return wrong("an answer of no kind known here");
  }
}

Status StateSync::take_manifest(Reader& body) {
  if (taking_->checkpoint) return {};
  consensus::Checkpoint checkpoint{.op = taking_->op};
  checkpoint.header_checksum = body.array<32>();
  checkpoint.next_timestamp = body.id<TimestampUs>();
  checkpoint.keystore = body.array<32>();
  checkpoint.snapshot = body.array<32>();
  checkpoint.heads = body.array<32>();
  checkpoint.state = body.array<32>();
  const auto group = body.array<consensus::configuration_size>();
  KIMBERLITE_TRY(taking_->configuration, consensus::decode_configuration(group));
  for (std::uint64_t& size : taking_->sizes) size = body.u64();
  if (!body.finished() || std::ranges::max(taking_->sizes) > file_max) {
    return wrong("its checkpoint does not decode");
  }
  taking_->checkpoint = checkpoint;
  return {};
}

Status StateSync::take_file(Reader& body) {
  const std::uint8_t which = body.u8();
  const std::uint64_t offset = body.u64();
  if (body.failed() || which > 1 || offset != taking_->files[which].size()) {
    return wrong("a piece of a file that was not asked for");
  }
  const Bytes piece = body.bytes(
      std::min<std::size_t>(piece_max, static_cast<std::size_t>(taking_->sizes[which] - offset)));
  if (!body.finished()) return wrong("a piece of a file of another size");
  append(taking_->files[which], piece);
  return {};
}

// Both files are here: the keys and the state they hold.
Status StateSync::open_files() {
  if (crypto::blake3(taking_->files[0]) != taking_->checkpoint->keystore ||
      crypto::blake3(taking_->files[1]) != taking_->checkpoint->snapshot) {
    return wrong("a file is not the one its checkpoint names");
  }
  KIMBERLITE_TRY(taking_->keys, core_.open_keys(taking_->files[0]));
  KIMBERLITE_TRY(taking_->state, decode_snapshot(taking_->files[1], *taking_->keys));
  if (kernel::digest(*taking_->state) != taking_->checkpoint->state ||
      kernel::heads_digest(*taking_->state) != taking_->checkpoint->heads) {
    return wrong("the state is not the one its checkpoint names");
  }
  return {};
}

Status StateSync::take_records(Reader& body) {
  const std::uint64_t tenant = body.u64();
  const std::uint16_t lane = body.u16();
  const std::uint64_t first = body.u64();
  if (!taking_->state || body.failed() || tenant != taking_->tenant || lane != taking_->lane ||
      first != taking_->head.position.value() + 1) {
    return wrong("records that were not asked for");
  }
  const kernel::LaneState& log = taking_->state->tenant(TenantId{tenant})->lane(lanes[lane]);
  Bytes frames = body.bytes(body.left());
  if (frames.empty()) return wrong("no records where there must be some");
  while (!frames.empty()) {
    KIMBERLITE_TRY(const record::FrameView frame, record::parse_frame(frames));
    KIMBERLITE_TRY(const record::Entry entry,
                   record::decode(frame.entry_bytes.first<record::entry_size>()));
    KIMBERLITE_TRY(const auto items, record::split_body(frame.body));
    record::Head& head = taking_->head;
    if (entry.log_id != log.log_id || entry.position.value() != head.position.value() + 1 ||
        entry.previous != head.leaf || entry.position > log.head.position ||
        record::body_commitment(items) != entry.body_commitment) {
      return wrong("a record does not follow the one before it");
    }
    const record::Head before = head;
    head = record::advance(head, entry);
    KIMBERLITE_CHECK(core_.logs().append(TenantId{tenant}, lanes[lane], before, frame.op,
                                         frame.index, entry, frame.body, head));
    frames = frames.subspan(frame.size);
  }
  return core_.logs().flush_if_large();
}

// Asks for what is missing; when nothing is, the state is put in place.
void StateSync::next() {
  if (!taking_->checkpoint) return ask(ask_what, {});
  for (std::uint8_t which = 0; which < 2; ++which) {
    if (taking_->files[which].size() >= taking_->sizes[which]) continue;
    Writer body;
    body.u8(which);
    body.u64(taking_->files[which].size());
    return ask(ask_file, body);
  }
  if (!taking_->state) {
    if (Status opened = open_files(); !opened) return give_up(to_string(opened.error()));
    taking_->tenant = 0;
    taking_->lane = 0;
    begin_log();
  }
  next_log();
}

// Behind what is here, which may be more than the state says: what was taken before the last peer
// went away, or made another checkpoint, was held against the record before it.
void StateSync::begin_log() {
  const TenantId tenant{taking_->tenant};
  const kernel::Lane lane = lanes[taking_->lane];
  taking_->head = core_.log_head(tenant, lane);
  const std::optional<record::Head> here = core_.logs().head(tenant, lane);
  const Position last = taking_->state->tenant(tenant)->lane(lane).head.position;
  if (here && here->position > taking_->head.position && here->position <= last) {
    probe<"engine.sync.goes_on">();
    taking_->head = *here;
  }
}

void StateSync::next_log() {
  while (taking_->tenant < taking_->state->tenant_count()) {
    const kernel::LaneState& wanted =
        taking_->state->tenant(TenantId{taking_->tenant})->lane(lanes[taking_->lane]);
    if (taking_->head.position < wanted.head.position) {
      Writer body;
      body.u64(taking_->tenant);
      body.u16(taking_->lane);
      probe<"engine.sync.records">();
      body.u64(taking_->head.position.value() + 1);
      return ask(ask_records, body);
    }
    if (taking_->head != wanted.head) return give_up("a log is not the one the state names");
    if (++taking_->lane == lanes.size()) {
      taking_->lane = 0;
      ++taking_->tenant;
    }
    if (taking_->tenant < taking_->state->tenant_count()) begin_log();
  }
  SyncProgress done = *std::move(taking_);
  taking_.reset();
  core_.install_state(*done.checkpoint, done.configuration, *std::move(done.keys),
                      *std::move(done.state));
}

// ---- giving -------------------------------------------------------------------------------------

std::optional<Writer> StateSync::answer(std::uint8_t kind, OpNumber op, Reader& body) {
  const consensus::Checkpoint& checkpoint = core_.newest_checkpoint();
  // Of an earlier checkpoint the files are gone, and the records are what they were: whoever has
  // the files gets all of them, however many checkpoints are made meanwhile.
  const bool has_it = kind == ask_records ? op <= checkpoint.op : op == checkpoint.op;
  if (!has_it) return std::nullopt;
  const std::array<std::string, 2> paths{files::keystore(op), files::snapshot(op)};
  Writer answer;
  if (kind == ask_what) {
    answer.bytes(checkpoint.header_checksum);
    answer.id(checkpoint.next_timestamp);
    answer.bytes(checkpoint.keystore);
    answer.bytes(checkpoint.snapshot);
    answer.bytes(checkpoint.heads);
    answer.bytes(checkpoint.state);
    std::array<std::byte, consensus::configuration_size> group{};
    consensus::encode_configuration(core_.configuration(), group);
    answer.bytes(group);
    const std::array<Hash, 2> named{checkpoint.keystore, checkpoint.snapshot};
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const Result<Buffer> file = read_whole(core_.env().storage, paths[i]);
      if (!file || crypto::blake3(*file) != named[i]) {
        // What rotted here is of no use to anyone: the next checkpoint's will be.
        probe<"engine.sync.file_rotted">();
        core_.renew_checkpoint();
        return std::nullopt;
      }
      answer.u64(file->size());
    }
    return answer;
  }
  if (kind == ask_file) {
    const std::uint8_t which = body.u8();
    const std::uint64_t offset = body.u64();
    if (!body.finished() || which > 1) return std::nullopt;
    const auto opened = core_.env().storage.open(paths[which], env::Open::read);
    if (!opened) return std::nullopt;
    Buffer piece(piece_max);
    const auto read = (*opened)->read_at(offset, piece);
    if (!read) return std::nullopt;
    answer.u8(which);
    answer.u64(offset);
    answer.bytes(Bytes(piece).first(*read));
    return answer;
  }
  const TenantId tenant = body.id<TenantId>();
  const std::uint16_t lane = body.u16();
  const std::uint64_t first = body.u64();
  if (!body.finished() || lane >= lanes.size() || first == 0) return std::nullopt;
  answer.id(tenant);
  answer.u16(lane);
  answer.u64(first);
  Buffer frames;
  Buffer scratch;
  for (std::uint64_t position = first; frames.size() < piece_max; ++position) {
    const auto record = core_.logs().read(tenant, lanes[lane], Position{position}, scratch);
    if (!record) {
      core_.mend({tenant, lanes[lane], Position{position}}, record.error());
      break;
    }
    // Behind the checkpoint, or its last one.
    if (record->op > op) break;
    record::append_frame(frames, record->op, record->index, record->entry, record->body);
  }
  answer.bytes(frames);
  return answer;
}

}  // namespace kimberlite::engine
