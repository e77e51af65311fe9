#include "mender.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/probe.hpp"
#include "core.hpp"
#include "peer_frame.hpp"
#include "record/frame.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint32_t magic = 0x314D424B;  // "KBM1"
constexpr std::uint64_t silent_ns = 200'000'000;
constexpr std::size_t rounds = 2;  // through all members, for one that was silent at first
constexpr std::size_t notes_max = 16;

enum Kind : std::uint8_t {
  ask_record = 1,
  it_is,
  no,
};

}  // namespace

bool Mender::is_frame(Bytes frame) { return is_peer_frame(frame, magic); }

Buffer Mender::seal(std::uint8_t kind, std::uint64_t ticket, Bytes body) const {
  Writer frame = begin_peer_frame(magic, kind, core_.state().cluster(), ticket);
  frame.bytes(body);
  return seal_peer_frame(std::move(frame));
}

void Mender::want(const RecordPlace& place, const Error& error, Done done) {
  if (core_.failed()) {
    if (done) done(false);
    return;
  }
  auto found = std::ranges::find(wanted_, place, &Wanted::place);
  const bool is_new = found == wanted_.end();
  if (is_new) found = wanted_.insert(found, Wanted{.place = place, .error = error, .done = {}});
  if (done) found->done.push_back(std::move(done));
  if (is_new && wanted_.size() == 1) go_on(begin());
}

// Asks for the first of what is wanted, or for what is damaged before it.
std::optional<bool> Mender::begin() {
  const RecordPlace& place = wanted_.front().place;
  const auto first = core_.logs().first_damaged(place.tenant, place.lane, place.position);
  if (!first) return false;
  if (!*first) return true;
  // It was put in its place, and that was no help.
  if (**first == asked_) return false;
  asked_ = **first;
  asked_times_ = 0;
  return ask();
}

std::optional<bool> Mender::ask() {
  const consensus::Configuration& group = core_.configuration();
  if (!group.has(core_.index())) return false;  // nobody hears it any more
  std::size_t members = 0;
  std::optional<std::uint8_t> next;
  // From the one behind the last that was asked.
  for (std::size_t i = 1; i <= consensus::members_max; ++i) {
    const auto member = static_cast<std::uint8_t>((whom_ + i) % consensus::members_max);
    if (member == core_.index() || !group.has(member)) continue;
    ++members;
    if (!next) next = member;
  }
  if (!next || asked_times_ >= rounds * members) {
    probe<"engine.mend.not_had">();
    return false;
  }
  whom_ = *next;
  ++asked_times_;
  ++ticket_;
  asked_ns_ = core_.env().clock.monotonic_ns();
  const RecordPlace& place = wanted_.front().place;
  Writer body;
  body.id(place.tenant);
  body.u16(static_cast<std::uint16_t>(place.lane));
  body.id(asked_);
  probe<"engine.mend.asked">();
  core_.env().network.send(whom_, seal(ask_record, ticket_, body.buffer()));
  return std::nullopt;
}

void Mender::go_on(std::optional<bool> ended) {
  while (ended) {
    Wanted first = std::move(wanted_.front());
    wanted_.pop_front();
    asked_ = {};
    for (Done& done : first.done) done(*ended);
    ended = wanted_.empty() ? std::nullopt : begin();
  }
}

void Mender::stop() {
  while (!wanted_.empty()) {
    Wanted first = std::move(wanted_.front());
    wanted_.pop_front();
    for (Done& done : first.done) done(false);
  }
}

void Mender::tick(std::uint64_t now_ns) {
  if (wanted_.empty() || now_ns < asked_ns_ + silent_ns) return;
  probe<"engine.mend.silent">();
  go_on(ask());
}

void Mender::received(std::uint8_t from, Bytes frame) {
  std::optional<PeerFrame> opened = open_peer_frame(frame, core_.state().cluster());
  if (!opened) return;
  if (opened->kind == ask_record) {
    const TenantId tenant = opened->rest.id<TenantId>();
    const std::uint16_t lane = opened->rest.u16();
    const Position position = opened->rest.id<Position>();
    if (!opened->rest.finished() || lane >= kernel::lane_count) return;
    Buffer scratch;
    const auto record =
        core_.logs().read(tenant, static_cast<kernel::Lane>(lane), position, scratch);
    Buffer answer;
    if (record) {
      record::append_frame(answer, record->op, record->index, record->entry, record->body);
    }
    core_.env().network.send(from, seal(record ? it_is : no, opened->ticket, answer));
    return;
  }
  if (wanted_.empty()) return;
  // One that comes late is as good.
  if (opened->kind == it_is && take(from, opened->rest)) {
    // Whoever gave this one is asked for the next.
    whom_ = static_cast<std::uint8_t>((from + consensus::members_max - 1) % consensus::members_max);
    return go_on(begin());
  }
  if (from == whom_ && opened->ticket == ticket_) go_on(ask());
}

Status Mender::take(std::uint8_t from, Reader& body) {
  KIMBERLITE_TRY(const record::FrameView frame, record::parse_frame(body.rest()));
  KIMBERLITE_TRY(const record::Entry entry,
                 record::decode(frame.entry_bytes.first<record::entry_size>()));
  Wanted& wanted = wanted_.front();
  if (entry.position != asked_) {
    return Error{Code::integrity_entry, "a record that was not asked for"};
  }
  KIMBERLITE_CHECK(core_.logs().mend(wanted.place.tenant, wanted.place.lane, frame.op, frame.index,
                                     entry, frame.body));
  probe<"engine.mend.mended">();
  notes_.push_back(fmt::format(
      "tenant {}, {}, position {} is mended from what replica {} has; what was found: {}",
      wanted.place.tenant.value(), lane_name(wanted.place.lane), asked_.value(), from,
      to_string(wanted.error)));
  if (notes_.size() > notes_max) notes_.pop_front();
  return {};
}

}  // namespace kimberlite::engine
