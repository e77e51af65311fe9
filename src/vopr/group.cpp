#include "vopr/group.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace kimberlite::vopr {

using engine::Database;
using engine::Member;
using engine::Options;
using engine::Outcome;
using engine::Session;
using engine::Statement;
using engine::StatusReport;
using engine::TenantInfo;
using engine::Why;

namespace {

constexpr std::uint64_t ms = 1'000'000;

// Marks a replica as one a call is under way at.
// The calls under way, the innermost last: while one waits, another may be made elsewhere.
class Busy {
 public:
  Busy(std::vector<std::uint8_t>& calls, std::uint8_t replica) : calls_(calls) {
    calls_.push_back(replica);
  }
  ~Busy() { calls_.pop_back(); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::vector<std::uint8_t>& calls_;
};

}  // namespace

engine::GroupOptions Group::options_of(std::uint8_t replica) const {
  engine::GroupOptions options{
      .group = membership_, .replica = replica, .ring_size = plan_.ring_size};
  options.cluster.fill(std::byte{0x5C});
  return options;
}

Group::Group(std::uint64_t seed, const GroupPlan& plan)
    : plan_(plan),
      key_world_(seed),
      world_(seed, static_cast<std::uint8_t>(plan.voters + plan.standbys + plan.spares)),
      databases_(world_.size()),
      sessions_(world_.size()) {}

Result<std::unique_ptr<Group>> Group::make(std::uint64_t seed, const GroupPlan& plan) {
  std::unique_ptr<Group> group{new Group(seed, plan)};
  KIMBERLITE_CHECK(group->found());
  return group;
}

Status Group::found() {
  const env::Env keys = key_world_.env();
  KIMBERLITE_TRY(master_, keystore::FileMasterKey::create(keys.storage, "key", keys.random));
  const auto members = static_cast<std::uint8_t>(plan_.voters + plan_.standbys);
  for (std::uint8_t i = 0; i < size(); ++i) {
    if (i >= members) {
      world_.power_off(i);
      continue;
    }
    Member& member = membership_.members.emplace_back();
    member = {.index = i, .id = {}, .votes = i < plan_.voters};
    member.id.fill(static_cast<std::byte>(i + 1));
  }
  for (std::uint8_t i = 0; i < members; ++i) {
    if (i == 0) {
      KIMBERLITE_TRY(keys_, Database::create_group(world_.env(0), *master_, options_of(0)));
    } else {
      KIMBERLITE_CHECK(Database::join_group(world_.env(i), *master_, options_of(i), keys_));
    }
  }
  for (std::uint8_t i = 0; i < members; ++i) KIMBERLITE_CHECK(start(i));
  return {};
}

Group::~Group() {
  for (std::uint8_t i = 0; i < size(); ++i) kill(i);
}

Status Group::start(std::uint8_t replica) {
  if (!world_.is_on(replica)) world_.power_on(replica);
  Options options;
  options.actor = "os:ann";
  options.free_bytes_reserve = 0;
  options.simulated = true;
  options.checkpoint_commands = plan_.checkpoint_commands;
  options.quorum_timeout_ns = plan_.quorum_timeout_ns;
  options.cluster_head_every_ns = plan_.cluster_head_every_ns;
  options.strict_journal = plan_.strict;
  options.forward_writes = plan_.forward;
  auto opened = [&] {
    const Busy busy{calls_, replica};
    return Database::open(world_.env(replica), *master_, options);
  }();
  if (!opened || !world_.is_on(replica) || world_.storage(replica).frozen()) {
    world_.power_off(replica);
    if (!opened) return opened.error();
    return Error{Code::unavailable_io, "the power of replica {} failed while it opened", replica};
  }
  databases_[replica] = *std::move(opened);
  world_.on_turn(replica, [this, replica] { turn(replica); });
  return {};
}

// What was forwarded is done when no other call is under way there: there is one thread.
void Group::turn(std::uint8_t replica) {
  if (plan_.forward && !is_busy(replica) && !world_.storage(replica).frozen()) {
    serving_.insert(replica);
    const bool served = databases_[replica]->serve();
    serving_.erase(replica);
    if (!is_up(replica)) return bury(replica);
    if (served) return;
  }
  databases_[replica]->turn(0);
}

Status Group::recover(std::uint8_t replica) {
  world_.power_on(replica);
  Status made = Database::recover_member(world_.env(replica), *master_, options_of(replica), keys_);
  world_.power_off(replica);
  return made;
}

Status Group::add(std::uint8_t index) {
  engine::AddStandby standby{.index = index, .id = {}};
  standby.id.fill(static_cast<std::byte>(index + 1));
  standby.id[0] = static_cast<std::byte>(0x80 + membership_.epoch);
  KIMBERLITE_CHECK(change(standby));
  if (world_.is_on(index)) kill(index);
  world_.disk(index) = {};
  return recover(index);
}

Status Group::change(const engine::MemberChange& change) {
  const std::optional<std::uint8_t> at = primary();
  if (!at) return Error{Code::unavailable_quorum, "nobody is primary"};
  return change_at(*at, change);
}

Status Group::change_at(std::uint8_t replica, const engine::MemberChange& change) {
  return call_at(replica, [&]() -> Status {
    KIMBERLITE_CHECK(databases_[replica]->change_group(change));
    KIMBERLITE_TRY(const StatusReport there, databases_[replica]->status());
    membership_ = there.group;
    return {};
  });
}

void Group::kill(std::uint8_t replica) {
  world_.power_off(replica);
  if (!is_busy(replica)) bury(replica);
}

void Group::bury(std::uint8_t replica) {
  sessions_[replica].clear();
  databases_[replica].reset();
}

template <class Call>
auto Group::call_at(std::uint8_t replica, Call call) -> decltype(call()) {
  auto answer = [&]() -> decltype(call()) {
    const Busy busy{calls_, replica};
    return call();
  }();
  if (is_up(replica) && !world_.storage(replica).frozen()) return answer;
  kill(replica);
  return Error{Code::unavailable_outcome_unknown, "the replica died"};
}

Result<StatusReport> Group::status(std::uint8_t replica) {
  if (!is_up(replica) || databases_[replica] == nullptr) {
    return Error{Code::unavailable_closed, "replica {} is off", replica};
  }
  return call_at(replica, [&] { return databases_[replica]->status(); });
}

std::optional<std::uint8_t> Group::primary() {
  std::optional<std::uint8_t> found;
  std::uint64_t newest = 0;
  for (std::uint8_t i = 0; i < size(); ++i) {
    const auto status = glance(i);
    if (!status || !status->primary || world_.is_paused(i)) continue;
    if (!found || status->view > newest) {
      found = i;
      newest = status->view;
    }
  }
  return found;
}

std::optional<engine::Glance> Group::glance(std::uint8_t replica) const {
  if (!is_up(replica) || databases_[replica] == nullptr) return std::nullopt;
  return databases_[replica]->glance();
}

Status Group::close(std::uint8_t replica) {
  world_.on_turn(replica, nullptr);
  sessions_[replica].clear();
  Status closed = call_at(replica, [&] { return databases_[replica]->close(); });
  databases_[replica].reset();
  return closed;
}

Result<engine::VerifyReport> Group::verify(std::uint8_t replica) {
  SimEnv alone{1, is_up(replica) ? world_.storage(replica).image() : world_.disk(replica)};
  return engine::verify(alone.storage(), {.master = master_.get(),
                                          .log_keys = {},
                                          .since = {},
                                          .projection = true,
                                          .progress = nullptr});
}

bool Group::wait_for_primary(std::uint64_t ns) {
  const std::uint64_t end = world_.clock().now_ns() + ns;
  while (world_.clock().now_ns() < end) {
    if (primary()) return true;
    world_.run_for(20 * ms);
  }
  return false;
}

Result<Session*> Group::session(std::uint8_t replica, std::string_view tenant) {
  auto& open = sessions_[replica];
  const auto found = open.find(tenant);
  if (found != open.end()) return found->second.get();
  KIMBERLITE_TRY(std::unique_ptr<Session> session, databases_[replica]->session(tenant));
  return open.emplace(std::string{tenant}, std::move(session)).first->second.get();
}

Result<Outcome> Group::perform_at(std::uint8_t replica, std::string_view tenant, const Ask& ask) {
  return call_at(replica, [&]() -> Result<Outcome> {
    KIMBERLITE_TRY(Session * session, session(replica, tenant));
    return ask(*session);
  });
}

Result<Outcome> Group::perform_beside(std::uint8_t replica, std::string_view tenant,
                                      const Ask& ask) {
  if (!is_up(replica) || databases_[replica] == nullptr) {
    return Error{Code::unavailable_closed, "replica {} is off", replica};
  }
  return call_at(replica, [&]() -> Result<Outcome> {
    KIMBERLITE_TRY(const auto session, databases_[replica]->session(tenant));
    return ask(*session);
  });
}

Result<Outcome> Group::perform(std::string_view tenant, const Ask& ask, std::uint64_t ns) {
  return follow([&](std::uint8_t replica) { return perform_at(replica, tenant, ask); }, ns);
}

Result<Outcome> Group::rotate_data_key(std::string_view tenant, const Id128& request_id,
                                       std::uint64_t ns) {
  return follow(
      [&](std::uint8_t replica) {
        return call_at(replica, [&] {
          return databases_[replica]->rotate_data_key(tenant, {.request_id = request_id});
        });
      },
      ns);
}

Result<Outcome> Group::follow(const std::function<Result<Outcome>(std::uint8_t replica)>& ask,
                              std::uint64_t ns) {
  const std::uint64_t end = world_.clock().now_ns() + ns;
  Result<Outcome> last = Error{Code::unavailable_quorum, "nobody was asked"};
  while (world_.clock().now_ns() < end) {
    for (std::uint8_t i = 0; i < size(); ++i) {
      const auto there = glance(i);
      if (!there || there->state == "failed") continue;
      last = ask(i);
      if (last || class_of(last.error().code()) != ErrorClass::unavailable) {
        const bool not_there = !last && last.error().code() == Code::not_found_tenant;
        if (!not_there) return last;
      }
    }
    world_.run_for(20 * ms);
  }
  return last;
}

Result<Outcome> Group::execute_at(std::uint8_t replica, std::string_view tenant,
                                  std::string_view sql, const Why& why) {
  return perform_at(replica, tenant, [&](Session& session) {
    const Statement statement{.sql = sql, .parameters = {}};
    return session.execute({&statement, 1}, why);
  });
}

Result<Outcome> Group::execute(std::string_view tenant, std::string_view sql,
                               const Id128& request_id, std::uint64_t ns) {
  return perform(
      tenant,
      [&](Session& session) {
        const Statement statement{.sql = sql, .parameters = {}};
        return session.execute({&statement, 1}, {.request_id = request_id});
      },
      ns);
}

Result<Value> Group::ask_at(std::uint8_t replica, std::string_view tenant, std::string_view sql) {
  return call_at(replica, [&]() -> Result<Value> {
    KIMBERLITE_TRY(Session * session, session(replica, tenant));
    KIMBERLITE_TRY(auto cursor, session->query({.sql = sql, .parameters = {}}, {}, {}));
    KIMBERLITE_TRY(const bool found, cursor->next());
    if (!found) return Error{Code::not_found_object, "no row"};
    return own(cursor->row()[0]);
  });
}

Result<Outcome> Group::append_at(std::uint8_t replica, std::string_view tenant,
                                 std::string_view stream, std::string_view payload,
                                 const Why& why) {
  return call_at(replica, [&]() -> Result<Outcome> {
    KIMBERLITE_TRY(Session * session, session(replica, tenant));
    const engine::Event event{.kind = "event", .payload = bytes_of(payload)};
    return session->append(stream, {}, {&event, 1}, why);
  });
}

Result<std::size_t> Group::events_at(std::uint8_t replica, std::string_view tenant,
                                     std::string_view stream) {
  return call_at(replica, [&]() -> Result<std::size_t> {
    KIMBERLITE_TRY(Session * session, session(replica, tenant));
    KIMBERLITE_TRY(const auto events, session->read(stream, Sequence{0}, 10'000));
    return events.size();
  });
}

Status Group::create_tenant(std::string_view name, std::uint64_t ns) {
  const std::uint64_t end = world_.clock().now_ns() + ns;
  Error last{Code::unavailable_quorum, "nobody was asked"};
  while (world_.clock().now_ns() < end) {
    for (std::uint8_t i = 0; i < size(); ++i) {
      if (!glance(i)) continue;
      const Status made = call_at(i, [&]() -> Status {
        KIMBERLITE_TRY(const TenantInfo info, databases_[i]->create_tenant(name, {}));
        static_cast<void>(info);
        return {};
      });
      if (made || made.error().code() == Code::constraint_exists) return {};
      last = made.error();
    }
    world_.run_for(20 * ms);
  }
  return last;
}

bool Group::converge(std::uint64_t ns) {
  const std::uint64_t end = world_.clock().now_ns() + ns;
  while (world_.clock().now_ns() < end) {
    world_.run_for(50 * ms);
    std::optional<std::pair<OpNumber, Hash>> common;
    bool equal = true;
    for (std::uint8_t i = 0; i < size() && equal; ++i) {
      if (!glance(i)) return false;
      const auto status = this->status(i);
      if (!status || status->state != "normal") {
        equal = false;
        break;
      }
      const std::pair here{status->committed, status->state_digest};
      if (!common) common = here;
      equal = *common == here;
    }
    if (equal && common) return true;
  }
  return false;
}

std::vector<Difference> Group::compare(std::string_view tenant) {
  std::vector<Difference> all;
  const auto differ = [&all](Unlike what, std::string text) {
    all.push_back({what, std::move(text)});
  };
  std::optional<StatusReport> first;
  std::string first_dump;
  for (std::uint8_t i = 0; i < size(); ++i) {
    if (!is_up(i)) continue;
    const auto status = this->status(i);
    if (!status) {
      differ(Unlike::nothing_read, fmt::format("replica {}: {}", i, to_string(status.error())));
      continue;
    }
    Position head;
    for (const TenantInfo& one : status->tenants) {
      if (one.name == tenant) head = one.logs[0].position;
    }
    const auto dump = call_at(i, [&] { return databases_[i]->dump(tenant, head); });
    if (!dump) {
      differ(Unlike::nothing_read, fmt::format("replica {}: {}", i, to_string(dump.error())));
      continue;
    }
    if (!first) {
      first = *status;
      first_dump = *dump;
      continue;
    }
    for (std::size_t t = 0; t < status->tenants.size() && t < first->tenants.size(); ++t) {
      for (std::size_t lane = 0; lane < status->tenants[t].logs.size(); ++lane) {
        if (status->tenants[t].logs[lane].root == first->tenants[t].logs[lane].root) continue;
        differ(Unlike::heads, fmt::format("replica {}: tenant {}: another root", i, t));
      }
    }
    // The state has the heads in it, so theirs comes first.
    if (status->state_digest != first->state_digest) {
      differ(Unlike::state, fmt::format("replica {} has another state digest", i));
    }
    if (*dump != first_dump) differ(Unlike::rows, fmt::format("replica {} has another dump", i));
  }
  return all;
}

std::string Group::differences(std::string_view tenant) {
  std::string all;
  for (const Difference& one : compare(tenant)) all += one.text + "\n";
  return all;
}

std::string Group::picture() {
  std::string all;
  for (std::uint8_t i = 0; i < size(); ++i) {
    const auto seen = glance(i);
    all += seen ? fmt::format("\n  {} {}{} view {} head {} commit {} checkpoint {} waiting {}", i,
                              seen->state, seen->primary ? ", primary," : "", seen->view,
                              seen->head.value(), seen->committed.value(), seen->checkpoint.value(),
                              seen->waiting)
                : fmt::format("\n  {} is down", i);
    if (world_.is_paused(i)) all += ", paused";
  }
  return all;
}

}  // namespace kimberlite::vopr
