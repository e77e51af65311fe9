// What replicas say to each other of forwarded writes: what is encoded is decoded, and nothing
// else.
#include "forward.hpp"

#include <gtest/gtest.h>

#include "base/codec.hpp"

namespace kimberlite::engine::test {
namespace {

Id128 some_id(std::uint8_t fill) {
  Id128 id{};
  id.fill(std::byte{fill});
  return id;
}

ForwardedWrite sql() {
  ForwardedWrite write;
  write.tenant = "clinic";
  write.actor = {.name = "os:ann", .method = "local", .kind = kernel::ActorKind::service};
  write.session = some_id(1);
  write.request_id = some_id(2);
  write.expected = Position{7};
  write.reason = "a reason";
  write.correlation = "a correlation";
  write.statements = {{"INSERT INTO t VALUES ($1, $2)", {Value{std::int64_t{-1}}, Value{Null{}}}},
                      {"DELETE FROM t WHERE id = $1", {Value{std::string{"x"}}}}};
  return write;
}

ForwardedWrite append() {
  ForwardedWrite write = sql();
  write.statements.clear();
  write.request_id.reset();
  write.idempotency_key = "a key";
  write.is_named = true;
  write.expected.reset();
  write.stream = "visits";
  write.expected_sequence = Sequence{3};
  write.events = {{"seen", Buffer{std::byte{1}, std::byte{2}}}, {"", {}}};
  return write;
}

TEST(Forward, AWriteIsReadAsItWasSent) {
  for (const ForwardedWrite& write : {sql(), append()}) {
    const Buffer bytes = encode_forwarded(write);
    const auto read = decode_forwarded(bytes);
    ASSERT_TRUE(read) << to_string(read.error());
    EXPECT_EQ(encode_forwarded(*read), bytes);
    EXPECT_EQ(read->tenant, write.tenant);
    EXPECT_EQ(read->actor, write.actor);
    EXPECT_EQ(read->request_id, write.request_id);
    EXPECT_EQ(read->idempotency_key, write.idempotency_key);
    EXPECT_EQ(read->is_named, write.is_named);
    EXPECT_EQ(read->expected, write.expected);
    EXPECT_EQ(read->expected_sequence, write.expected_sequence);
    EXPECT_EQ(read->statements.size(), write.statements.size());
    EXPECT_EQ(read->events.size(), write.events.size());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_forwarded(Bytes(bytes).first(size))) << size;
    }
  }
}

TEST(Forward, AnOutcomeIsReadAsItWasSent) {
  Outcome outcome;
  outcome.position = Position{5};
  outcome.timestamp = TimestampUs{6};
  outcome.leaf.fill(std::byte{7});
  outcome.request_id = some_id(8);
  outcome.rows = 9;
  outcome.replayed = true;
  outcome.returning.columns = {{"a", std::nullopt}, {"b", std::nullopt}};
  outcome.returning.rows = {{Value{std::int64_t{1}}, Value{std::string{"x"}}}};
  outcome.notices = {"a notice"};
  const Buffer bytes = encode_outcome(outcome);
  const auto read = decode_outcome(bytes);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(encode_outcome(*read), bytes);
  EXPECT_EQ(read->returning.rows, outcome.returning.rows);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_outcome(Bytes(bytes).first(size))) << size;
  }
}

TEST(Forward, AnErrorIsReadAsItWasSent) {
  const auto error = Error{Code::constraint_primary_key, "the key is taken"}
                         .where("table t")
                         .why("by another row")
                         .next("choose another");
  const auto read = decode_error(encode_error(error));
  ASSERT_TRUE(read);
  EXPECT_EQ(to_string(*read), to_string(error));
  // One of a later release, which this one has no name for.
  Buffer unknown = encode_error(error);
  unknown[0] = std::byte{0xFE};
  unknown[1] = std::byte{0x7F};
  const auto other = decode_error(unknown);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->code(), Code::internal_bug);
  EXPECT_EQ(other->what(), "the key is taken");
}

}  // namespace
}  // namespace kimberlite::engine::test
