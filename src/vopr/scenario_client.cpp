#include "scenario_client.hpp"

#include <fmt/format.h>

#include "life_model.hpp"

namespace kimberlite::vopr {

using engine::Outcome;

namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t setup_ns = 30'000 * ms;

bool is_unavailable(const Error& error) {
  return class_of(error.code()) == ErrorClass::unavailable ||
         error.code() == Code::not_found_tenant ||  // a replica that has not come so far
         error.code() == Code::integrity_rollback;  // one that has found out that it is old
}

}  // namespace

Id128 ScenarioClient::next_request() { return request_id(++requests_); }

bool ScenarioClient::may_ask(std::uint8_t replica) const {
  return group_.is_up(replica) && !group_.world().is_paused(replica);
}

Status ScenarioClient::begin() {
  KIMBERLITE_CHECK(group_.create_tenant(tenant, setup_ns));
  const auto made = group_.execute(
      tenant, "CREATE TABLE t (k TEXT PRIMARY KEY, v BIGINT, pad TEXT)", next_request(), setup_ns);
  if (!made) return made.error();
  newest_ = made->position;
  return {};
}

void ScenarioClient::prepare_write(std::string_view name, std::int64_t value, std::size_t kib) {
  last_.insert_or_assign(
      std::string{name},
      Request{.id = next_request(),
              .sql = fmt::format("INSERT INTO t VALUES ('{}', {}, '{}') ON CONFLICT (k) DO UPDATE "
                                 "SET v = excluded.v, pad = excluded.pad",
                                 name, value, std::string(kib * 1024, 'x')),
              .value = value,
              .asked_us = group_.world().clock().realtime_us()});
}

Status ScenarioClient::learn(std::string_view name, const Request& request,
                             const Result<Outcome>& outcome) {
  Known& known = known_[std::string{name}];
  if (!outcome) {
    if (outcome.error().code() == Code::unavailable_outcome_unknown &&
        !position_of_.contains(request.id)) {
      known.maybe.insert(request.value);
    }
    return {};
  }
  const auto before = position_of_.find(request.id);
  if (before != position_of_.end()) {
    if (before->second == outcome->position && outcome->replayed) return {};
    return Error{Code::report_failed,
                 "{} = {} was acknowledged at position {}, and now at {}",
                 name,
                 request.value,
                 before->second.value(),
                 outcome->position.value()};
  }
  const auto [other, is_new] = acknowledged_.emplace(
      outcome->position, Acknowledged{.name = std::string{name},
                                      .value = request.value,
                                      .time = outcome->timestamp,
                                      .id = request.id,
                                      .asked_us = request.asked_us,
                                      .answered_us = group_.world().clock().realtime_us()});
  if (!is_new) {
    return Error{Code::report_failed,
                 "position {} was acknowledged to {} = {}, and now to {} = {}",
                 outcome->position.value(),
                 other->second.name,
                 other->second.value,
                 name,
                 request.value};
  }
  position_of_.emplace(request.id, outcome->position);
  newest_ = std::max(newest_, outcome->position);
  if (outcome->replayed) {
    known.maybe.erase(request.value);
  } else {
    known.maybe.clear();
  }
  if (!known.position || *known.position < outcome->position) {
    known.position = outcome->position;
    known.value = request.value;
  }
  return {};
}

Result<Outcome> ScenarioClient::send_to(std::uint8_t replica, std::string_view name) {
  const Request& request = last_.find(name)->second;
  Result<Outcome> outcome =
      group_.execute_at(replica, tenant, request.sql, {.request_id = request.id});
  KIMBERLITE_CHECK(learn(name, request, outcome));
  return outcome;
}

template <class Answer>
Result<Answer> ScenarioClient::from_anyone(
    const std::function<Result<Answer>(std::uint8_t replica)>& ask) {
  const std::uint64_t end = group_.world().clock().now_ns() + patience_ns;
  Error last{Code::unavailable_quorum, "nobody was asked"};
  do {
    for (std::uint8_t i = 0; i < group_.size(); ++i) {
      if (!may_ask(i)) continue;
      Result<Answer> answer = ask(i);
      if (answer || !is_unavailable(answer.error())) return answer;
      last = answer.error();
    }
    group_.world().run_for(20 * ms);
  } while (group_.world().clock().now_ns() < end);
  return last;
}

Result<Outcome> ScenarioClient::send(std::string_view name, std::uint64_t ns) {
  const std::uint64_t end = group_.world().clock().now_ns() + ns;
  Error last{Code::unavailable_quorum, "nobody was asked"};
  do {
    for (std::uint8_t i = 0; i < group_.size(); ++i) {
      if (!may_ask(i)) continue;
      Result<Outcome> outcome = send_to(i, name);
      if (outcome || !is_unavailable(outcome.error())) return outcome;
      last = outcome.error();
    }
    group_.world().run_for(20 * ms);
  } while (group_.world().clock().now_ns() < end);
  return last;
}

Result<Outcome> ScenarioClient::append(std::string_view stream, const Event& event) {
  return from_anyone<Outcome>([&](std::uint8_t replica) {
    return group_.append_at(replica, tenant, stream, event.body, {.request_id = event.id});
  });
}

Status ScenarioClient::append(std::string_view stream, std::int64_t value) {
  Event event{.id = next_request(), .body = fmt::format("{}", value), .position = {}};
  KIMBERLITE_TRY(const Outcome done, append(stream, event));
  newest_ = std::max(newest_, done.position);
  ++events_[std::string{stream}];
  event.position = done.position;
  last_event_.insert_or_assign(std::string{stream}, std::move(event));
  return {};
}

Status ScenarioClient::append_again(std::string_view stream) {
  const auto event = last_event_.find(stream);
  if (event == last_event_.end()) return Error{Code::report_failed, "nothing was appended to it"};
  KIMBERLITE_TRY(const Outcome done, append(stream, event->second));
  if (done.replayed && done.position == event->second.position) return {};
  return Error{Code::report_failed, "it was acknowledged at position {}, and now at {}",
               event->second.position.value(), done.position.value()};
}

Result<std::optional<std::int64_t>> ScenarioClient::ask(std::uint8_t replica, std::string_view name,
                                                        std::optional<Position> as_of) {
  std::string sql = fmt::format("SELECT v FROM t WHERE k = '{}'", name);
  if (as_of) {
    sql = fmt::format("SELECT v FROM t AS OF POSITION {} WHERE k = '{}'", as_of->value(), name);
  }
  const auto value = group_.ask_at(replica, tenant, sql);
  if (value) return std::optional{std::get<std::int64_t>(*value)};
  if (value.error().code() == Code::not_found_object) return std::optional<std::int64_t>{};
  return value.error();
}

Result<std::optional<std::int64_t>> ScenarioClient::ask_anyone(std::string_view name,
                                                               std::optional<Position> as_of) {
  return from_anyone<std::optional<std::int64_t>>(
      [&](std::uint8_t replica) { return ask(replica, name, as_of); });
}

Result<std::size_t> ScenarioClient::count_events(std::string_view stream) {
  return from_anyone<std::size_t>(
      [&](std::uint8_t replica) { return group_.events_at(replica, tenant, stream); });
}

Status ScenarioClient::check() {
  for (const auto& [name, known] : known_) {
    KIMBERLITE_TRY(const std::optional<std::int64_t> value, ask_anyone(name, {}));
    const bool is_last = known.position ? value == known.value : !value.has_value();
    if (is_last || (value && known.maybe.contains(*value))) continue;
    return Error{Code::report_failed, "{} is {}", name,
                 value ? fmt::format("{}", *value) : "not there"}
        .why("{} was acknowledged last, and {} others may have been written",
             known.position ? fmt::format("{}", known.value) : "nothing", known.maybe.size());
  }
  for (const auto& [position, write] : acknowledged_) {
    KIMBERLITE_TRY(const std::optional<std::int64_t> then, ask_anyone(write.name, position));
    if (then == write.value) continue;
    return Error{Code::report_failed, "{} = {} was acknowledged at position {}, and is not there",
                 write.name, write.value, position.value()}
        .why("as of that position it is {}", then ? fmt::format("{}", *then) : "nothing");
  }
  for (const auto& [stream, count] : events_) {
    KIMBERLITE_TRY(const std::size_t found, count_events(stream));
    if (found == count) continue;
    return Error{Code::report_failed, "stream {} has {} events; {} were acknowledged", stream,
                 found, count};
  }
  KIMBERLITE_CHECK(check_right_times());
  return check_times();
}

Status ScenarioClient::check_right_times() const {
  constexpr std::int64_t off_max_us = 5'000'000;
  for (const auto& [position, write] : acknowledged_) {
    const auto time = static_cast<std::int64_t>(write.time.value());
    if (time >= write.asked_us - off_max_us && time <= write.answered_us + off_max_us) continue;
    return Error{Code::report_failed, "the write at position {} has a time that is {} s off",
                 position.value(), (time - write.answered_us) / 1'000'000};
  }
  return {};
}

Status ScenarioClient::check_times() const {
  TimestampUs last;
  for (const auto& [position, write] : acknowledged_) {
    if (write.time <= last) {
      return Error{Code::report_failed, "the write at position {} is not later than the one before",
                   position.value()};
    }
    last = write.time;
  }
  return {};
}

}  // namespace kimberlite::vopr
