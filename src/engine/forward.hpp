// Writes asked at a replica that is not the primary: carried to the one that is, and answered.
//
// Whoever hears no answer in the time a write waits for a quorum does not know whether it was done,
// and says so; the same request under the same id is answered as the first one. Meanwhile it may be
// asked elsewhere, refused there, and what it would have done be made possible: no copy of it that
// comes after that may be done. So
// (F1) a ticket is taken once in a life of the primary's process, however often its frame comes;
// (F2) one is begun only while its asker has to wait. The primary knows that by its own clock,
// which
//      may go a quarter slower: each frame it sends has a pass, its life and the time, and an ask
//      shows the newest the asker has. It is taken until a quarter of the asker's patience after
//      the pass was given, and begun until half of it. An asker sends only in the first quarter of
//      its wait. A pass that is older or of another life is answered with a new one, and the same
//      ticket is sent again;
// (F3) once a ticket was sent to another life of the primary, what the one before says of it is no
//      answer, unless it was done.
//
//   frame   checksum 32 (BLAKE3 of all the rest) · "KBF1" · kind u8 · zero 3 · cluster 16 ·
//           ticket u64 · pass: life u64, given at u64 (ns), then by kind; texts and bytes are a u32
//           size and themselves
//     1 ask     patience u64 (ns) · tenant name · actor: method, name, kind u8 · session 16 ·
//               request id 16, zeros: none · idempotency key · expected position u64, all ones:
//               none · reason · correlation · id 0 drawn by the asker, 1 its client's u8 · 0 SQL, 1
//               append u8, then
//                 SQL     count u32, each: text · count u32 of values
//                 append  stream · expected sequence u64, all ones: none · count u32, each: kind ·
//                         payload
//     2 done    position u64 · time u64 · leaf 32 · request id 16 · rows u64 · replayed u8 ·
//               columns u32, each: name · rows u32, of values · notices u32
//     3 failed  code u16 · what · where · why · next
//     4 stale   nothing: it is to be sent again with the pass
//
// The sender of a frame is a replica of the group: its network sees to that, and it is believed who
// asks. Thread rule: `ask`, `take`, `answer` any; the rest the core's strand.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "driver.hpp"
#include "engine/database.hpp"
#include "kernel/state.hpp"

namespace kimberlite::engine {

class Core;
struct Principal;

// As it came: it owns what a session's call only refers to.
struct ForwardedWrite {
  struct SqlStatement {
    std::string text;
    std::vector<Value> parameters;
  };
  struct AppendedEvent {
    std::string kind;
    Buffer payload;
  };
  std::uint8_t from = 0;
  std::uint64_t ticket = 0;
  std::uint64_t not_after_ns = 0;  // (F2), monotonic
  std::size_t bytes = 0;           // of its frame
  std::string tenant;
  kernel::Actor actor;
  Id128 session{};
  std::optional<Id128> request_id;  // or `idempotency_key` is not empty
  std::string idempotency_key;
  bool is_named = false;  // either is the client's
  std::optional<Position> expected;
  std::string reason;
  std::string correlation;
  std::vector<SqlStatement> statements;  // none: an append
  std::string stream;
  std::optional<Sequence> expected_sequence;
  std::vector<AppendedEvent> events;
};

[[nodiscard]] Buffer encode_forwarded(const ForwardedWrite& write);
// Fails with `integrity.encoding`.
[[nodiscard]] Result<ForwardedWrite> decode_forwarded(Bytes bytes);
[[nodiscard]] Buffer encode_outcome(const Outcome& outcome);
[[nodiscard]] Result<Outcome> decode_outcome(Bytes bytes);
[[nodiscard]] Buffer encode_error(const Error& error);
// Nothing if it does not decode.
[[nodiscard]] std::optional<Error> decode_error(Bytes bytes);

class Forwarder {
 public:
  explicit Forwarder(Core& core) : core_(core) {}

  // True if `frame` is of this kind of message.
  [[nodiscard]] static bool is_frame(Bytes frame);
  void received(std::uint8_t from, Bytes frame);

  // To the primary this replica knows of, and its answer.
  [[nodiscard]] Result<Outcome> ask(const ForwardedWrite& write);
  // The one that came first, of those that may still be begun; the others are answered so.
  [[nodiscard]] std::optional<ForwardedWrite> take();
  void answer(const ForwardedWrite& write, const Result<Outcome>& outcome);

 private:
  // By whom an ask may be begun, and until when.
  struct Pass {
    std::uint64_t life = 0;
    std::uint64_t given_ns = 0;
  };
  struct Waiting {
    std::uint8_t whom = 0;
    const Buffer* body = nullptr;
    std::uint64_t send_until_ns = 0;
    std::uint64_t life = 0;         // of the pass it was sent with last
    std::set<std::uint64_t> ended;  // those before (F3)
    Signal* signal = nullptr;
    std::optional<Result<Outcome>>* result = nullptr;
  };

  [[nodiscard]] Buffer seal(std::uint8_t kind, std::uint64_t ticket, const Pass& pass,
                            Bytes body) const;
  void asked(std::uint8_t from, std::uint64_t ticket, const Pass& shown, Reader body,
             std::size_t size);
  void send(std::uint64_t ticket, Waiting& waiting);
  [[nodiscard]] std::optional<ForwardedWrite> take_first();
  [[nodiscard]] Pass new_pass();
  [[nodiscard]] std::uint64_t at_random();
  [[nodiscard]] std::uint64_t patience_ns() const;
  void end(std::uint64_t ticket, Result<Outcome> result);

  Core& core_;
  // Begins at random: an answer to what an earlier life of this process asked is nobody's.
  std::optional<std::uint64_t> next_ticket_;
  std::map<std::uint64_t, Waiting> waiting_;
  std::map<std::uint8_t, Pass> passes_;  // the newest, by who gave it
  std::optional<std::uint64_t> life_;
  // (F1) who asked, and the ticket; forgotten when no copy of it can be taken any more.
  std::set<std::pair<std::uint8_t, std::uint64_t>> taken_;
  std::multimap<std::uint64_t, std::pair<std::uint8_t, std::uint64_t>> forgotten_at_;
  std::mutex mutex_;  // of what follows
  std::deque<ForwardedWrite> asked_;
  std::size_t asked_bytes_ = 0;
};

}  // namespace kimberlite::engine
