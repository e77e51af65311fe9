// Changing the group of a database.
#include "membership.hpp"

#include <algorithm>

#include "base/probe.hpp"
#include "core.hpp"

namespace kimberlite::engine {
namespace {

using consensus::Configuration;

Error no_such_change(std::uint8_t index, std::string_view why) {
  return Error{Code::usage_config, "the group cannot be changed so"}
      .where("member {}", index)
      .why("{}", why)
      .next("look who is in the group by now");
}

bool has_id(const Configuration& group, const Id128& id) {
  return std::ranges::find(group.members, id) != group.members.end();
}

std::uint16_t bit_of(std::uint8_t index) { return static_cast<std::uint16_t>(1U << index); }

// Makes `to`, which is the group as it is, what it is to be.
Status change(Configuration& to, const AddStandby& add) {
  if (add.index >= consensus::members_max) {
    return no_such_change(add.index, "members have the indices 0 to 12");
  }
  if (to.has(add.index)) return no_such_change(add.index, "there is one of this index");
  // Zeros stand where there is no member.
  if (has_id(to, add.id)) return no_such_change(add.index, "its id is zero, or another member's");
  to.members[add.index] = add.id;
  return {};
}

Status change(Configuration& to, const Promote& promote) {
  if (!to.has(promote.index)) return no_such_change(promote.index, "there is no such member");
  if (to.votes(promote.index)) return no_such_change(promote.index, "it votes already");
  to.voters |= bit_of(promote.index);
  return {};
}

Status change(Configuration& to, const Demote& demote) {
  if (!to.votes(demote.index)) return no_such_change(demote.index, "there is no such voter");
  to.voters &= static_cast<std::uint16_t>(~bit_of(demote.index));
  return {};
}

Status change(Configuration& to, const Remove& remove) {
  if (!to.has(remove.index)) return no_such_change(remove.index, "there is no such member");
  to.voters &= static_cast<std::uint16_t>(~bit_of(remove.index));
  to.members[remove.index] = {};
  return {};
}

}  // namespace

Membership membership_of(const Configuration& group) {
  Membership membership{.epoch = group.epoch, .op = group.op, .members = {}};
  for (std::uint8_t i = 0; i < consensus::members_max; ++i) {
    if (!group.has(i)) continue;
    membership.members.push_back({.index = i, .id = group.members[i], .votes = group.votes(i)});
  }
  return membership;
}

Result<Configuration> to_configuration(const Membership& group) {
  Configuration configuration;
  configuration.epoch = group.epoch;
  configuration.op = group.op;
  for (const Member& member : group.members) {
    KIMBERLITE_CHECK(change(configuration, AddStandby{.index = member.index, .id = member.id}));
    if (member.votes) KIMBERLITE_CHECK(change(configuration, Promote{member.index}));
  }
  if (!consensus::is_possible(configuration)) {
    return Error{Code::usage_config, "there is no group of {} voters and epoch {}",
                 configuration.voter_count(), configuration.epoch}
        .why("a group has 1 to 7 voters");
  }
  return configuration;
}

Result<Configuration> changed(const Configuration& from, const MemberChange& change) {
  Configuration to = from;
  ++to.epoch;
  KIMBERLITE_CHECK(std::visit([&](const auto& what) { return engine::change(to, what); }, change));
  return to;
}

// ---- of the database ----------------------------------------------------------------------------

Result<Configuration> Core::check_change(consensus::Now now, const MemberChange& change) {
  if (failed_) return *failed_;
  if (!is_group_) {
    return Error{Code::usage_config, "a database alone has no group to change"};
  }
  if (!replica_->is_primary()) return not_primary();
  replica_->observe(now);
  note_clock(now);
  if (replica_->clock().refuses()) return clock_refuses();
  KIMBERLITE_TRY(const Configuration to, changed(replica_->configuration(), change));
  KIMBERLITE_CHECK(replica_->check_reconfigure(to));
  return to;
}

Status Core::change_group(const MemberChange& change) {
  Signal signal;
  Status done =
      Error{Code::unavailable_outcome_unknown, "it is not known whether the group was changed"}
          .why("the group changed its primary, or a quorum did not answer")
          .next("ask the primary for its status, and change the group then if it was not");
  run_on_strand([&](Core& /*core*/) {
    const consensus::Now now = this->now();
    const Result<Configuration> to = check_change(now, change);
    if (!to) {
      probe<"engine.group.change_refused">();
      done = to.error();
      driver_.set(signal);
      return;
    }
    const std::uint64_t ticket = next_ticket_++;
    in_flight_.emplace(ticket, InFlight{.batches = {},
                                        .fences = {{&signal, &done, now.monotonic_ns}},
                                        .submitted_ns = now.monotonic_ns});
    step(now, consensus::Reconfigure{ticket, *to});
    after_step();
  });
  driver_.wait(signal);
  return done;
}

}  // namespace kimberlite::engine
