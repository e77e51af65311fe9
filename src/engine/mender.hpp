// Records that have rotted here, taken from a replica that has them whole.
//
// Whoever cannot read a record of a log says so (`want`). One after the other they are asked for,
// each of one member after the other, until one gives the record that the log's chain or tree names
// (`log::TenantLog::mend`); then it stands where it stood before. What nobody gives stays as it is,
// and is asked for again when it is read again. Who is asked for what is damaged there too says no:
// it wants it only for readers of its own, or those who all lost it would ask each other for ever.
//
//   frame   checksum 32 (BLAKE3 of all the rest) · "KBM1" · kind u8 · zero 3 · cluster 16 ·
//           ticket u64, then by kind; an answer bears its question's ticket
//     1 ask     tenant u64 · lane u16 · position u64
//     2 it is   one frame as in segments (record/frame.hpp)
//     3 no      -
//
// (M1) The first of `wanted_` is being asked for, if there is one.          [kept: want, go_on]
// (M2) Each `done` is called once, and a question that nobody answers ends.  [kept: go_on, ask]
//
// Source: storage.md, Corruption. Thread rule: the core's strand.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/codec.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "kernel/state.hpp"

namespace kimberlite::engine {

class Core;

struct RecordPlace {
  TenantId tenant;
  kernel::Lane lane = kernel::Lane::data;
  Position position;

  bool operator==(const RecordPlace&) const = default;
};

class Mender {
 public:
  // Told whether the record can be read now.
  using Done = std::move_only_function<void(bool mended)>;

  explicit Mender(Core& core) : core_(core) {}

  // True if `frame` is of this kind of message.
  [[nodiscard]] static bool is_frame(Bytes frame);

  // `error` is what reading it gave.
  void want(const RecordPlace& place, const Error& error, Done done);
  void received(std::uint8_t from, Bytes frame);
  // Asks the next member where one is silent.
  void tick(std::uint64_t now_ns);
  // This replica has stopped: nothing is wanted any more.
  void stop();
  // What was mended, the last ones, for `status`.
  [[nodiscard]] const std::deque<std::string>& notes() const { return notes_; }

 private:
  struct Wanted {
    RecordPlace place;
    Error error;
    std::vector<Done> done;
  };

  // Nothing while there is one who may answer; else whether the record is mended.
  [[nodiscard]] std::optional<bool> begin();
  [[nodiscard]] std::optional<bool> ask();
  // Ends what has ended, and begins with the next.
  void go_on(std::optional<bool> ended);
  [[nodiscard]] Status take(std::uint8_t from, Reader& body);
  [[nodiscard]] Buffer seal(std::uint8_t kind, std::uint64_t ticket, Bytes body) const;

  Core& core_;
  std::deque<Wanted> wanted_;
  Position asked_;              // which is asked for: the first of those damaged with it
  std::uint64_t ticket_ = 0;    // of the question under way
  std::uint64_t asked_ns_ = 0;  // when
  std::size_t asked_times_ = 0;
  std::uint8_t whom_ = 0;
  std::deque<std::string> notes_;
};

}  // namespace kimberlite::engine
