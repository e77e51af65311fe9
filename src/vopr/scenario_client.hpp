// The client of a scenario: writes that follow the primary, questions, and what it was told,
// against which everything is held at the end.
//
// What it knows: a write acknowledged is there, once, from then on and at its position; one whose
// outcome is unknown may be; any other never is. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "vopr/group.hpp"

namespace kimberlite::vopr {

class ScenarioClient {
 public:
  explicit ScenarioClient(Group& group) : group_(group) {}

  static constexpr std::string_view tenant = "clinic";
  static constexpr std::uint64_t patience_ns = 30'000'000'000;

  // The tenant and its table.
  [[nodiscard]] Status begin();

  // A row, under a request id of its own.
  void prepare_write(std::string_view name, std::int64_t value, std::size_t kib);
  [[nodiscard]] bool has_written(std::string_view name) const { return last_.contains(name); }
  // Sends the last write of that name: to all in turn until one acknowledges it, or once to one.
  [[nodiscard]] Result<engine::Outcome> send(std::string_view name, std::uint64_t ns);
  [[nodiscard]] Result<engine::Outcome> send_to(std::uint8_t replica, std::string_view name);
  [[nodiscard]] Status append(std::string_view stream, std::int64_t value);
  // The last event of that stream once more; fails if it is not answered as the first time.
  [[nodiscard]] Status append_again(std::string_view stream);

  // The value of a name; nothing: no row.
  [[nodiscard]] Result<std::optional<std::int64_t>> ask(std::uint8_t replica, std::string_view name,
                                                        std::optional<Position> as_of);
  [[nodiscard]] Result<std::optional<std::int64_t>> ask_anyone(std::string_view name,
                                                               std::optional<Position> as_of);
  [[nodiscard]] Result<std::size_t> count_events(std::string_view stream);

  // The newest acknowledged position.
  [[nodiscard]] Position newest() const { return newest_; }
  // What was acknowledged and is not there, or what is there and was not; nothing is good.
  [[nodiscard]] Status check();
  // Times of acknowledged writes, in the order of their positions, go up.
  [[nodiscard]] Status check_times() const;
  // Each is, within 5 s, one between the question and its answer.
  [[nodiscard]] Status check_right_times() const;
  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_.size(); }

 private:
  struct Request {
    Id128 id{};
    std::string sql;
    std::int64_t value = 0;
    std::int64_t asked_us = 0;  // by the clock all machines share
  };
  struct Acknowledged {
    std::string name;
    std::int64_t value = 0;
    TimestampUs time;
    Id128 id{};
    std::int64_t asked_us = 0;
    std::int64_t answered_us = 0;
  };
  struct Event {
    Id128 id{};
    std::string body;
    Position position;  // where it was acknowledged
  };
  struct Known {
    std::optional<Position> position;  // of the newest acknowledged write
    std::int64_t value = 0;
    std::set<std::int64_t> maybe;  // of writes after it, or before any, of unknown outcome
  };

  [[nodiscard]] Id128 next_request();
  [[nodiscard]] bool may_ask(std::uint8_t replica) const;
  // Asks every replica in turn until one answers.
  template <class Answer>
  [[nodiscard]] Result<Answer> from_anyone(
      const std::function<Result<Answer>(std::uint8_t replica)>& ask);
  [[nodiscard]] Result<engine::Outcome> append(std::string_view stream, const Event& event);
  [[nodiscard]] Status learn(std::string_view name, const Request& request,
                             const Result<engine::Outcome>& outcome);

  Group& group_;
  std::uint64_t requests_ = 0;
  std::map<std::string, Request, std::less<>> last_;
  std::map<Position, Acknowledged> acknowledged_;
  std::map<Id128, Position> position_of_;
  std::map<std::string, Known, std::less<>> known_;
  std::map<std::string, std::size_t, std::less<>> events_;
  std::map<std::string, Event, std::less<>> last_event_;
  Position newest_;
};

}  // namespace kimberlite::vopr
