// Who is in a group: its bytes, what may follow what, and who leads which view.
#include "consensus/configuration.hpp"

#include <gtest/gtest.h>

#include "support/node.hpp"

namespace kimberlite::consensus {
namespace {

using Encoded = std::array<std::byte, configuration_size>;

Encoded encoded(const Configuration& configuration) {
  Encoded bytes;
  encode_configuration(configuration, bytes);
  return bytes;
}

Configuration sample() {
  Configuration group = testing::group_of(4, 2);
  group.epoch = 7;
  group.op = OpNumber{900};
  group.voters = 0b10'1011;
  return group;
}

// The group with one change more.
Configuration after(Configuration group) {
  ++group.epoch;
  return group;
}

TEST(Configuration, IsReadAsItWasWritten) {
  const auto read = decode_configuration(encoded(sample()));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, sample());
}

TEST(Configuration, OnlyWhatIsPossibleIsRead) {
  const auto refuses = [](std::size_t at, std::byte value) {
    Encoded bytes = encoded(sample());
    bytes[at] = value;
    const auto read = decode_configuration(bytes);
    return !read && read.error().code() == Code::integrity_encoding;
  };
  EXPECT_FALSE(refuses(0, std::byte{8})) << "another epoch";
  EXPECT_TRUE(refuses(4, std::byte{1})) << "an epoch no message can name";
  EXPECT_TRUE(refuses(16, std::byte{0b100'0000})) << "who is no member votes";
  EXPECT_TRUE(refuses(17, std::byte{0x20})) << "there is no fourteenth member";
  EXPECT_TRUE(refuses(18, std::byte{1})) << "a byte that must be zero";
  Configuration nobody = sample();
  nobody.voters = 0;
  EXPECT_FALSE(decode_configuration(encoded(nobody)).has_value());
  Configuration many = testing::group_of(7, 1);
  many.voters = 0xFF;
  EXPECT_FALSE(decode_configuration(encoded(many)).has_value()) << "eight voters";
}

TEST(Configuration, ChangesByOne) {
  const Configuration three = testing::group_of(3, 2);
  const auto refused = [](const Configuration& from, const Configuration& to) {
    const Status status = check_change(from, to);
    return !status && status.error().code() == Code::usage_config;
  };
  EXPECT_TRUE(refused(three, three)) << "the epoch is that of before";
  Configuration four = after(three);
  four.voters = 0b1111;
  EXPECT_TRUE(check_change(three, four).has_value());
  Configuration five = four;
  five.voters = 0b1'1111;
  EXPECT_TRUE(refused(three, five)) << "two at once";
  Configuration other = after(three);
  other.voters = 0b1011;
  EXPECT_TRUE(refused(three, other)) << "one comes and one goes";
  Configuration two = after(three);
  two.voters = 0b11;
  EXPECT_TRUE(refused(three, two)) << "two do not survive one failure";
  Configuration left = after(four);
  left.voters = 0b0111;
  left.members[3] = {};
  EXPECT_TRUE(check_change(four, left).has_value()) << "a voter leaves altogether";
  Configuration joined = after(three);
  joined.members[7].fill(std::byte{8});
  EXPECT_TRUE(check_change(three, joined).has_value());
  joined.voters |= 0b1000'0000;
  EXPECT_TRUE(refused(three, joined)) << "it has not caught up";
  Configuration replaced = after(three);
  replaced.members[3].fill(std::byte{0x77});
  EXPECT_TRUE(refused(three, replaced)) << "an index is another member's at once";
  const Configuration alone = testing::group_of(1, 1);
  Configuration pair = after(alone);
  pair.voters = 0b11;
  EXPECT_TRUE(refused(alone, pair)) << "who runs alone is made no group";
}

// Two replicas that know different configurations name the same primary, or one of them none.
TEST(Configuration, AViewHasOnePrimaryWhateverTheConfiguration) {
  const Configuration three = testing::group_of(3, 2);
  Configuration later = after(three);
  later.voters = 0b1'0110;
  for (std::uint64_t view = 0; view < 100; ++view) {
    EXPECT_EQ(three.primary_of(ViewNumber{view}), later.primary_of(ViewNumber{view}));
    const ViewNumber next = three.view_after(ViewNumber{view});
    EXPECT_GT(next.value(), view);
    EXPECT_TRUE(three.votes(three.primary_of(next)));
    for (std::uint64_t between = view + 1; between < next.value(); ++between) {
      EXPECT_FALSE(three.votes(three.primary_of(ViewNumber{between})));
    }
  }
  EXPECT_EQ(later.turns_until(ViewNumber{1}, 2), 0U);
  EXPECT_EQ(later.turns_until(ViewNumber{1}, 4), 1U);
  EXPECT_EQ(later.turns_until(ViewNumber{4}, 1), 0U);
  const Configuration alone = testing::group_of(1, 1);
  EXPECT_EQ(alone.primary_of(ViewNumber{5}), 0U);
  EXPECT_EQ(alone.view_after(ViewNumber{5}), ViewNumber{6}) << "a lone voter leads every view";
}

}  // namespace
}  // namespace kimberlite::consensus
