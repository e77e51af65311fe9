// Who is in the group: its members, each at an index that stays its own, and which of them vote.
//
// A group changes by one at a time, and by an operation of its log whose body is the configuration
// that follows; the operation is committed by the voters of the one before. Whatever its
// configuration, view v is led by the member at index v % 13, if that one votes; the views between
// are skipped. So replicas that do not know of a change yet and those that do never take two
// members for the primary of one view.
//
//   configuration, 232 bytes, integers little-endian
//       0 epoch u64          one more with every change
//       8 op u64             the operation that made it; 0 if the group began with it
//      16 voters u16         bit i: the member at index i votes
//      18 zero 6
//      24 members, 13 ids of 16 bytes; zeros where there is none
//
// Thread rule: values and pure functions.
//
// Source: Ongaro 2014, section 4.1; Liskov and Cowling 2012, section 7; design, consensus.md.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "consensus/core/quorum.hpp"

namespace kimberlite::consensus {

using ViewNumber = Strong<struct ViewTag>;

inline constexpr std::size_t members_max = core::members_max;
inline constexpr std::size_t configuration_size = 232;
// Room for it in the head of a message; nobody changes his group that often.
inline constexpr std::uint64_t epoch_max = 0xFFFF'FFFF;

struct Configuration {
  std::uint64_t epoch = 0;
  OpNumber op;  // committed, wherever this configuration is in effect
  std::uint16_t voters = 0;
  std::array<Id128, members_max> members{};

  [[nodiscard]] bool has(std::uint8_t index) const {
    return index < members_max && members[index] != Id128{};
  }
  [[nodiscard]] bool votes(std::uint8_t index) const {
    return index < members_max && ((std::uint32_t{voters} >> index) & 1U) != 0;
  }
  [[nodiscard]] std::uint8_t voter_count() const;
  [[nodiscard]] std::uint8_t member_count() const;
  // One member at most. Asked whenever a replica moves: the first two say it, nearly always.
  [[nodiscard]] bool is_alone() const;
  // A lone voter leads every view; of others view v is led by the member at v % 13, if it votes.
  [[nodiscard]] std::uint8_t primary_of(ViewNumber view) const;
  // The first view after `view` that one of its voters leads.
  [[nodiscard]] ViewNumber view_after(ViewNumber view) const;
  // How many voters come before `index` in turn, if the primary of `view` is passed over.
  [[nodiscard]] std::uint8_t turns_until(ViewNumber view, std::uint8_t index) const;

  friend bool operator==(const Configuration&, const Configuration&) = default;
};

// Of a new group: the first `voters` of at most `members_max` members vote.
[[nodiscard]] Configuration first_configuration(std::span<const Id128> members,
                                                std::uint8_t voters);

// One to seven voters, all of them members.
[[nodiscard]] bool is_possible(const Configuration& configuration);

// Says why the group may not go from one to the other: more than one member or voter comes or goes,
// or too few stay. Fails with `usage.config`.
[[nodiscard]] Status check_change(const Configuration& from, const Configuration& to);

void encode_configuration(const Configuration& configuration,
                          std::span<std::byte, configuration_size> to);
// Fails with `integrity.encoding` unless the bytes are what the above writes.
[[nodiscard]] Result<Configuration> decode_configuration(
    std::span<const std::byte, configuration_size> from);

}  // namespace kimberlite::consensus
