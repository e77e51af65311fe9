#include "record/known_heads.hpp"

#include <gtest/gtest.h>

#include "crypto/sha256.hpp"
#include "made_proofs.hpp"

namespace kimberlite::record {
namespace {

using sample::MadeLog;

Id128 cluster(unsigned seed) { return sample::counting<Id128>(seed); }

KnownHead known(MadeLog& log, std::uint64_t size) {
  return {.key = log.log_key(), .head = check_head(log.head(size), log.log_key()).value()};
}

KnownHeads three(MadeLog& log) {
  KnownHeads heads;
  heads.put(cluster(2), "main", known(log, 5));
  heads.put(cluster(1), "north", known(log, 7));
  heads.put(cluster(1), "main", known(log, 6));
  return heads;
}

// The text with the hash that belongs to it: what a test changed before that was no accident.
std::string rehashed(std::string text) {
  text.resize(text.size() - 65);
  return text + to_hex(crypto::sha256(bytes_of(text))) + "\n";
}

Code refused(const std::string& text) {
  const auto parsed = KnownHeads::parse(text);
  EXPECT_FALSE(parsed) << text;
  return parsed ? Code::internal_bug : parsed.error().code();
}

TEST(KnownHeads, AreTheSameAfterTheyWereText) {
  MadeLog log{9};
  for (const KnownHeads& heads : {KnownHeads{}, three(log)}) {
    const std::string text = heads.to_text();
    const auto parsed = KnownHeads::parse(text);
    ASSERT_TRUE(parsed) << to_string(parsed.error());
    EXPECT_EQ(parsed->to_text(), text);
    EXPECT_EQ(parsed->size(), heads.size());
  }
  const KnownHeads parsed = KnownHeads::parse(three(log).to_text()).value();
  EXPECT_EQ(parsed.find(cluster(1), "north").value()->head.tree().size, 7U);
  EXPECT_EQ(parsed.find(cluster(1), "main").value()->head.tree().root, log.root(6));
  EXPECT_EQ(parsed.find(cluster(2), "main").value()->key, log.log_key());
  EXPECT_FALSE(parsed.find(cluster(2), "north").value());
  EXPECT_FALSE(parsed.find(cluster(3), "main").value());
}

TEST(KnownHeads, KeepOneHeadOfEachTenant) {
  MadeLog log{9};
  KnownHeads heads = three(log);
  heads.put(cluster(1), "main", known(log, 9));
  EXPECT_EQ(heads.size(), 3U);
  EXPECT_EQ(heads.find(cluster(1), "main").value()->head.tree().size, 9U);
}

TEST(KnownHeads, AnyChangedOrMissingByteIsRefused) {
  MadeLog log{9};
  const std::string text = three(log).to_text();
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const int bit : {0, 3, 7}) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      const auto parsed = KnownHeads::parse(changed);
      ASSERT_FALSE(parsed) << "byte " << at;
      const bool version = parsed.error().code() == Code::unavailable_version;
      EXPECT_TRUE(version || parsed.error().code() == Code::integrity_head) << "byte " << at;
    }
    EXPECT_FALSE(KnownHeads::parse(text.substr(0, at))) << "cut off at " << at;
    EXPECT_FALSE(KnownHeads::parse(text.substr(0, at) + text.substr(at + 1))) << "without " << at;
  }
  EXPECT_EQ(refused(text + "\n"), Code::integrity_head);
  EXPECT_EQ(refused(text + text), Code::integrity_head);
}

TEST(KnownHeads, AreRefusedInAnotherForm) {
  MadeLog log{9};
  const std::string text = three(log).to_text();
  const std::size_t first = text.find("tenant ");
  const std::size_t second = text.find("tenant ", first + 1);
  const std::size_t third = text.find("tenant ", second + 1);
  const std::string block = text.substr(first, second - first);
  const auto with = [&](std::size_t at, std::size_t size, std::string_view put) {
    std::string changed = text;
    return rehashed(changed.replace(at, size, put));
  };
  EXPECT_TRUE(KnownHeads::parse(with(0, 0, ""))) << "the hash is made as it is written";
  EXPECT_EQ(refused(with(first, 0, block)), Code::integrity_head) << "twice";
  EXPECT_EQ(refused(with(first, third - first, text.substr(second, third - second) + block)),
            Code::integrity_head)
      << "in another order";
  EXPECT_EQ(refused(with(first, 0, "\n")), Code::integrity_head);
  EXPECT_EQ(refused(with(first, 7, "tenent ")), Code::integrity_head);
  EXPECT_EQ(refused(with(first + 7, 2, "ZZ")), Code::integrity_head) << "no hexadecimal";
  EXPECT_EQ(refused(with(first + 7, 0, "00")), Code::integrity_head) << "a longer id";
  EXPECT_EQ(refused(with(text.find('+'), 1, "-")), Code::integrity_head) << "no key line";
  EXPECT_EQ(refused(with(text.find('\n'), 1, "\n\n")), Code::integrity_head);
  EXPECT_EQ(refused(with(text.find("@v1") + 2, 1, "2")), Code::unavailable_version);
}

TEST(KnownHeads, AHeadItsKeyDidNotSignIsRefused) {
  MadeLog log{9};
  const std::string text = three(log).to_text();
  std::string changed = text;
  changed.replace(changed.find("\n6\n"), 3, "\n8\n");
  const auto parsed = KnownHeads::parse(rehashed(changed));
  ASSERT_TRUE(parsed) << to_string(parsed.error());
  const auto forged = parsed->find(cluster(1), "main");
  ASSERT_FALSE(forged);
  EXPECT_EQ(forged.error().code(), Code::integrity_head);
  EXPECT_TRUE(parsed->find(cluster(1), "north")) << "of the others nothing is lost";
}

}  // namespace
}  // namespace kimberlite::record
