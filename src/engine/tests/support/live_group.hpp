// Three databases in one process with threads, clocks and timers of their own, on a network in
// memory: for what a simulation cannot do, clients that call at once.
//
// A busy machine may change the primary at any moment, so a test says what must hold whoever leads
// and whoever came first. Thread rule: any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "consensus/message.hpp"
#include "engine/database.hpp"
#include "platform/env.hpp"

namespace kimberlite::engine::test {

class LiveGroup {
 public:
  static constexpr std::uint8_t members = 3;
  static constexpr std::string_view tenant = "clinic";

  // With a tenant, and a table t (k BIGINT PRIMARY KEY, v TEXT) in it.
  explicit LiveGroup(Options options);
  ~LiveGroup();
  LiveGroup(const LiveGroup&) = delete;
  LiveGroup& operator=(const LiveGroup&) = delete;

  // Nothing goes to or from that one any more.
  void isolate(std::uint8_t member, bool apart) { apart_[member] = apart; }
  void join_all() {
    for (std::uint8_t i = 0; i < members; ++i) isolate(i, false);
  }
  // Nobody is told any more that a prepare is on a disk.
  void hold_acknowledgements(bool hold) { hold_ = hold; }

  [[nodiscard]] Database& database(std::uint8_t member) { return *databases_[member]; }
  // Who says that it is the primary, of those that are not apart; a failed test after 20 s.
  [[nodiscard]] std::uint8_t primary();
  [[nodiscard]] std::unique_ptr<Session> client(std::uint8_t member);
  // True when `to` leads in the place of `from`, by cutting off whoever else does; false after 20
  // s.
  [[nodiscard]] bool hand_over(std::uint8_t from, std::uint8_t to);
  // What that one is opened with from its next start on.
  [[nodiscard]] Options& options(std::uint8_t member) { return options_[member]; }
  void start(std::uint8_t member);
  // What is forwarded to that one waits there from now on.
  void stop_serving(std::uint8_t member);
  // The process ends without a word: its threads are stopped, and its memory is gone.
  void stop(std::uint8_t member);
  // Its disk is lost, and it is made anew with these keys.
  void lose_disk(std::uint8_t member, Bytes keys);

  // The bytes of a record of the tenant's data, as that one's disk has them; nothing if it is not
  // in the first segment there.
  [[nodiscard]] Buffer frame(std::uint8_t member, Position position);
  // One bit of them is wrong from now on.
  void rot(std::uint8_t member, Position position);

  // All have committed all that any of them has; a failed test after 30 s.
  void wait_until_alike();
  // All have the same records and rows, and what the disks hold verifies, rows against records.
  void expect_all_alike();

 private:
  class Wire;
  struct World;

  [[nodiscard]] Result<Position> head_of(std::uint8_t member);
  void carry(std::uint8_t from, std::uint8_t to, Bytes frame);
  [[nodiscard]] GroupOptions group_options(std::uint8_t member) const;

  std::array<Options, members> options_;
  platform::MemoryStorage keys_;
  std::unique_ptr<keystore::MasterKey> master_;
  std::vector<std::unique_ptr<World>> worlds_;
  std::array<std::unique_ptr<Database>, members> databases_;
  std::array<std::thread, members> drivers_;
  std::array<std::thread, members> servers_;  // of what is forwarded
  std::array<std::atomic<bool>, members> stopping_{};
  std::array<std::atomic<bool>, members> serving_{};
  std::array<std::atomic<bool>, members> apart_{};
  std::atomic<bool> hold_ = false;
};

// Asks again and again, as the same request, until it is answered otherwise than "unavailable".
template <class Ask>
[[nodiscard]] auto until_answered(const Ask& ask) -> decltype(ask()) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  auto answer = ask();
  while (!answer && class_of(answer.error().code()) == ErrorClass::unavailable &&
         std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    answer = ask();
  }
  return answer;
}

}  // namespace kimberlite::engine::test
