#include <gtest/gtest.h>

#include <algorithm>

#include "kimberlite/kimberlite.hpp"

namespace kimberlite {
namespace {

// A session on a database in memory with one record of one event.
class ReceiptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = Database::in_memory();
    ASSERT_TRUE(opened) << to_string(opened.error());
    database_ = *std::move(opened);
    auto session = database_->local_session();
    ASSERT_TRUE(session) << to_string(session.error());
    session_ = *std::move(session);
    const auto commit = append("arrived");
    ASSERT_TRUE(commit) << to_string(commit.error());
    commit_ = *commit;
  }
  Result<Commit> append(std::string kind) {
    return session_->append("visits", Expect::any(), {{std::move(kind), "patient 7"}});
  }
  std::string key_line() {
    const auto key = session_->log_key();
    EXPECT_TRUE(key) << to_string(key.error());
    return key ? key->to_text() : std::string{};
  }

  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
  Commit commit_;
};

TEST_F(ReceiptTest, ProvesARecordAndDisclosesNothingUnasked) {
  const auto receipt = session_->receipt(commit_.position);
  ASSERT_TRUE(receipt) << to_string(receipt.error());
  const auto record = verify(*receipt, LogKey::parse(key_line()));
  ASSERT_TRUE(record) << to_string(record.error());
  EXPECT_EQ(record->entry().position, commit_.position);
  EXPECT_EQ(record->entry().timestamp, commit_.timestamp);
  EXPECT_EQ(record->leaf(), commit_.hash);
  EXPECT_FALSE(record->opened());
}

TEST_F(ReceiptTest, OpensTheItemThatIsDisclosed) {
  const auto receipt = session_->receipt(commit_.position, Disclose{0});
  ASSERT_TRUE(receipt) << to_string(receipt.error());
  const auto record = verify(*receipt, LogKey::parse(key_line()));
  ASSERT_TRUE(record) << to_string(record.error());
  ASSERT_TRUE(record->opened());
  const VerifiedItem& item = *record->opened();
  const auto plaintext = record::decode_plaintext(item.header, item.plaintext);
  ASSERT_TRUE(plaintext) << to_string(plaintext.error());
  ASSERT_EQ(plaintext->events.size(), 1U);
  EXPECT_EQ(plaintext->events[0].kind, "arrived");
}

TEST_F(ReceiptTest, IsTheSameAfterItWasText) {
  const std::string text = session_->receipt(commit_.position, Disclose{0})->to_text();
  const auto parsed = Receipt::parse(text);
  ASSERT_TRUE(parsed) << to_string(parsed.error());
  EXPECT_EQ(parsed->to_text(), text);
  EXPECT_TRUE(verify(*parsed, LogKey::parse(key_line())));
}

TEST_F(ReceiptTest, NoChangedTextIsVerified) {
  const std::string text = session_->receipt(commit_.position, Disclose{0})->to_text();
  const auto key = LogKey::parse(key_line());
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const auto parsed = Receipt::parse(changed);
    EXPECT_FALSE(parsed && verify(*parsed, key)) << "byte " << at;
  }
}

TEST_F(ReceiptTest, AnotherLogsKeyAndALineThatIsNoneAreRefused) {
  const auto receipt = session_->receipt(commit_.position);
  ASSERT_TRUE(receipt);
  const auto other = Database::in_memory();
  ASSERT_TRUE(other);
  const auto session = (*other)->local_session();
  ASSERT_TRUE((*session)->append("visits", Expect::any(), {{"arrived", ""}}));
  const auto by_other = verify(*receipt, (*session)->log_key());
  ASSERT_FALSE(by_other);
  EXPECT_EQ(by_other.error().code(), Code::integrity_signature);
  const auto by_none = verify(*receipt, LogKey::parse("kimberlite"));
  ASSERT_FALSE(by_none);
  EXPECT_EQ(by_none.error().code(), Code::usage_key);
}

TEST_F(ReceiptTest, OfWhatIsNotThere) {
  const auto beyond = session_->receipt(Position{99});
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code(), Code::not_found_position);
  const auto item = session_->receipt(commit_.position, Disclose{99});
  ASSERT_FALSE(item);
  EXPECT_EQ(item.error().code(), Code::not_found_object);
  const auto empty = Database::in_memory();
  ASSERT_TRUE(empty);
  const auto key = (*(*empty)->local_session())->log_key();
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code(), Code::not_found_position);
}

}  // namespace
}  // namespace kimberlite
