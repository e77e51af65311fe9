#include "crypto/timestamp.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>

#include "crypto/sha256.hpp"

namespace kimberlite::crypto {
namespace {

constexpr std::uint64_t nonce = 0x1122334455667788;
constexpr std::uint64_t in_2030 = 1'893'456'000;

// tests/golden/timestamp.txt: what another implementation asked and answered.
class TimestampTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream in{std::string{KIMBERLITE_SOURCE_DIR} + "/tests/golden/timestamp.txt"};
    for (std::string line; std::getline(in, line);) {
      if (line.empty() || line.front() == '#') continue;
      const std::size_t space = line.find(' ');
      Buffer bytes;
      for (std::size_t at = space + 1; at + 1 < line.size(); at += 2) {
        bytes.push_back(static_cast<std::byte>(std::stoi(line.substr(at, 2), nullptr, 16)));
      }
      golden_[line.substr(0, space)] = bytes;
    }
    ASSERT_EQ(golden_.size(), 7U);
  }
  [[nodiscard]] const Buffer& get(const std::string& name) const { return golden_.at(name); }
  [[nodiscard]] std::string pem(const std::string& name) const {
    return std::string{text_of(golden_.at(name))};
  }
  [[nodiscard]] Code refused(Bytes response, Bytes request, std::string_view trusted,
                             std::uint64_t at_seconds = in_2030) const {
    const auto stamp = check_timestamp(response, request, trusted, at_seconds);
    return stamp ? Code::internal_bug : stamp.error().code();
  }

  std::map<std::string, Buffer> golden_;
};

TEST_F(TimestampTest, RequestsAreThoseOfTheRfc) {
  const Hash imprint = sha256(bytes_of("kimberlite\n"));
  EXPECT_EQ(timestamp_request(imprint, nonce), get("request"));
  EXPECT_EQ(timestamp_request(imprint, nonce + 1), get("request_of_another_nonce"));
  // Integers of DER are signed, and as short as can be.
  EXPECT_EQ(timestamp_request(imprint, 0).size(), get("request").size() - 7);
  EXPECT_EQ(timestamp_request(imprint, ~std::uint64_t{0}).size(), get("request").size() + 1);
}

TEST_F(TimestampTest, TakesTheAnswerToItsRequest) {
  const auto stamp = check_timestamp(get("response"), get("request"), pem("authority"), in_2030);
  ASSERT_TRUE(stamp) << to_string(stamp.error());
  EXPECT_EQ(stamp->imprint, sha256(bytes_of("kimberlite\n")));
  EXPECT_EQ(stamp->policy, "1.2.3.4.1");
  EXPECT_EQ(stamp->time_us, 1'795'940'681'235'000ULL);
  const auto read = read_timestamp(get("response"));
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->time_us, stamp->time_us);
  EXPECT_EQ(read->imprint, stamp->imprint);
  // More certificates than that of the authority do not harm.
  EXPECT_TRUE(check_timestamp(get("response"), get("request"),
                              pem("other_authority") + pem("authority"), in_2030));
}

TEST_F(TimestampTest, RefusesWhatIsNoAnswerToIt) {
  const std::string trusted = pem("authority");
  EXPECT_EQ(refused(get("response_to_another_nonce"), get("request"), trusted),
            Code::integrity_anchor);
  EXPECT_EQ(refused(get("response"), get("request_of_another_nonce"), trusted),
            Code::integrity_anchor);
  EXPECT_EQ(refused(get("response"), timestamp_request(sha256(bytes_of("x")), nonce), trusted),
            Code::integrity_anchor);
  EXPECT_EQ(refused(get("refusal"), get("request"), trusted), Code::integrity_anchor);
  EXPECT_EQ(refused(get("request"), get("request"), trusted), Code::integrity_anchor);
  EXPECT_EQ(refused(get("response"), get("response"), trusted), Code::integrity_anchor);
  EXPECT_EQ(refused({}, get("request"), trusted), Code::integrity_anchor);
  EXPECT_EQ(read_timestamp(get("refusal")).error().code(), Code::integrity_anchor);
}

TEST_F(TimestampTest, BelievesNoOneElse) {
  EXPECT_EQ(refused(get("response"), get("request"), pem("other_authority")),
            Code::integrity_signature);
  for (const std::string& none : {std::string{}, std::string{"-----BEGIN CERTIFICATE-----\n"},
                                  pem("authority").substr(0, 200)}) {
    EXPECT_EQ(refused(get("response"), get("request"), none), Code::usage_key);
  }
  // Before and behind the time its certificates are valid.
  EXPECT_EQ(refused(get("response"), get("request"), pem("authority"), 1'700'000'000),
            Code::integrity_signature);
  EXPECT_EQ(refused(get("response"), get("request"), pem("authority"), 9'000'000'000),
            Code::integrity_signature);
}

// Each byte of it, changed: refused, or it says the same. The latter is for what no signature
// covers: the root certificate that came along and is not what it is believed by, and a few bytes
// of versions and signature parameters.
TEST_F(TimestampTest, EveryFlippedByteIsRefusedOrSaysTheSame) {
  const Buffer& whole = get("response");
  std::string root = pem("authority");
  root = root.substr(root.find('\n') + 1);
  root = root.substr(0, root.find("-----"));
  std::erase(root, '\n');
  const Buffer certificate = from_base64(root).value();
  const auto along = std::ranges::search(whole, certificate);
  ASSERT_EQ(along.size(), certificate.size());
  const auto begin = static_cast<std::size_t>(along.begin() - whole.begin());
  const auto original = read_timestamp(whole).value();
  std::size_t accepted = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    Buffer bytes = whole;
    bytes[at] ^= static_cast<std::byte>(1U << (at % 8));
    const auto stamp = check_timestamp(bytes, get("request"), pem("authority"), in_2030);
    if (!stamp) continue;
    if (at < begin || at >= begin + certificate.size()) ++accepted;
    EXPECT_EQ(stamp->imprint, original.imprint) << at;
    EXPECT_EQ(stamp->time_us, original.time_us) << at;
    EXPECT_EQ(stamp->policy, original.policy) << at;
  }
  EXPECT_LE(accepted, 20U) << "of " << whole.size() - certificate.size();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(read_timestamp(Bytes{whole}.first(size))) << size;
  }
  Buffer longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(read_timestamp(longer));
}

}  // namespace
}  // namespace kimberlite::crypto
