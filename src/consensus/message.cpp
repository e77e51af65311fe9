#include "consensus/message.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/canary.hpp"
#include "base/le.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::consensus {
namespace {

constexpr std::uint32_t message_magic = 0x314E424B;  // "KBN1"
constexpr std::uint16_t message_version = 1;
constexpr std::size_t checksum_size = sizeof(Hash);
constexpr std::size_t prefix_size = sizeof(Id128) + sizeof(LifeId);

enum class Kind : std::uint8_t {
  prepare = 1,
  prepare_ok,
  heartbeat,
  heartbeat_ok,
  start_view_change,
  do_view_change,
  start_view,
  request_start_view,
  request_prepares,
  gone,
  recovery_answer,
  hello,
  ping,
  pong,
};

Error wrong(std::string_view what) { return Error{Code::integrity_encoding, "{}", what}; }

Kind kind_of(const Payload& payload) { return static_cast<Kind>(payload.index() + 1); }

// Appends to bytes whose size was counted before.
class Writer {
 public:
  explicit Writer(MutBytes to) : at_(to.data()), end_(to.data() + to.size()) {}
  void put(std::uint64_t value) {
    store_le(at_, value);
    at_ += sizeof value;
  }
  void put(std::uint32_t value) {
    store_le(at_, value);
    at_ += sizeof value;
  }
  template <class Tag>
  void put(Strong<Tag> value) {
    put(value.value());
  }
  void put(const LifeId& life) {
    put(life.incarnation);
    put(life.token);
  }
  void put(const Lives& lives) {
    for (const LifeId& life : lives) put(life);
  }
  void put(Bytes bytes) { at_ = std::ranges::copy(bytes, at_).out; }
  void put(const Suffix& suffix) {
    put(suffix.base);
    put(Bytes(suffix.base_checksum));
    put(static_cast<std::uint32_t>(suffix.headers.size()));
    put(std::uint32_t{0});
    for (PrepareHeader header : suffix.headers) {
      encode_prepare(header, std::span<std::byte, prepare_header_size>(at_, prepare_header_size));
      at_ += prepare_header_size;
    }
  }
  void put(const Configuration& configuration) {
    encode_configuration(configuration,
                         std::span<std::byte, configuration_size>(at_, configuration_size));
    at_ += configuration_size;
  }
  [[nodiscard]] bool full() const { return at_ == end_; }

 private:
  std::byte* at_;
  std::byte* end_;
};

// Takes from bytes; once too few are left, zeros, and `whole()` is false.
class Reader {
 public:
  explicit Reader(Bytes from) : from_(from) {}
  Bytes take(std::size_t size) {
    if (size > from_.size()) {
      whole_ = false;
      return {};
    }
    const Bytes taken = from_.first(size);
    from_ = from_.subspan(size);
    return taken;
  }
  template <class T>
  T number() {
    const Bytes bytes = take(sizeof(T));
    return bytes.empty() ? T{} : load_le<T>(bytes.data());
  }
  template <class Id>
  Id id() {
    return Id{number<std::uint64_t>()};
  }
  template <std::size_t N>
  std::array<std::byte, N> array() {
    std::array<std::byte, N> value{};
    std::ranges::copy(take(N), value.begin());
    return value;
  }
  bool flag() {
    const auto value = number<std::uint64_t>();
    if (value > 1) whole_ = false;
    return value == 1;
  }
  LifeId life() {
    const auto incarnation = number<std::uint64_t>();
    return {.incarnation = incarnation, .token = number<std::uint64_t>()};
  }
  Lives lives() {
    Lives all;
    for (LifeId& one : all) one = life();
    return all;
  }
  [[nodiscard]] bool whole() const { return whole_; }
  [[nodiscard]] bool ended() const { return whole_ && from_.empty(); }

 private:
  Bytes from_;
  bool whole_ = true;
};

Result<Suffix> read_suffix(Reader& from, const Id128& cluster) {
  Suffix suffix{.base = from.id<OpNumber>(), .base_checksum = from.array<32>(), .headers = {}};
  const auto count = from.number<std::uint32_t>();
  const auto zero = from.number<std::uint32_t>();
  if (!from.whole() || zero != 0 || count > view_headers_max) {
    return wrong("the end of a log in a message is cut off or too long");
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const Bytes bytes = from.take(prepare_header_size);
    if (!from.whole()) return wrong("the end of a log in a message is cut off");
    KIMBERLITE_TRY(const PrepareHeader header, decode_prepare(bytes.first<prepare_header_size>()));
    const bool chained = suffix.headers.empty() ? header.op.value() == suffix.base.value() + 1 &&
                                                      header.parent == suffix.base_checksum
                                                : follows(suffix.headers.back(), header);
    if (!chained || header.cluster != cluster)
      return wrong("the headers of a message do not chain");
    suffix.headers.push_back(header);
  }
  return suffix;
}

std::size_t size_of(const Suffix& suffix) {
  return 48 + suffix.headers.size() * prepare_header_size;
}

std::size_t size_of(const Payload& payload) {
  struct Size {
    std::size_t operator()(const Prepare& prepare) const { return prepare.header.size; }
    std::size_t operator()(const PrepareOk&) const { return prefix_size + 48; }
    std::size_t operator()(const Heartbeat&) const { return prefix_size + 24 + sizeof(Lives); }
    std::size_t operator()(const HeartbeatOk&) const { return prefix_size + 16 + sizeof(Lives); }
    std::size_t operator()(const StartViewChange&) const { return prefix_size + 8; }
    std::size_t operator()(const DoViewChange& dvc) const {
      return prefix_size + 16 + sizeof(Lives) + size_of(dvc.suffix);
    }
    std::size_t operator()(const StartView& start) const {
      return prefix_size + 16 + size_of(start.suffix);
    }
    std::size_t operator()(const RequestStartView&) const { return prefix_size + 24; }
    std::size_t operator()(const RequestPrepares&) const { return prefix_size + 16; }
    std::size_t operator()(const Gone&) const { return prefix_size + 16; }
    std::size_t operator()(const RecoveryAnswer&) const { return prefix_size + 24 + sizeof(Lives); }
    std::size_t operator()(const Hello& hello) const {
      return prefix_size + 32 + sizeof hello.tokens + configuration_size;
    }
    std::size_t operator()(const Ping&) const { return prefix_size + 8; }
    std::size_t operator()(const Pong&) const { return prefix_size + 16; }
    static std::size_t size_of(const Suffix& suffix) { return consensus::size_of(suffix); }
  };
  return std::visit(Size{}, payload);
}

constexpr std::uint64_t hello_answered = 1;
constexpr std::uint64_t hello_lost = 2;

struct Write {
  Writer& to;
  void operator()(const Prepare&) const {}
  void operator()(const PrepareOk& ok) const {
    to.put(ok.op);
    to.put(ok.checkpoint);
    to.put(Bytes(ok.checksum));
  }
  void operator()(const Heartbeat& beat) const {
    to.put(beat.round);
    to.put(beat.op);
    to.put(beat.released);
    to.put(beat.lives);
  }
  void operator()(const HeartbeatOk& ok) const {
    to.put(ok.round);
    to.put(ok.checkpoint);
    to.put(ok.lives);
  }
  void operator()(const StartViewChange& vote) const { to.put(vote.current); }
  void operator()(const DoViewChange& dvc) const {
    to.put(dvc.log_view);
    to.put(dvc.present);
    to.put(dvc.nacked);
    to.put(dvc.lives);
    to.put(dvc.suffix);
  }
  void operator()(const StartView& start) const {
    to.put(Bytes(start.nonce));
    to.put(start.suffix);
  }
  void operator()(const RequestStartView& request) const {
    to.put(Bytes(request.nonce));
    to.put(std::uint64_t{request.lost});
  }
  void operator()(const RequestPrepares& request) const {
    to.put(request.from);
    to.put(request.to);
  }
  void operator()(const Gone& gone) const {
    to.put(gone.op);
    to.put(gone.checkpoint);
  }
  void operator()(const RecoveryAnswer& answer) const {
    to.put(Bytes(answer.nonce));
    to.put(std::uint64_t{answer.lost});
    to.put(answer.lives);
  }
  void operator()(const Hello& hello) const {
    to.put(hello.seen);
    to.put((hello.answered ? hello_answered : 0U) | (hello.lost ? hello_lost : 0U));
    for (const std::uint64_t token : hello.tokens) to.put(token);
    to.put(hello.format);
    to.put(hello.configuration);
  }
  void operator()(const Ping& ping) const { to.put(ping.round); }
  void operator()(const Pong& pong) const {
    to.put(pong.round);
    to.put(pong.wall);
  }
};

Result<Payload> read_payload(Kind kind, Reader& from, const Id128& cluster) {
  switch (kind) {
    case Kind::prepare:
      break;
    case Kind::prepare_ok:
      return Payload{PrepareOk{.op = from.id<OpNumber>(),
                               .checkpoint = from.id<OpNumber>(),
                               .checksum = from.array<32>()}};
    case Kind::heartbeat:
      return Payload{Heartbeat{.round = from.number<std::uint64_t>(),
                               .op = from.id<OpNumber>(),
                               .released = from.id<OpNumber>(),
                               .lives = from.lives()}};
    case Kind::heartbeat_ok:
      return Payload{HeartbeatOk{.round = from.number<std::uint64_t>(),
                                 .checkpoint = from.id<OpNumber>(),
                                 .lives = from.lives()}};
    case Kind::start_view_change:
      return Payload{StartViewChange{.current = from.id<ViewNumber>()}};
    case Kind::do_view_change: {
      DoViewChange dvc{.log_view = from.id<ViewNumber>(),
                       .present = from.number<std::uint32_t>(),
                       .nacked = from.number<std::uint32_t>(),
                       .lives = from.lives(),
                       .suffix = {}};
      KIMBERLITE_TRY(dvc.suffix, read_suffix(from, cluster));
      const std::uint32_t known = (1U << dvc.suffix.headers.size()) - 1;
      if (((dvc.present | dvc.nacked) & ~known) != 0 || (dvc.present & dvc.nacked) != 0) {
        return wrong("a do-view-change contradicts itself");
      }
      return Payload{std::move(dvc)};
    }
    case Kind::start_view: {
      StartView start{.nonce = from.array<16>(), .suffix = {}};
      KIMBERLITE_TRY(start.suffix, read_suffix(from, cluster));
      return Payload{std::move(start)};
    }
    case Kind::request_start_view:
      return Payload{RequestStartView{.nonce = from.array<16>(), .lost = from.flag()}};
    case Kind::request_prepares:
      return Payload{RequestPrepares{.from = from.id<OpNumber>(), .to = from.id<OpNumber>()}};
    case Kind::gone:
      return Payload{Gone{.op = from.id<OpNumber>(), .checkpoint = from.id<OpNumber>()}};
    case Kind::recovery_answer: {
      return Payload{
          RecoveryAnswer{.nonce = from.array<16>(), .lost = from.flag(), .lives = from.lives()}};
    }
    case Kind::hello: {
      Hello hello{.seen = from.life(), .tokens = {}, .configuration = {}};
      const auto flags = from.number<std::uint64_t>();
      if ((flags & ~(hello_answered | hello_lost)) != 0) return wrong("flags nobody knows");
      hello.answered = (flags & hello_answered) != 0;
      hello.lost = (flags & hello_lost) != 0;
      for (std::uint64_t& token : hello.tokens) token = from.number<std::uint64_t>();
      hello.format = from.number<std::uint64_t>();
      const Bytes configuration = from.take(configuration_size);
      if (!from.whole()) return wrong("a hello is cut off");
      KIMBERLITE_TRY(hello.configuration,
                     decode_configuration(configuration.first<configuration_size>()));
      return Payload{hello};
    }
    case Kind::ping:
      return Payload{Ping{.round = from.number<std::uint64_t>()}};
    case Kind::pong:
      return Payload{Pong{.round = from.number<std::uint64_t>(), .wall = from.id<TimestampUs>()}};
  }
  return wrong("a message of no kind known here");
}

void put_head(const Message& message, MutBytes to, std::size_t covered) {
  std::byte* const at = to.data();
  store_le(at + 32, message_magic);
  at[36] = static_cast<std::byte>(kind_of(message.payload));
  at[37] = std::byte{message.from};
  store_le(at + 38, message_version);
  store_le(at + 40, static_cast<std::uint32_t>(to.size()));
  store_le(at + 44, message.epoch);
  store_le(at + 48, message.view.value());
  store_le(at + 56, message.commit.value());
  std::ranges::copy(crypto::blake3(Bytes(to.subspan(checksum_size, covered - checksum_size))), at);
}

Result<Prepare> read_prepare(Bytes message, const Id128& cluster) {
  KIMBERLITE_TRY(const PrepareHeader header,
                 decode_prepare(message.subspan<message_head_size, prepare_header_size>()));
  const Bytes body = message.subspan(frame_header_size);
  const bool is_its_body =
      crypto::blake3(body) == header.body_checksum || is_planted(Canary::skip_body_hash);
  if (header.cluster != cluster || header.size != message.size() - message_head_size ||
      !is_its_body) {
    return wrong("the body of a prepare in a message is not the one its header names");
  }
  if (header.configures) {
    KIMBERLITE_TRY(const Configuration made,
                   decode_configuration(body.first<configuration_size>()));
    if (made.op != header.op) return wrong("a configuration names another operation");
  }
  return Prepare{header};
}

ViewNumber newest_view(const Suffix& suffix) {
  return suffix.headers.empty() ? ViewNumber{} : suffix.headers.back().view;
}

// Of a view that is possible, and with nothing in it of a later one.
bool is_of_its_view(const Message& message) {
  ViewNumber inside;
  ViewNumber last = message.view;
  if (const auto* prepare = std::get_if<Prepare>(&message.payload)) {
    inside = prepare->header.view;
  } else if (const auto* start = std::get_if<StartView>(&message.payload)) {
    inside = newest_view(start->suffix);
  } else if (const auto* dvc = std::get_if<DoViewChange>(&message.payload)) {
    inside = std::max(dvc->log_view, newest_view(dvc->suffix));
  } else if (const auto* vote = std::get_if<StartViewChange>(&message.payload)) {
    last = std::max(last, vote->current);
  }
  return inside <= message.view && last.value() <= view_max;
}

}  // namespace

std::string_view name(const Payload& payload) {
  constexpr std::array<std::string_view, std::variant_size_v<Payload>> names{"prepare",
                                                                             "prepare_ok",
                                                                             "heartbeat",
                                                                             "heartbeat_ok",
                                                                             "start_view_change",
                                                                             "do_view_change",
                                                                             "start_view",
                                                                             "request_start_view",
                                                                             "request_prepares",
                                                                             "gone",
                                                                             "recovery_answer",
                                                                             "hello",
                                                                             "ping",
                                                                             "pong"};
  return names[payload.index()];
}

Buffer encode_message(const Message& message, const Id128& cluster, BlockPool& pool) {
  KIMBERLITE_ASSERT(!std::holds_alternative<Prepare>(message.payload));
  MutableBuffer block = pool.take(message_head_size + size_of(message.payload));
  Writer to{block->bytes().subspan(message_head_size)};
  to.put(Bytes(cluster));
  to.put(message.life);
  std::visit(Write{to}, message.payload);
  KIMBERLITE_ASSERT(to.full());
  put_head(message, block->bytes(), block->size());
  return block;
}

Buffer encode_prepare_message(const Message& message, Bytes frame, BlockPool& pool) {
  const std::size_t size = message_head_size + std::get<Prepare>(message.payload).header.size;
  KIMBERLITE_ASSERT(frame.size() >= size);
  MutableBuffer block = pool.take(size);
  std::ranges::copy(frame.subspan(local_header_size, size - local_header_size),
                    block->bytes().begin() + message_head_size);
  put_head(message, block->bytes(), frame_header_size);
  return block;
}

Result<Message> decode_message(Bytes bytes, const Id128& cluster) {
  if (bytes.size() < message_head_size || bytes.size() > message_size_max) {
    return wrong("a message is shorter than its head, or too long");
  }
  const std::byte* const at = bytes.data();
  const auto kind = static_cast<Kind>(at[36]);
  const std::size_t covered = kind == Kind::prepare ? frame_header_size : bytes.size();
  if (load_le<std::uint32_t>(at + 32) != message_magic ||
      load_le<std::uint16_t>(at + 38) != message_version ||
      load_le<std::uint32_t>(at + 40) != bytes.size() || bytes.size() < covered) {
    return wrong("a message does not start as one");
  }
  Hash stored;
  std::copy_n(at, stored.size(), stored.begin());
  if (crypto::blake3(bytes.subspan(checksum_size, covered - checksum_size)) != stored) {
    return wrong("the checksum of a message is wrong");
  }
  Message message{.from = std::to_integer<std::uint8_t>(at[37]),
                  .life = {},
                  .epoch = load_le<std::uint32_t>(at + 44),
                  .view = ViewNumber{load_le<std::uint64_t>(at + 48)},
                  .commit = OpNumber{load_le<std::uint64_t>(at + 56)},
                  .payload = StartViewChange{}};
  if (kind == Kind::prepare) {
    KIMBERLITE_TRY(message.payload, read_prepare(bytes, cluster));
    if (!is_of_its_view(message)) return wrong("a prepare of a later view than its message");
    return message;
  }
  Reader from{bytes.subspan(message_head_size)};
  if (from.array<16>() != cluster) return wrong("a message of another cluster");
  message.life = from.life();
  KIMBERLITE_TRY(message.payload, read_payload(kind, from, cluster));
  if (!from.ended()) return wrong("a message is not of the length of its kind");
  if (!is_of_its_view(message)) return wrong("a message of a view that cannot be its own");
  const auto* hello = std::get_if<Hello>(&message.payload);
  if (hello != nullptr && hello->configuration.epoch != message.epoch) {
    return wrong("a hello is of another epoch than its configuration");
  }
  return message;
}

}  // namespace kimberlite::consensus
