#include "keystore/master_key.hpp"

#include <gtest/gtest.h>

#include "platform/memory_storage.hpp"
#include "seeded_random.hpp"

namespace kimberlite::keystore {
namespace {

class MasterKeyTest : public testing::Test {
 protected:
  std::string text(std::string_view path) {
    auto file = storage_.open(path, env::Open::read).value();
    std::string all(file->size().value(), '\0');
    EXPECT_TRUE(file->read_at(0, std::as_writable_bytes(std::span{all.data(), all.size()})));
    return all;
  }
  void put(std::string_view path, std::string_view content) {
    auto file = storage_.open(path, env::Open::create).value();
    EXPECT_TRUE(file->truncate(0));
    EXPECT_TRUE(file->write_at(0, bytes_of(content)));
  }
  Result<std::unique_ptr<FileMasterKey>> load(std::string_view path) {
    return FileMasterKey::load(storage_, path, random_);
  }

  platform::MemoryStorage storage_;
  SeededRandom random_{1};
  Buffer secret_ = Buffer(32, std::byte{0x42});
};

TEST_F(MasterKeyTest, UnwrapsWhatItWrapped) {
  auto made = FileMasterKey::create(storage_, "keys/a.key", random_);
  ASSERT_TRUE(made.has_value());
  const Buffer wrapped = (*made)->wrap(secret_).value();
  EXPECT_NE((*made)->wrap(secret_).value(), wrapped) << "a nonce of its own each time";
  auto loaded = load("keys/a.key");
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ((*loaded)->unwrap(wrapped).value(), secret_);
  EXPECT_EQ((*loaded)->fingerprint(), (*made)->fingerprint());
}

TEST_F(MasterKeyTest, IsNeverOverwritten) {
  ASSERT_TRUE(FileMasterKey::create(storage_, "a.key", random_));
  const std::string before = text("a.key");
  const auto again = FileMasterKey::create(storage_, "a.key", random_);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code(), Code::constraint_exists);
  EXPECT_EQ(text("a.key"), before);
}

TEST_F(MasterKeyTest, TellsAnotherKeyFromADamagedWrap) {
  auto own = FileMasterKey::create(storage_, "a.key", random_).value();
  auto other = FileMasterKey::create(storage_, "b.key", random_).value();
  const Buffer wrapped = own->wrap(secret_).value();
  EXPECT_EQ(other->unwrap(wrapped).error().code(), Code::unavailable_wrong_key);
  for (std::size_t at = 0; at < wrapped.size(); ++at) {
    Buffer changed = wrapped;
    changed[at] ^= std::byte{0x10};
    const auto opened = own->unwrap(changed);
    ASSERT_FALSE(opened.has_value()) << at;
    const bool names_key = at >= 8 && at < 16;
    EXPECT_EQ(opened.error().code(),
              names_key ? Code::unavailable_wrong_key : Code::integrity_keystore)
        << at;
  }
  for (std::size_t size = 0; size < wrapped.size(); ++size) {
    EXPECT_FALSE(own->unwrap(Bytes{wrapped}.first(size)).has_value()) << size;
  }
}

TEST_F(MasterKeyTest, SurvivesWhatEditorsDo) {
  auto made = FileMasterKey::create(storage_, "a.key", random_).value();
  std::string edited;
  for (const char c : text("a.key")) {
    if (c == '\n')
      edited += "  \r\n\n";
    else
      edited += c;
  }
  put("b.key", edited);
  auto loaded = load("b.key");
  ASSERT_TRUE(loaded.has_value()) << to_string(loaded.error());
  EXPECT_EQ((*loaded)->fingerprint(), made->fingerprint());
}

TEST_F(MasterKeyTest, RefusesADamagedFileAndNeverShowsIt) {
  auto made = FileMasterKey::create(storage_, "a.key", random_).value();
  const std::string whole = text("a.key");
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x01);
    put("b.key", changed);
    const auto loaded = load("b.key");
    if (loaded) {  // a line feed at the end that became another character it ignores
      ADD_FAILURE() << "byte " << at;
      continue;
    }
    const Code code = loaded.error().code();
    EXPECT_TRUE(code == Code::unavailable_key || code == Code::unavailable_version) << at;
    EXPECT_EQ(to_string(loaded.error()).find(whole.substr(24, 16)), std::string::npos);
  }
  put("b.key", whole.substr(0, whole.size() / 2));
  EXPECT_EQ(load("b.key").error().code(), Code::unavailable_key);
  put("b.key", "");
  EXPECT_EQ(load("b.key").error().code(), Code::unavailable_key);
  put("b.key", std::string(100'000, 'a'));
  EXPECT_EQ(load("b.key").error().code(), Code::unavailable_key);
  put("b.key", "kimberlite master key 2\nsomething else\n");
  EXPECT_EQ(load("b.key").error().code(), Code::unavailable_version);
  EXPECT_EQ(load("none.key").error().code(), Code::unavailable_key);
}

}  // namespace
}  // namespace kimberlite::keystore
