// Writes asked at a replica that is not the primary: carried to the one that is, and answered.
//
// A frame is sent once. Whoever hears no answer in the time a write waits for a quorum does not
// know whether it was done, and says so; the same request under the same id is answered as the
// first one.
//
//   frame   checksum 32 (BLAKE3 of all the rest) · "KBF1" · kind u8 · zero 3 · cluster 16 ·
//           ticket u64, then by kind; texts and bytes are a u32 size and themselves
//     1 ask     tenant name · actor: method, name, kind u8 · session 16 · request id 16, zeros:
//     none
//               · idempotency key · expected position u64, all ones: none · reason · correlation ·
//               0 SQL, 1 append u8, then
//                 SQL     count u32, each: text · count u32 of values
//                 append  stream · expected sequence u64, all ones: none · count u32, each: kind ·
//                         payload
//     2 done    position u64 · time u64 · leaf 32 · request id 16 · rows u64 · replayed u8 ·
//     columns
//               u32, each: name · rows u32, of values · notices u32
//     3 failed  code u16 · what · where · why · next
//
// The sender of a frame is a replica of the group: its network sees to that, and it is believed who
// asks. Thread rule: `ask`, `take`, `answer` any; the rest the core's strand.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
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
  std::uint64_t arrived_ns = 0;
  std::size_t bytes = 0;  // of its frame
  std::string tenant;
  kernel::Actor actor;
  Id128 session{};
  std::optional<Id128> request_id;  // or `idempotency_key` is not empty
  std::string idempotency_key;
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
  // The one that waits here longest for an answer, of those whose askers still wait for it.
  [[nodiscard]] std::optional<ForwardedWrite> take();
  void answer(const ForwardedWrite& write, const Result<Outcome>& outcome);

 private:
  struct Waiting {
    std::uint8_t whom = 0;
    Signal* signal = nullptr;
    std::optional<Result<Outcome>>* result = nullptr;
  };

  [[nodiscard]] Buffer seal(std::uint8_t kind, std::uint64_t ticket, Bytes body) const;
  void end(std::uint64_t ticket, Result<Outcome> result);

  Core& core_;
  // Begins at random: an answer to what an earlier life of this process asked is nobody's.
  std::optional<std::uint64_t> next_ticket_;
  std::map<std::uint64_t, Waiting> waiting_;
  std::mutex mutex_;  // of what follows
  std::deque<ForwardedWrite> asked_;
  std::size_t asked_bytes_ = 0;
};

}  // namespace kimberlite::engine
