#include "forward.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/codec.hpp"
#include "base/le.hpp"
#include "base/probe.hpp"
#include "core.hpp"
#include "peer_frame.hpp"
#include "request.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint32_t magic = 0x3146424B;  // "KBF1"
constexpr std::uint64_t none = ~std::uint64_t{0};
// What waits here to be done for others; more is refused.
constexpr std::size_t asked_max = 1024;
constexpr std::size_t asked_bytes_max = std::size_t{64} << 20;

enum Kind : std::uint8_t {
  ask_write = 1,
  done,
  failed,
  stale,
};

constexpr std::uint64_t patience_max_ns = 3'600'000'000'000;
constexpr std::size_t frame_head = peer_frame_head + 16;

Error wrong() { return Error{Code::integrity_encoding, "a forwarded write does not decode"}; }

std::string text(Reader& from) { return std::string{from.text()}; }

std::uint32_t count(Reader& from) {
  const std::uint32_t count = from.u32();
  if (count > from.left()) from.fail();  // each takes a byte at least
  return from.failed() ? 0 : count;
}

void put_row(Writer& to, const Row& row) {
  to.u32(static_cast<std::uint32_t>(row.size()));
  for (const Value& value : row) encode(to, view(value));
}

Row take_row(Reader& from) {
  Row row;
  for (std::uint32_t left = count(from); left > 0 && !from.failed(); --left) {
    row.push_back(own(decode_value(from)));
  }
  return row;
}

template <class Id>
void put(Writer& to, const std::optional<Id>& id) {
  to.u64(id ? id->value() : none);
}

template <class Id>
std::optional<Id> take_optional(Reader& from) {
  const std::uint64_t value = from.u64();
  return value == none ? std::nullopt : std::optional<Id>{Id{value}};
}

}  // namespace

Buffer encode_forwarded(const ForwardedWrite& write) {
  Writer to;
  to.text(write.tenant);
  to.text(write.actor.method);
  to.text(write.actor.name);
  to.u8(static_cast<std::uint8_t>(write.actor.kind));
  to.bytes(write.session);
  to.bytes(write.request_id.value_or(Id128{}));
  to.text(write.idempotency_key);
  put(to, write.expected);
  to.text(write.reason);
  to.text(write.correlation);
  to.u8(write.is_named ? 1 : 0);
  to.u8(write.statements.empty() ? 1 : 0);
  if (write.statements.empty()) {
    to.text(write.stream);
    put(to, write.expected_sequence);
    to.u32(static_cast<std::uint32_t>(write.events.size()));
    for (const ForwardedWrite::AppendedEvent& event : write.events) {
      to.text(event.kind);
      to.sized(event.payload);
    }
  } else {
    to.u32(static_cast<std::uint32_t>(write.statements.size()));
    for (const ForwardedWrite::SqlStatement& statement : write.statements) {
      to.text(statement.text);
      put_row(to, statement.parameters);
    }
  }
  return std::move(to).take();
}

Result<ForwardedWrite> decode_forwarded(Bytes bytes) {
  Reader from{bytes};
  ForwardedWrite write;
  write.tenant = text(from);
  write.actor.method = text(from);
  write.actor.name = text(from);
  write.actor.kind = static_cast<kernel::ActorKind>(from.u8());
  write.session = from.array<16>();
  const Id128 request_id = from.array<16>();
  if (request_id != Id128{}) write.request_id = request_id;
  write.idempotency_key = text(from);
  write.expected = take_optional<Position>(from);
  write.reason = text(from);
  write.correlation = text(from);
  write.is_named = from.u8() == 1;
  if (from.u8() == 1) {
    write.stream = text(from);
    write.expected_sequence = take_optional<Sequence>(from);
    for (std::uint32_t left = count(from); left > 0 && !from.failed(); --left) {
      ForwardedWrite::AppendedEvent event{.kind = text(from), .payload = {}};
      const Bytes payload = from.sized();
      event.payload.assign(payload.begin(), payload.end());
      write.events.push_back(std::move(event));
    }
  } else {
    for (std::uint32_t left = count(from); left > 0 && !from.failed(); --left) {
      ForwardedWrite::SqlStatement statement{.text = text(from), .parameters = {}};
      statement.parameters = take_row(from);
      write.statements.push_back(std::move(statement));
    }
    if (write.statements.empty()) from.fail();
  }
  if (!from.finished()) return wrong();
  return write;
}

Buffer encode_outcome(const Outcome& outcome) {
  Writer to;
  to.id(outcome.position);
  to.id(outcome.timestamp);
  to.bytes(outcome.leaf);
  to.bytes(outcome.request_id);
  to.u64(outcome.rows);
  to.u8(outcome.replayed ? 1 : 0);
  to.u32(static_cast<std::uint32_t>(outcome.returning.columns.size()));
  for (const ColumnInfo& column : outcome.returning.columns) to.text(column.name);
  to.u32(static_cast<std::uint32_t>(outcome.returning.rows.size()));
  for (const Row& row : outcome.returning.rows) put_row(to, row);
  to.u32(static_cast<std::uint32_t>(outcome.notices.size()));
  for (const std::string& notice : outcome.notices) to.text(notice);
  return std::move(to).take();
}

// The types of the columns are not carried: a client sees each value's own.
Result<Outcome> decode_outcome(Bytes bytes) {
  Reader from{bytes};
  Outcome outcome;
  outcome.position = from.id<Position>();
  outcome.timestamp = from.id<TimestampUs>();
  outcome.leaf = from.array<32>();
  outcome.request_id = from.array<16>();
  outcome.rows = from.u64();
  outcome.replayed = from.u8() == 1;
  for (std::uint32_t left = count(from); left > 0 && !from.failed(); --left) {
    outcome.returning.columns.push_back({text(from), std::nullopt});
  }
  for (std::uint32_t left = count(from); left > 0 && !from.failed(); --left) {
    outcome.returning.rows.push_back(take_row(from));
  }
  for (std::uint32_t left = count(from); left > 0 && !from.failed(); --left) {
    outcome.notices.push_back(text(from));
  }
  if (!from.finished()) return wrong();
  return outcome;
}

Buffer encode_error(const Error& error) {
  Writer to;
  to.u16(static_cast<std::uint16_t>(error.code()));
  for (const std::string_view part : {error.what(), error.where(), error.why(), error.next()}) {
    to.text(part);
  }
  return std::move(to).take();
}

std::optional<Error> decode_error(Bytes bytes) {
  Reader from{bytes};
  Code code{from.u16()};
  const std::string what = text(from);
  const std::string where = text(from);
  const std::string why = text(from);
  const std::string next = text(from);
  if (!from.finished()) return std::nullopt;
  if (name(code) == name(Code{0xFFFF})) code = Code::internal_bug;  // of a later release
  return Error{code, "{}", what}.where("{}", where).why("{}", why).next("{}", next);
}

// ---- frames -------------------------------------------------------------------------------------

bool Forwarder::is_frame(Bytes frame) { return is_peer_frame(frame, magic); }

Buffer Forwarder::seal(std::uint8_t kind, std::uint64_t ticket, const Pass& pass,
                       Bytes body) const {
  Writer frame = begin_peer_frame(magic, kind, core_.state().cluster(), ticket);
  frame.u64(pass.life);
  frame.u64(pass.given_ns);
  frame.bytes(body);
  return seal_peer_frame(std::move(frame));
}

void Forwarder::received(std::uint8_t from, Bytes frame) {
  const std::optional<PeerFrame> opened = open_peer_frame(frame, core_.state().cluster());
  if (!opened) return;
  const std::uint8_t kind = opened->kind;
  const std::uint64_t ticket = opened->ticket;
  Reader rest = opened->rest;
  const Pass pass{rest.u64(), rest.u64()};
  if (rest.failed()) return;
  if (kind == ask_write) return asked(from, ticket, pass, rest, frame.size());
  const auto found = waiting_.find(ticket);
  if (found == waiting_.end() || found->second.whom != from) return;
  Waiting& waiting = found->second;
  const bool has_ended = waiting.ended.contains(pass.life);
  if (!has_ended) passes_[from] = pass;
  const Bytes body = rest.rest();
  if (kind == done) {
    // It was done, whatever of it can be read here.
    Result<Outcome> outcome = decode_outcome(body);
    if (!outcome) outcome = Error{Code::unavailable_outcome_unknown, "the answer does not decode"};
    end(ticket, std::move(outcome));
  } else if (kind == failed && pass.life == waiting.life) {
    end(ticket, decode_error(body).value_or(wrong()));
  } else if (kind == stale && !has_ended) {
    send(ticket, waiting);
  }
}

// ---- asking -------------------------------------------------------------------------------------

std::uint64_t Forwarder::patience_ns() const {
  return std::min(core_.options().quorum_timeout_ns, patience_max_ns);
}

void Forwarder::end(std::uint64_t ticket, Result<Outcome> result) {
  const auto found = waiting_.find(ticket);
  if (found == waiting_.end()) return;
  const Waiting waiting = found->second;
  waiting_.erase(found);
  waiting.result->emplace(std::move(result));
  core_.driver().set(*waiting.signal);
}

void Forwarder::send(std::uint64_t ticket, Waiting& waiting) {
  if (core_.env().clock.monotonic_ns() > waiting.send_until_ns) {
    probe<"engine.forward.not_sent_again">();
    return;  // it is no answer: an earlier copy may be under way
  }
  probe<"engine.forward.sent">();
  const Pass& pass = passes_[waiting.whom];
  if (waiting.life != 0 && waiting.life != pass.life) waiting.ended.insert(waiting.life);
  waiting.life = pass.life;
  core_.env().network.send(waiting.whom, seal(ask_write, ticket, pass, *waiting.body));
}

Result<Outcome> Forwarder::ask(const ForwardedWrite& write) {
  Writer body;
  body.u64(patience_ns());
  body.bytes(encode_forwarded(write));
  const Buffer sent = std::move(body).take();
  if (sent.size() + frame_head > consensus::message_size_max) {
    return Error{Code::unavailable_not_primary, "the request is too long to be forwarded"}.next(
        "send it to the primary itself");
  }
  Signal signal;
  std::optional<Result<Outcome>> result;
  core_.run_on_strand([&](Core& core) {
    const Result<std::uint8_t> whom = core.other_primary();
    if (!whom) {
      result.emplace(whom.error());
      core.driver().set(signal);
      return;
    }
    if (!next_ticket_) next_ticket_ = at_random();
    const std::uint64_t ticket = (*next_ticket_)++;
    const std::uint64_t now = core.env().clock.monotonic_ns();
    Waiting& waiting = waiting_[ticket] = {.whom = *whom,
                                           .body = &sent,
                                           .send_until_ns = now + (patience_ns() / 4),
                                           .signal = &signal,
                                           .result = &result};
    core.after(core.options().quorum_timeout_ns, [ticket](Core& later) {
      later.forwarder().end(
          ticket, Error{Code::unavailable_outcome_unknown, "the primary has not answered"}.next(
                      "ask again under the same idempotency key"));
    });
    send(ticket, waiting);
  });
  core_.driver().wait(signal);
  return *std::move(result);
}

// ---- answering ----------------------------------------------------------------------------------

std::uint64_t Forwarder::at_random() {
  std::array<std::byte, sizeof(std::uint64_t)> bytes{};
  core_.env().random.fill(bytes);
  return load_le<std::uint64_t>(bytes.data());
}

Forwarder::Pass Forwarder::new_pass() {
  if (!life_) life_ = at_random();
  return {*life_, core_.env().clock.monotonic_ns()};
}

void Forwarder::asked(std::uint8_t from, std::uint64_t ticket, const Pass& shown, Reader body,
                      std::size_t size) {
  probe<"engine.forward.asked">();
  const Pass pass = new_pass();
  const std::uint64_t now = pass.given_ns;
  while (!forgotten_at_.empty() && forgotten_at_.begin()->first < now) {
    taken_.erase(forgotten_at_.begin()->second);
    forgotten_at_.erase(forgotten_at_.begin());
  }
  if (taken_.contains({from, ticket})) {
    probe<"engine.forward.taken_already">();
    return;
  }
  const std::uint64_t patience = std::min(body.u64(), patience_max_ns);
  const bool is_fresh =
      shown.life == pass.life && shown.given_ns <= now && now - shown.given_ns <= patience / 4;
  if (!is_fresh) {
    probe<"engine.forward.stale">();
    core_.env().network.send(from, seal(stale, ticket, pass, {}));
    return;
  }
  Result<ForwardedWrite> write = decode_forwarded(body.rest());
  if (!write) return;
  write->from = from;
  write->ticket = ticket;
  write->not_after_ns = shown.given_ns + (patience / 2);
  write->bytes = size;
  const std::scoped_lock lock{mutex_};
  if (asked_.size() >= asked_max || asked_bytes_ + size > asked_bytes_max) {
    probe<"engine.forward.full">();
    return;  // it hears nothing, and asks again later
  }
  taken_.emplace(from, ticket);
  forgotten_at_.emplace(now + patience, std::pair{from, ticket});
  asked_bytes_ += size;
  asked_.push_back(*std::move(write));
}

std::optional<ForwardedWrite> Forwarder::take() {
  const std::uint64_t now = core_.env().clock.monotonic_ns();
  while (std::optional<ForwardedWrite> first = take_first()) {
    if (now <= first->not_after_ns) return first;
    probe<"engine.forward.too_old">();
    answer(*first, too_late());
  }
  return std::nullopt;
}

std::optional<ForwardedWrite> Forwarder::take_first() {
  const std::scoped_lock lock{mutex_};
  if (asked_.empty()) return std::nullopt;
  ForwardedWrite first = std::move(asked_.front());
  asked_.pop_front();
  asked_bytes_ -= first.bytes;
  return first;
}

void Forwarder::answer(const ForwardedWrite& write, const Result<Outcome>& outcome) {
  Buffer body = outcome ? encode_outcome(*outcome) : encode_error(outcome.error());
  if (outcome && body.size() + frame_head > consensus::message_size_max) {
    probe<"engine.forward.answer_too_long">();
    body = encode_outcome(
        {.position = outcome->position,
         .timestamp = outcome->timestamp,
         .leaf = outcome->leaf,
         .request_id = outcome->request_id,
         .rows = outcome->rows,
         .replayed = outcome->replayed,
         .returning = {},
         .notices = {"what the write returns is too long to be carried from the primary"}});
  }
  core_.run_on_strand([this, to = write.from, ticket = write.ticket, is_done = outcome.has_value(),
                       body = std::move(body)](Core& core) {
    probe<"engine.forward.answered">();
    core.env().network.send(to, seal(is_done ? done : failed, ticket, new_pass(), body));
  });
}

}  // namespace kimberlite::engine
