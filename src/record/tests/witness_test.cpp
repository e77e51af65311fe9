#include "record/witness.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "record/signed_head.hpp"
#include "sample.hpp"

namespace kimberlite::record {
namespace {

// The example of tlog-witness, add-checkpoint.
constexpr std::string_view example =
    "old 20852014\n"
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    "\n"
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "\u2014 example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/"
    "Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

crypto::SigningKey key_of(unsigned seed) {
  return crypto::SigningKey{crypto::Key256{sample::counting<std::array<std::byte, 32>>(seed)}};
}
VerifierKey witness_key(unsigned seed, std::string_view name) {
  return {.name = std::string{name},
          .type = NoteKeyType::cosignature,
          .key = key_of(seed).public_key()};
}

TEST(Witness, TheExampleOfTheSpecification) {
  const auto request = WitnessRequest::parse(example);
  ASSERT_TRUE(request) << to_string(request.error());
  EXPECT_EQ(request->old_size, 20852014U);
  EXPECT_EQ(request->path.size(), 4U);
  EXPECT_EQ(parse_head(SignedNote::parse(request->head).value().text).value().size, 20852163U);
  EXPECT_EQ(request->to_text(), example);
  const auto first = WitnessRequest::parse("old 0\n\nx\n");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->old_size, 0U);
  EXPECT_TRUE(first->path.empty());
}

TEST(Witness, RefusesWhatIsNoRequest) {
  std::string many = "old 5\n";
  for (int i = 0; i < 64; ++i) many += "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
  many += "\nx\n";
  for (const std::string& text :
       {std::string{}, std::string{"old\n\nx\n"}, std::string{"old 01\n\nx\n"},
        std::string{"old -1\n\nx\n"}, std::string{"old 9223372036854775808\n\nx\n"},
        std::string{"Old 1\n\nx\n"}, std::string{"old 1\nx\n"}, std::string{"old 1\nabc\n\nx\n"},
        std::string{"old 1"}, many}) {
    const auto request = WitnessRequest::parse(text);
    ASSERT_FALSE(request) << text.substr(0, 40);
    EXPECT_EQ(request.error().code(), Code::integrity_anchor);
  }
}

TEST(Witness, FindsItsCosignatureAmongOthers) {
  const std::string head = sign_head({"kimberlite/x", 7, sample::counting<Hash>(1)}, key_of(1));
  const std::string text = SignedNote::parse(head).value().text;
  const auto line = [&](unsigned seed, std::string_view name, std::uint64_t seconds) {
    SignedNote note{.text = text, .signatures = {cosign_note(text, name, key_of(seed), seconds)}};
    return note.to_text().substr(text.size() + 1);
  };
  const std::string ours = line(5, "w1", 1'679'315'147);
  const VerifierKey key = witness_key(5, "w1");
  const auto refused = [&](std::string_view answer, const VerifierKey& by) {
    const auto found = find_cosignature(head, answer, by);
    return found ? Code::internal_bug : found.error().code();
  };
  for (const std::string& answer : {ours, line(6, "w2", 1) + ours, ours + line(6, "w1", 1)}) {
    const auto found = find_cosignature(head, answer, key);
    ASSERT_TRUE(found) << to_string(found.error());
    EXPECT_EQ(found->line, ours);
    EXPECT_EQ(found->seconds, 1'679'315'147U);
  }
  EXPECT_EQ(refused(line(6, "w2", 1), key), Code::integrity_signature) << "another's alone";
  EXPECT_EQ(refused(ours, witness_key(6, "w1")), Code::integrity_signature);
  EXPECT_EQ(refused(ours, {.name = "w1", .type = NoteKeyType::signature, .key = key.key}),
            Code::usage_key);
  EXPECT_EQ(refused(line(5, "w1", 1ULL << 62U), key), Code::integrity_anchor) << "no time";
  for (const std::string& answer : {std::string{}, std::string{"6\n"}, ours + "\n", ours + ours,
                                    ours.substr(0, ours.size() - 1), "\n" + ours}) {
    EXPECT_NE(refused(answer, key), Code::internal_bug) << answer;
  }
  // The signature is over the head that was sent, and over the time.
  for (std::size_t at = 0; at < ours.size(); ++at) {
    std::string changed = ours;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_NE(refused(changed, key), Code::internal_bug) << at;
  }
  const std::string other = sign_head({"kimberlite/x", 8, sample::counting<Hash>(1)}, key_of(1));
  EXPECT_FALSE(find_cosignature(other, ours, key));
}

}  // namespace
}  // namespace kimberlite::record
