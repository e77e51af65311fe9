#include "support/crowd_life.hpp"

#include <fmt/format.h>

#include <array>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/assert.hpp"
#include "frame_script.hpp"
#include "life_model.hpp"
#include "support/sim_crowd.hpp"
#include "vopr/group.hpp"
#include "vopr/prng.hpp"

namespace kimberlite::vopr {
namespace {

using engine::Outcome;
using engine::Session;

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;
constexpr std::uint64_t trouble_ns = 20 * second;
constexpr std::uint64_t patience_ns = 300 * second;
constexpr std::string_view tenant = "clinic";
constexpr std::size_t clients = 4;
constexpr std::uint64_t writes_each = 12;

class CrowdLife {
 public:
  explicit CrowdLife(std::uint64_t seed) : choices_(seed, 71) {
    auto made =
        Group::make(seed, {.quorum_timeout_ns = 300 * ms, .forward = choices_.below(4) == 0});
    KIMBERLITE_ASSERT(made);  // nothing has happened to it yet
    group_ = *std::move(made);
    frames_.emplace(group_->world());
  }

  CrowdReport live() {
    begin();
    if (report_.wrong.empty()) write_at_once();
    if (report_.wrong.empty()) check();
    return report_;
  }

 private:
  void begin() {
    if (!group_->wait_for_primary(5 * second)) return wrong("nobody becomes primary");
    const Status made = group_->create_tenant(tenant, 10 * second);
    if (!made) return wrong(to_string(made.error()));
    std::uint64_t requests = 0;
    for (const std::string_view sql :
         {"CREATE TABLE t (k BIGINT PRIMARY KEY, n BIGINT)", "INSERT INTO t VALUES (0, 0)"}) {
      const auto done = group_->execute(tenant, sql, request_id(++requests), 10 * second);
      if (!done) return wrong(to_string(done.error()));
    }
    if (!group_->converge(10 * second)) return wrong("no agreement at first");
    for (std::uint8_t replica = 0; replica < group_->size(); ++replica) {
      if (const Status open = open_sessions(replica); !open) return wrong(to_string(open.error()));
    }
  }
  // A client opens none itself: that holds a lock while it waits.
  Status open_sessions(std::uint8_t replica) {
    for (auto& of_one : sessions_) {
      KIMBERLITE_TRY(of_one[replica], group_->database(replica).session(tenant));
    }
    return {};
  }

  void write_at_once() {
    SimCrowd crowd{group_->world()};
    crowd_ = &crowd;
    for (std::size_t i = 0; i < clients; ++i) crowd.add([this, i] { write_all(i); });
    const std::uint64_t began = now();
    while (!crowd.done()) {
      // Then they end, served or not; a call that never does is no life's to go on after.
      if (now() > began + patience_ns) wrong("somebody is not served\n" + group_->picture());
      if (now() > began + 2 * patience_ns) {
        std::cerr << "a client is never answered\n" << group_->picture();
        KIMBERLITE_ASSERT(false);
      }
      const bool peace = now() >= began + trouble_ns;
      peace ? heal() : trouble();
      for (std::uint8_t i = 0; i < group_->size(); ++i) bring_back(i, peace);
      crowd.turn(choices_.below(clients));
      group_->world().step(5 * ms);
    }
    heal();
    for (std::uint8_t i = 0; i < group_->size(); ++i) bring_back(i, true);
    for (auto& of_one : sessions_) of_one = {};
  }

  void wrong(const std::string& what) {
    if (report_.wrong.empty()) report_.wrong = what;
  }
  [[nodiscard]] std::uint64_t now() { return group_->world().clock().now_ns(); }

  // Each write is asked under its id at one replica after the other until it is answered.
  void write_all(std::size_t client) {
    for (std::uint64_t i = 0; i < writes_each && report_.wrong.empty(); ++i) {
      const std::uint64_t request = 100 + client * 1000 + i;
      const bool appends = choices_.below(3) > 0;
      const bool shared = choices_.below(2) == 0;
      const std::string stream = shared ? "all" : fmt::format("of{}", client);
      Result<Outcome> done = Error{Code::unavailable_quorum, "nobody was asked"};
      for (std::uint64_t turn = choices_.below(3);; ++turn) {
        const std::size_t replica = turn % group_->size();
        done = ask(replica, [&] {
          Session& session = *sessions_[client][replica];
          return appends ? append(session, stream, request) : update(session, request);
        });
        if (done || class_of(done.error().code()) != ErrorClass::unavailable) break;
        if (!report_.wrong.empty()) return;
        if (done.error().code() == Code::unavailable_outcome_unknown) ++report_.unknown;
        if (choices_.below(2) == 0) crowd_->sleep(choices_.below(50 * ms));
      }
      if (!done) return wrong(to_string(done.error()));
      if (done->request_id != request_id(request)) return wrong("the answer is another request's");
      if (!positions_.insert(done->position).second) {
        return wrong(fmt::format("two were told position {}", done->position.value()));
      }
      ++(appends ? events_[stream] : updates_);
    }
  }
  // What a machine says whose power is gone nobody hears.
  template <class Call>
  Result<Outcome> ask(std::size_t replica, Call call) {
    Server& server = servers_[replica];
    if (!server.open) {
      crowd_->sleep(5 * ms);
      return Error{Code::unavailable_io, "it is off"};
    }
    ++server.busy;
    Result<Outcome> said = call();
    --server.busy;
    if (has_power(static_cast<std::uint8_t>(replica))) return said;
    server.open = false;
    return Error{Code::unavailable_outcome_unknown, "the replica died"};
  }
  Result<Outcome> append(Session& session, std::string_view stream, std::uint64_t request) {
    const engine::Event event{.kind = "note", .payload = bytes_of("what happened")};
    return session.append(stream, {}, {&event, 1}, {.request_id = request_id(request)});
  }
  // Lost or done twice, it shows in the sum.
  Result<Outcome> update(Session& session, std::uint64_t request) {
    const engine::Statement statement{"UPDATE t SET n = n + 1 WHERE k = 0", {}};
    return session.execute(std::span{&statement, 1}, {.request_id = request_id(request)});
  }

  [[nodiscard]] bool has_power(std::uint8_t replica) const {
    return group_->is_up(replica) && !group_->world().storage(replica).frozen();
  }
  // One that died is started again when nobody is in its calls any more; they end as they do of a
  // replica that nobody hears.
  void bring_back(std::uint8_t replica, bool at_once) {
    Server& server = servers_[replica];
    if (at_once && has_power(replica)) group_->world().storage(replica).set_faults({});
    if (server.open && !has_power(replica)) {
      server.open = false;
      server.off = true;
      server.back_ns = now() + choices_.below(second);
    }
    if (server.open || server.busy > 0 || (now() < server.back_ns && (!at_once || !server.off)))
      return;
    if (std::exchange(server.off, false)) {
      for (auto& of_one : sessions_) of_one[replica].reset();
      group_->kill(replica);
      if (const Status back = group_->start(replica); !back) return wrong(to_string(back.error()));
      ++report_.deaths;
    }
    server.open = open_sessions(replica).has_value();  // which takes a quorum
    server.back_ns = now() + 50 * ms;
  }

  void trouble() {
    if (choices_.below(200) != 0) return;
    SimGroup& world = group_->world();
    const auto one = static_cast<std::uint8_t>(choices_.below(group_->size()));
    switch (choices_.below(8)) {
      case 6:
        if (servers_[one].open) world.storage(one).crash_after(1 + choices_.below(40));
        return;
      case 7:
        // Together they may have more than a quorum can do without, but for a while only.
        for (std::uint8_t i = 0; i < group_->size(); ++i) {
          if (servers_[i].open && choices_.coin()) static_cast<void>(world.storage(i).crash());
        }
        return;
      case 0:
      case 1:
        return frames_->add({.action = FrameAction::drop, .kind = "prepare_ok"});
      case 2:
        return world.pause(one, now() + choices_.below(800 * ms));
      case 3:
        for (std::uint8_t other = 0; other < group_->size(); ++other) {
          world.cut(one, other);
          if (choices_.below(4) > 0) world.cut(other, one);
        }
        return;
      default:
        return heal();
    }
  }
  void heal() {
    frames_->clear();
    group_->world().join_all();
  }

  void check() {
    if (!group_->converge(60 * second)) return wrong("no agreement in peace" + group_->picture());
    if (const std::string unlike = group_->differences(tenant); !unlike.empty()) {
      return wrong(unlike);
    }
    const std::uint8_t primary = *group_->primary();
    for (const auto& [stream, count] : events_) {
      const auto found = group_->events_at(primary, tenant, stream);
      if (!found) return wrong(to_string(found.error()));
      if (*found != count)
        return wrong(fmt::format("{} has {} events, not {}", stream, *found, count));
    }
    const auto sum = group_->ask_at(primary, tenant, "SELECT n FROM t WHERE k = 0");
    if (!sum) return wrong(to_string(sum.error()));
    if (std::get<std::int64_t>(*sum) != static_cast<std::int64_t>(updates_)) {
      return wrong("an update was lost, or done twice");
    }
    for (std::uint8_t i = 0; i < group_->size(); ++i) {
      if (const Status closed = group_->close(i); !closed) return wrong(to_string(closed.error()));
      const auto report = group_->verify(i);
      if (!report) return wrong(to_string(report.error()));
      if (!report->clean()) return wrong(report->findings.front().what);
    }
  }

  Prng choices_;
  std::unique_ptr<Group> group_;
  std::optional<FrameScript> frames_;
  struct Server {
    bool open = true;  // to clients
    bool off = false;
    int busy = 0;               // calls of clients
    std::uint64_t back_ns = 0;  // when it is tried next to open it
  };
  std::array<Server, 3> servers_;
  std::array<std::array<std::unique_ptr<Session>, 3>, clients> sessions_;
  SimCrowd* crowd_ = nullptr;  // of `write_at_once`
  std::set<Position> positions_;
  std::map<std::string, std::size_t> events_;
  std::size_t updates_ = 0;
  CrowdReport report_;
};

}  // namespace

CrowdReport live_in_a_crowd(std::uint64_t seed) { return CrowdLife{seed}.live(); }

}  // namespace kimberlite::vopr
