#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "made_proofs.hpp"

namespace kimberlite::record {
namespace {

using sample::MadeLog;

// The example of the reference implementation of signed notes, golang.org/x/mod/sumdb/note.
constexpr std::string_view peter_key =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
constexpr std::string_view peter_seed = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=";
constexpr std::string_view peter_text =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n";
constexpr std::string_view peter_signature =
    "\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    "\n";

std::string peter_note() { return fmt::format("{}\n{}", peter_text, peter_signature); }

TEST(SignedNote, IsTheReferenceImplementationsByteForByte) {
  const auto key = VerifierKey::parse(peter_key);
  ASSERT_TRUE(key) << to_string(key.error());
  EXPECT_EQ(key->to_text(), peter_key);
  const auto note = SignedNote::parse(peter_note());
  ASSERT_TRUE(note) << to_string(note.error());
  EXPECT_EQ(note->text, peter_text);
  EXPECT_TRUE(check_signature(*note, *key));
  EXPECT_EQ(note->to_text(), peter_note());

  Hash seed;
  std::ranges::copy(*from_base64(peter_seed), seed.begin());
  const crypto::SigningKey signing{crypto::Key256{seed}};
  EXPECT_EQ(sign_note(peter_text, "PeterNeumann", signing), note->signatures.front());
}

TEST(SignedNote, KeyLinesAreExact) {
  for (std::size_t from = 0; from < peter_key.size(); ++from) {
    for (std::size_t size = 0; from + size <= peter_key.size(); ++size) {
      const auto part = peter_key.substr(from, size);
      EXPECT_EQ(VerifierKey::parse(part).has_value(), part == peter_key) << part;
    }
    std::string other{peter_key};
    other[from] = static_cast<char>(other[from] + 1);
    EXPECT_EQ(VerifierKey::parse(other).error().code(), Code::usage_key) << other;
  }
  EXPECT_FALSE(
      VerifierKey::parse("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/"
                         "LDE4izWy10TW"));
}

TEST(SignedNote, RefusesWhatIsNone) {
  const std::string sig{peter_signature};
  const std::string line = sig.substr(0, sig.size() - 1);
  for (const std::string& bad : {
           std::string{},
           std::string{"\n"},
           std::string{"\n\n"},
           std::string{peter_text},
           fmt::format("{}\n", peter_text),                // no signature
           fmt::format("{}{}", peter_text, sig),           // no empty line
           fmt::format("{}\n{}", peter_text, line),        // no last newline
           fmt::format("{}\n{}{}", peter_text, sig, sig),  // twice
           fmt::format("{}\n{}\n", peter_text, sig),       // an empty line behind
           fmt::format("{}\n{}x\n", peter_text, sig),      // a line that is none
           fmt::format("a\r\n\n{}", sig),
           fmt::format("a\tb\n\n{}", sig),
           fmt::format("a\xff\n\n{}", sig),
           fmt::format("a\n\n- PeterNeumann x08go/ZJ\n"),
           fmt::format("a\n\n\u2014 Peter Neumann x08go/ZJ\n"),
           fmt::format("a\n\n\u2014 Peter+Neumann x08go/ZJ\n"),
           fmt::format("a\n\n\u2014  x08go/ZJ\n"),
           fmt::format("a\n\n\u2014 a\u00a0b x08go/ZJ\n"),
           fmt::format("a\n\n\u2014 a\u3000b x08go/ZJ\n"),
           fmt::format("a\n\n\u2014 a x08goz==\n"),
           fmt::format("a\n\n\u2014 a x08gow==\n"),  // a key id alone
           fmt::format("a\n\n\u2014 a x08go/ZJk\n"),
           fmt::format("a\n\n\u2014 a\n"),
       }) {
    EXPECT_EQ(SignedNote::parse(bad).error().code(), Code::integrity_note) << bad;
  }
  std::string many = "a\n\n";
  for (std::size_t i = 0; i < note_signatures_max; ++i)
    many += fmt::format("\u2014 n{} x08go/ZJ\n", i);
  EXPECT_TRUE(SignedNote::parse(many));
  EXPECT_FALSE(SignedNote::parse(many + "\u2014 more x08go/ZJ\n"));
  EXPECT_FALSE(SignedNote::parse(std::string(note_size_max, 'a') + "\n\n\u2014 a x08go/ZJ\n"));
}

TEST(SignedNote, SignaturesOfOthersAreIgnoredAndOursMustHold) {
  const auto key = VerifierKey::parse(peter_key).value();
  auto note = SignedNote::parse(peter_note()).value();
  const crypto::SigningKey other{crypto::Key256{sample::counting<Hash>(9)}};
  note.signatures.push_back(sign_note(note.text, "other", other));
  note.signatures.push_back(sign_note(note.text, "PeterNeumann", other));  // another key id
  EXPECT_TRUE(check_signature(note, key));
  note.text = "something else\n";
  EXPECT_EQ(check_signature(note, key).error().code(), Code::integrity_signature);
  note.signatures.erase(note.signatures.begin());
  EXPECT_EQ(check_signature(note, key).error().code(), Code::integrity_signature);
}

// C2SP tlog-cosignature: the time is signed with the text.
TEST(SignedNote, AWitnessSignsHisTimeToo) {
  const crypto::SigningKey signing{crypto::Key256{sample::counting<Hash>(9)}};
  const VerifierKey key{
      .name = "witness.example/w1", .type = NoteKeyType::cosignature, .key = signing.public_key()};
  EXPECT_EQ(VerifierKey::parse(key.to_text()).value(), key);
  SignedNote note{.text = "a\n1\nb\n",
                  .signatures = {cosign_note("a\n1\nb\n", key.name, signing, 1'679'315'147)}};
  EXPECT_EQ(check_cosignature(note, key).value(), 1'679'315'147U);
  EXPECT_TRUE(crypto::verify(key.key, bytes_of("cosignature/v1\ntime 1679315147\na\n1\nb\n"), [&] {
    crypto::Signature signature;
    std::copy(note.signatures[0].bytes.begin() + 8, note.signatures[0].bytes.end(),
              signature.begin());
    return signature;
  }()));
  note.signatures[0].bytes[7] ^= std::byte{1};
  EXPECT_EQ(check_cosignature(note, key).error().code(), Code::integrity_signature);
  VerifierKey plain = key;
  plain.type = NoteKeyType::signature;
  EXPECT_FALSE(check_signature(note, plain));
}

TEST(SignedHead, IsMadeAndChecked) {
  MadeLog log{5};
  const auto head = check_head(log.head(5), log.log_key());
  ASSERT_TRUE(head) << to_string(head.error());
  EXPECT_EQ(head->tree(), (TreeHead{.origin = MadeLog::origin(), .size = 5, .root = log.root(5)}));
  EXPECT_EQ(head->note().to_text(), log.head(5));

  VerifierKey other = log.log_key();
  other.name = "kimberlite/other";
  EXPECT_EQ(check_head(log.head(5), other).error().code(), Code::integrity_signature);
}

// Signed by the right key, and yet no head.
TEST(SignedHead, RefusesTextsThatAreNone) {
  const MadeLog log{1};
  const std::string root = to_base64(log.leaf(0));
  const std::string origin = MadeLog::origin();
  const auto checked = [&](const std::string& text) {
    SignedNote note{.text = text, .signatures = {sign_note(text, origin, log.key())}};
    return check_head(note.to_text(), log.log_key());
  };
  EXPECT_TRUE(checked(fmt::format("{}\n1\n{}\n", origin, root)));
  EXPECT_TRUE(checked(fmt::format("{}\n9223372036854775807\n{}\n", origin, root)));
  for (const std::string& bad : {
           fmt::format("{}\n0\n{}\n", origin, root),
           fmt::format("{}\n01\n{}\n", origin, root),
           fmt::format("{}\n+1\n{}\n", origin, root),
           fmt::format("{}\n-1\n{}\n", origin, root),
           fmt::format("{}\n1 \n{}\n", origin, root),
           fmt::format("{}\n\n{}\n", origin, root),
           fmt::format("{}\n9223372036854775808\n{}\n", origin, root),
           fmt::format("{}\n18446744073709551616\n{}\n", origin, root),
           fmt::format("{}\n1\n{}\nmore\n", origin, root),
           fmt::format("{}\n1\n", origin),
           fmt::format("{}\n1\n{}\n", origin, root.substr(4)),
           fmt::format("other\n1\n{}\n", root),
           fmt::format("\n1\n{}\n", root),
           fmt::format("a b\n1\n{}\n", root),
       }) {
    EXPECT_EQ(checked(bad).error().code(), Code::integrity_head) << bad;
  }
}

TEST(Receipt, ProvesARecord) {
  MadeLog log{20};
  for (const std::uint64_t size : {1U, 2U, 3U, 7U, 8U, 20U}) {
    for (std::uint64_t index = 0; index < size; ++index) {
      const std::string text = log.receipt(index, size).to_text();
      const auto receipt = Receipt::parse(text);
      ASSERT_TRUE(receipt) << to_string(receipt.error());
      EXPECT_EQ(receipt->to_text(), text);
      const auto record = verify(*receipt, log.log_key());
      ASSERT_TRUE(record) << to_string(record.error());
      EXPECT_EQ(record->entry().position, Position{index + 1});
      EXPECT_EQ(record->leaf(), log.leaf(index));
      EXPECT_EQ(record->tree().size, size);
      EXPECT_FALSE(record->opened());
    }
  }
}

TEST(Receipt, OpensTheItemItDiscloses) {
  MadeLog log{9};
  for (std::uint64_t index = 0; index < 9; ++index) {
    for (std::uint32_t item = 0; item < 1 + index % 3; ++item) {
      const auto receipt = Receipt::parse(log.receipt(index, 9, item).to_text());
      ASSERT_TRUE(receipt) << to_string(receipt.error());
      const auto record = verify(*receipt, log.log_key());
      ASSERT_TRUE(record) << to_string(record.error());
      ASSERT_TRUE(record->opened());
      EXPECT_EQ(record->opened()->index, item);
      const auto text = decode_plaintext(record->opened()->header, record->opened()->plaintext);
      ASSERT_TRUE(text);
      EXPECT_EQ(text->events.at(0).kind, "made");
    }
  }
}

TEST(Receipt, RefusesWhatDoesNotHold) {
  MadeLog log{9};
  MadeLog longer{10};
  const VerifierKey key = log.log_key();
  const auto code = [&](const Receipt& receipt) { return verify(receipt, key).error().code(); };
  const Receipt good = log.receipt(4, 9, 1);

  Receipt other = good;
  other.index = 5;
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = good;
  other.recorded.entry = log.receipt(3, 9).recorded.entry;
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = good;
  std::swap(other.path[0], other.path[1]);
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = good;
  other.path.push_back(other.path[0]);
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = good;
  other.path.pop_back();
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = good;
  other.head = longer.head(10);
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = good;
  other.recorded.entry[60] ^= std::byte{1};
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = good;
  other.recorded.entry[37] = std::byte{1};
  EXPECT_EQ(code(other), Code::integrity_entry);
  other = good;
  other.recorded.item->index = 0;
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = good;
  other.recorded.item->bytes.back() ^= std::byte{1};
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = good;
  other.recorded.item->key[0] ^= std::byte{1};
  EXPECT_EQ(code(other), Code::integrity_seal);
  other = good;
  other.recorded.item->key = log.receipt(4, 9, 0).recorded.item->key;
  EXPECT_EQ(code(other), Code::integrity_seal);
}

TEST(Receipt, RefusesTextsThatAreNone) {
  MadeLog log{3};
  const std::string good = log.receipt(1, 3, 0).to_text();
  const auto changed = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  const std::string extra_line =
      good.substr(good.find("extra "), good.find("index ") - good.find("extra "));
  for (const std::string& bad : {
           std::string{},
           good.substr(1),
           changed("@v1", "@v2"),
           changed("extra ", "extra  "),
           changed("extra ", "Extra "),
           changed(extra_line, ""),
           changed(extra_line, extra_line + extra_line),
           changed("index 1", "index 01"),
           changed("index 1", "index -1"),
           changed("index 1", "index"),
           changed("index 1", "index 9223372036854775808"),
           changed("index 1\n", "index 1\n\n"),
           changed("extra AQ", "extra AA"),
           changed("extra AQABAAAA", "extra AQADAAAA"),
           changed("extra AQABAAAA", "extra AQABAAAB"),
           changed("\n\n", "\n"),
       }) {
    EXPECT_FALSE(Receipt::parse(bad)) << bad;
  }
  EXPECT_EQ(Receipt::parse(changed("extra AQ", "extra Ag")).error().code(),
            Code::unavailable_version);
  // Cut off anywhere, nothing of it is a receipt.
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(Receipt::parse(std::string_view{good}.substr(0, size))) << size;
  }
}

TEST(CoseReceipt, ProvesARecordAndOpensItsItem) {
  MadeLog log{20};
  for (const std::uint64_t size : {1U, 2U, 7U, 20U}) {
    for (std::uint64_t index = 0; index < size; ++index) {
      const Buffer bytes =
          log.cose_receipt(index, size, index % 2 == 0 ? std::optional{0U} : std::nullopt)
              .to_bytes();
      const auto receipt = CoseReceipt::parse(bytes);
      ASSERT_TRUE(receipt) << to_string(receipt.error());
      EXPECT_EQ(receipt->to_bytes(), bytes);
      const auto record = verify(*receipt, log.log_key());
      ASSERT_TRUE(record) << to_string(record.error());
      EXPECT_EQ(record->leaf(), log.leaf(index));
      EXPECT_EQ(record->tree().root, log.root(size));
      EXPECT_EQ(record->opened().has_value(), index % 2 == 0);
    }
  }
}

// Every bit of it turned, every byte of it missing: it is refused.
TEST(CoseReceipt, AnyChangeIsRefused) {
  MadeLog log{9};
  const VerifierKey key = log.log_key();
  const Buffer good = log.cose_receipt(4, 9, 1).to_bytes();
  const auto accepted = [&](Bytes bytes) {
    const auto receipt = CoseReceipt::parse(bytes);
    return receipt && verify(*receipt, key);
  };
  ASSERT_TRUE(accepted(good));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      Buffer changed = good;
      changed[at] ^= static_cast<std::byte>(1U << bit);
      ASSERT_FALSE(accepted(changed)) << at << " " << bit;
    }
    Buffer shorter = good;
    shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(at));
    ASSERT_FALSE(accepted(shorter)) << at;
    ASSERT_FALSE(accepted(Bytes{good}.first(at))) << at;
    Buffer longer = good;
    longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(at), good[at]);
    ASSERT_FALSE(accepted(longer)) << at;
  }
  Buffer behind = good;
  behind.push_back(std::byte{0});
  EXPECT_FALSE(accepted(behind));
  // The same number, not in its shortest form.
  Buffer wide = good;
  ASSERT_EQ(wide[1], std::byte{0x84});
  wide[1] = std::byte{0x98};
  wide.insert(wide.begin() + 2, std::byte{4});
  EXPECT_EQ(CoseReceipt::parse(wide).error().code(), Code::integrity_receipt);
}

TEST(CoseReceipt, RefusesWhatDoesNotHold) {
  MadeLog log{9};
  const VerifierKey key = log.log_key();
  const auto code = [&](const CoseReceipt& receipt) { return verify(receipt, key).error().code(); };
  CoseReceipt other = log.cose_receipt(4, 9, 1);
  other.size = 10;  // its path leads to the same root as in a tree of 9
  EXPECT_EQ(code(other), Code::integrity_signature);
  other = log.cose_receipt(4, 9);
  other.size = 1ULL << 63U;
  EXPECT_EQ(code(other), Code::integrity_receipt);
  other = log.cose_receipt(4, 9);
  other.path[0] = other.path[1];
  EXPECT_EQ(code(other), Code::integrity_signature);
  other = log.cose_receipt(4, 9);
  other.index = 5;
  EXPECT_EQ(code(other), Code::integrity_inclusion);
  other = log.cose_receipt(4, 9);
  other.origin = "kimberlite/other";
  EXPECT_EQ(code(other), Code::integrity_signature);
  other = log.cose_receipt(4, 9, 1);
  other.recorded.item->key[0] ^= std::byte{1};
  EXPECT_EQ(code(other), Code::integrity_seal);
}

TEST(Consistency, HoldsBetweenAnyTwoHeads) {
  MadeLog log{20};
  for (std::uint64_t size = 1; size <= log.size(); ++size) {
    for (std::uint64_t old = 1; old <= size; ++old) {
      const std::string text = log.proof(old, size).to_text();
      const auto proof = ConsistencyProof::parse(text);
      ASSERT_TRUE(proof) << to_string(proof.error());
      EXPECT_EQ(proof->to_text(), text);
      const auto heads = check_consistency(*proof, log.log_key());
      ASSERT_TRUE(heads) << to_string(heads.error());
      EXPECT_EQ(heads->older.tree().size, old);
      EXPECT_EQ(heads->newer.tree().size, size);
    }
  }
  ConsistencyProof backwards = log.proof(3, 9);
  std::swap(backwards.older, backwards.newer);
  EXPECT_EQ(check_consistency(backwards, log.log_key()).error().code(),
            Code::integrity_consistency);
  const std::string text = log.proof(3, 9).to_text();
  for (std::size_t size = 0; size < text.size(); ++size) {
    const auto cut = ConsistencyProof::parse(std::string_view{text}.substr(0, size));
    EXPECT_FALSE(cut && check_consistency(*cut, log.log_key())) << size;
  }
}

// One character of a proof changed, anywhere: it is refused, or says the same. (A signature of a
// stranger would be ignored; there is none here.)
TEST(Proofs, AnyChangeOfATextIsRefused) {
  MadeLog log{30};
  std::mt19937_64 random{7};
  constexpr int rounds = 100'000;
  const VerifierKey key = log.log_key();
  std::vector<std::string> receipts;
  std::vector<std::string> proofs;
  for (std::uint64_t i = 0; i < 30; ++i) {
    receipts.push_back(log.receipt(i, 30, i % 2 == 0 ? std::optional{0U} : std::nullopt).to_text());
    proofs.push_back(log.proof(1 + i, 30).to_text());
  }
  for (int round = 0; round < rounds; ++round) {
    const bool of_receipt = round % 2 == 0;
    std::string text = (of_receipt ? receipts : proofs)[random() % 30];
    const std::size_t at = random() % text.size();
    switch (random() % 4) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ static_cast<char>(1U << random() % 8));
        break;
      case 1:
        text.erase(at, 1 + random() % 3);
        break;
      case 2:
        text.insert(at, 1, "AB\n +="[random() % 6]);
        break;
      default: {
        const std::size_t size = 1 + random() % std::min<std::size_t>(50, text.size() - at);
        text.insert(at, text.substr(at, size));
      }
    }
    if (of_receipt) {
      const auto receipt = Receipt::parse(text);
      ASSERT_FALSE(receipt && verify(*receipt, key)) << text;
    } else {
      const auto proof = ConsistencyProof::parse(text);
      ASSERT_FALSE(proof && check_consistency(*proof, key)) << text;
    }
  }
}

// The proofs of all sizes to 300, and 100,000 with a hash, an index or a size that is not theirs.
TEST(Proofs, HoldAtAllSizesAndNoOthersDo) {
  MadeLog log{300};
  std::mt19937_64 random{11};
  std::vector<Hash> roots(1);
  for (std::uint64_t size = 1; size <= log.size(); ++size) roots.push_back(log.root(size));
  for (std::uint64_t size = 1; size <= log.size(); ++size) {
    for (std::uint64_t index = 0; index < size; ++index) {
      auto path = log.inclusion(index, size);
      ASSERT_TRUE(verify_inclusion(log.leaf(index), index, size, path, roots[size]));
      auto chain = log.consistency(index + 1, size);
      ASSERT_TRUE(verify_consistency(index + 1, roots[index + 1], size, roots[size], chain));
      const auto change = [&](std::vector<Hash>& hashes) {
        if (hashes.empty() || random() % 4 == 0) {
          hashes.push_back(roots[1 + random() % 300]);
        } else if (random() % 3 == 0) {
          hashes.erase(hashes.begin() + static_cast<std::ptrdiff_t>(random() % hashes.size()));
        } else {
          hashes[random() % hashes.size()][random() % 32] ^=
              static_cast<std::byte>(1U << random() % 8);
        }
      };
      change(path);
      ASSERT_FALSE(verify_inclusion(log.leaf(index), index, size, path, roots[size]));
      change(chain);
      ASSERT_FALSE(verify_consistency(index + 1, roots[index + 1], size, roots[size], chain));
      const std::uint64_t other = (index + 1 + random() % 300) % 301;
      if (other != index && size > 1) {
        path = log.inclusion(index, size);
        ASSERT_FALSE(verify_inclusion(log.leaf(index), other, size, path, roots[size]));
      }
    }
  }
}

// Files that other programs check: tests/golden/proofs/.
TEST(Golden, Proofs) {
  MadeLog log{300};
  const std::filesystem::path directory =
      std::filesystem::path{KIMBERLITE_SOURCE_DIR} / "tests/golden/proofs";
  const char* const mode = std::getenv("KIMBERLITE_GOLDEN");
  const bool rewrite = mode != nullptr && std::string_view{mode} == "rewrite";
  const auto check = [&](const std::string& name, const std::string& text) {
    if (rewrite) {
      std::ofstream{directory / name} << text;
      return;
    }
    std::ifstream in{directory / name};
    std::ostringstream there;
    there << in.rdbuf();
    EXPECT_EQ(there.str(), text) << name;
  };
  check("log.vkey", log.log_key().to_text() + "\n");
  check("1-of-1.receipt", log.receipt(0, 1).to_text());
  check("5-of-300.receipt", log.receipt(4, 300).to_text());
  check("5-of-300-item-1.receipt", log.receipt(4, 300, 1).to_text());
  check("300-of-300-item-2.receipt", log.receipt(299, 300, 2).to_text());
  const auto bytes = [](const Buffer& buffer) { return std::string{text_of(buffer)}; };
  check("1-of-1.cose", bytes(log.cose_receipt(0, 1).to_bytes()));
  check("5-of-300-item-1.cose", bytes(log.cose_receipt(4, 300, 1).to_bytes()));
  check("300.head", log.head(300));
  check("1-to-300.consistency", log.proof(1, 300).to_text());
  check("137-to-300.consistency", log.proof(137, 300).to_text());
  check("300-to-300.consistency", log.proof(300, 300).to_text());
}

}  // namespace
}  // namespace kimberlite::record
