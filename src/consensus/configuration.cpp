#include "consensus/configuration.hpp"

#include <algorithm>
#include <bit>

#include "base/assert.hpp"
#include "base/le.hpp"
#include "consensus/core/quorum.hpp"

namespace kimberlite::consensus {
namespace {

constexpr std::size_t members_at = 24;
static_assert(members_at + members_max * sizeof(Id128) == configuration_size);

}  // namespace

std::uint8_t Configuration::voter_count() const {
  return static_cast<std::uint8_t>(std::popcount(voters));
}

std::uint8_t Configuration::member_count() const {
  const auto none = std::ranges::count(members, Id128{});
  return static_cast<std::uint8_t>(members_max - static_cast<std::size_t>(none));
}

bool Configuration::is_alone() const {
  const auto is_member = [](const Id128& id) { return id != Id128{}; };
  const auto first = std::ranges::find_if(members, is_member);
  return first == members.end() || std::none_of(first + 1, members.end(), is_member);
}

std::uint8_t Configuration::primary_of(ViewNumber view) const {
  if (std::has_single_bit(voters)) return static_cast<std::uint8_t>(std::countr_zero(voters));
  return static_cast<std::uint8_t>(view.value() % members_max);
}

ViewNumber Configuration::view_after(ViewNumber view) const {
  KIMBERLITE_ASSERT(voters != 0);
  do {
    view = ViewNumber{view.value() + 1};
  } while (!votes(primary_of(view)));
  return view;
}

std::uint8_t Configuration::turns_until(ViewNumber view, std::uint8_t index) const {
  std::uint8_t turns = 0;
  for (std::size_t step = 1; step < members_max; ++step) {
    const auto at = static_cast<std::uint8_t>((primary_of(view) + step) % members_max);
    if (at == index) break;
    if (votes(at)) ++turns;
  }
  return turns;
}

Configuration first_configuration(std::span<const Id128> members, std::uint8_t voters) {
  KIMBERLITE_ASSERT(members.size() <= members_max && voters <= members.size());
  Configuration configuration;
  configuration.voters = static_cast<std::uint16_t>((1U << voters) - 1);
  std::ranges::copy(members, configuration.members.begin());
  return configuration;
}

bool is_possible(const Configuration& configuration) {
  const std::uint8_t voters = configuration.voter_count();
  if (voters < 1 || voters > core::voters_max || configuration.epoch > epoch_max ||
      (configuration.voters >> members_max) != 0) {
    return false;
  }
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (configuration.votes(i) && !configuration.has(i)) return false;
  }
  return true;
}

Status check_change(const Configuration& from, const Configuration& to) {
  const auto refuse = [](std::string_view why) {
    return Error{Code::usage_config, "the group cannot be changed so"}.why("{}", why);
  };
  if (!is_possible(to) || to.epoch != from.epoch + 1) {
    return refuse("this is no configuration that can follow");
  }
  if (from.voters != to.voters && !core::may_change_voters(from.voters, to.voters)) {
    return refuse("one voter comes or goes at a time, and 3 to 7 stay")
        .next("to replace a voter add the new one first, then remove the old one");
  }
  std::size_t changed = 0;
  for (std::uint8_t i = 0; i < members_max; ++i) {
    if (from.members[i] == to.members[i]) continue;
    ++changed;
    if (from.has(i) && to.has(i)) return refuse("the index is another member's");
    // Who votes is here already, and follows the log.
    if (!from.has(i) && to.votes(i)) {
      return refuse("a member joins as a standby, and votes when it has caught up");
    }
  }
  if (changed > 1) return refuse("one member joins or leaves at a time");
  return {};
}

void encode_configuration(const Configuration& configuration,
                          std::span<std::byte, configuration_size> to) {
  std::ranges::fill(to, std::byte{0});
  store_le(to.data(), configuration.epoch);
  store_le(to.data() + 8, configuration.op.value());
  store_le(to.data() + 16, configuration.voters);
  for (std::size_t i = 0; i < members_max; ++i) {
    std::ranges::copy(configuration.members[i], to.data() + members_at + i * sizeof(Id128));
  }
}

Result<Configuration> decode_configuration(std::span<const std::byte, configuration_size> from) {
  Configuration configuration;
  configuration.epoch = load_le<std::uint64_t>(from.data());
  configuration.op = OpNumber{load_le<std::uint64_t>(from.data() + 8)};
  configuration.voters = load_le<std::uint16_t>(from.data() + 16);
  for (std::size_t i = 0; i < members_max; ++i) {
    std::copy_n(from.data() + members_at + i * sizeof(Id128), sizeof(Id128),
                configuration.members[i].begin());
  }
  if (!all_zero(from.subspan(18, members_at - 18)) || !is_possible(configuration)) {
    return Error{Code::integrity_encoding, "a configuration of the group contradicts itself"};
  }
  return configuration;
}

}  // namespace kimberlite::consensus
