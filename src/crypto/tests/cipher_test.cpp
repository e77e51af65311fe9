#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <concepts>
#include <memory>
#include <ostream>
#include <string>
#include <type_traits>

#include "crypto/aead.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/key.hpp"
#include "crypto/sha256.hpp"

namespace kimberlite::crypto {
namespace {

Buffer bytes(std::string_view hex) { return from_hex(hex).value(); }

template <std::size_t N>
std::array<std::byte, N> fixed(Bytes from) {
  std::array<std::byte, N> to{};
  EXPECT_EQ(from.size(), N);
  std::ranges::copy(from.first(N), to.begin());
  return to;
}

Key256 key_of(std::string_view hex) { return Key256(fixed<32>(bytes(hex))); }
Key256 key_filled(unsigned char value) {
  std::array<std::byte, 32> filled;
  filled.fill(std::byte{value});
  return Key256(filled);
}

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };
static_assert(!std::copyable<Key256> && !std::is_copy_constructible_v<Key256>);
static_assert(!std::equality_comparable<Key256>);
static_assert(!Printable<Key256>);
static_assert(std::is_nothrow_move_constructible_v<Key256>);
static_assert(!std::is_default_constructible_v<Key256>);
static_assert(!std::is_convertible_v<std::array<std::byte, 32>, Key256>);
static_assert(!std::is_copy_constructible_v<SigningKey> && !std::equality_comparable<SigningKey>);

TEST(Key256, IsWipedWhenItEndsAndWhenItMoves) {
  alignas(Key256) std::array<std::byte, sizeof(Key256)> place;
  place.fill(std::byte{0});
  auto* key = new (place.data()) Key256(key_filled(0xA5));
  const auto secrets = [&] { return std::ranges::count(place, std::byte{0xA5}); };
  ASSERT_EQ(secrets(), 32);

  Key256 moved = std::move(*key);
  EXPECT_EQ(secrets(), 0);
  EXPECT_EQ(moved.expose()[31], std::byte{0xA5});

  *key = std::move(moved);
  ASSERT_EQ(secrets(), 32);
  key->~Key256();
  EXPECT_EQ(secrets(), 0);
}

TEST(Key256DeathTest, CannotBeUsedAfterItMoved) {
  Key256 key = key_filled(1);
  const Key256 moved = std::move(key);
  // The use after the move is what is tested.
  // NOLINTNEXTLINE(bugprone-use-after-move,clang-analyzer-cplusplus.Move)
  EXPECT_DEATH((void)key.expose(), "live_");
}

TEST(EqualConstantTime, ComparesBytesAndSizes) {
  const Buffer a = bytes("00112233");
  EXPECT_TRUE(equal_constant_time(a, bytes("00112233")));
  EXPECT_FALSE(equal_constant_time(a, bytes("00112234")));
  EXPECT_FALSE(equal_constant_time(a, bytes("80112233")));
  EXPECT_FALSE(equal_constant_time(a, bytes("001122")));
  EXPECT_TRUE(equal_constant_time({}, {}));
}

struct Vector {
  std::string_view key, nonce, associated, plaintext, ciphertext, tag;
};

// "The Galois/Counter Mode of Operation" (McGrew, Viega), test cases 13 – 16.
constexpr std::string_view zero_key =
    "0000000000000000000000000000000000000000000000000000000000000000";
constexpr std::string_view paper_key =
    "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
constexpr Vector gcm_vectors[] = {
    {zero_key, "000000000000000000000000", "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {zero_key, "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {paper_key, "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {paper_key, "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
};

TEST(Gcm, SealsAndOpensThePublishedVectors) {
  for (const Vector& v : gcm_vectors) {
    const Key256 key = key_of(v.key);
    const auto nonce = fixed<12>(bytes(v.nonce));
    Buffer text = bytes(v.plaintext);
    const Tag tag = gcm_seal(key, nonce, bytes(v.associated), text);
    EXPECT_EQ(to_hex(text), v.ciphertext);
    EXPECT_EQ(to_hex(tag), v.tag);
    EXPECT_TRUE(gcm_open(key, nonce, bytes(v.associated), text, tag));
    EXPECT_EQ(to_hex(text), v.plaintext);
  }
}

// Every bit of everything that goes in; and nothing of a plaintext is left behind.
TEST(Gcm, RefusesAnyChangeAndLeavesNothing) {
  const Vector& v = gcm_vectors[3];
  const Buffer sealed = bytes(v.ciphertext);
  const auto flip = [](Buffer whole, std::size_t bit) {
    whole[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    return whole;
  };
  const auto opens = [&](const Buffer& key, const Buffer& nonce, const Buffer& associated,
                         Buffer text, const Buffer& tag) {
    const bool good =
        gcm_open(Key256(fixed<32>(key)), fixed<12>(nonce), associated, text, fixed<16>(tag));
    EXPECT_TRUE(good || all_zero(text));
    return good;
  };
  const Buffer key = bytes(v.key);
  const Buffer nonce = bytes(v.nonce);
  const Buffer associated = bytes(v.associated);
  const Buffer tag = bytes(v.tag);
  ASSERT_TRUE(opens(key, nonce, associated, sealed, tag));
  for (std::size_t bit = 0; bit < 256; ++bit) {
    EXPECT_FALSE(opens(flip(key, bit), nonce, associated, sealed, tag));
  }
  for (std::size_t bit = 0; bit < 96; ++bit) {
    EXPECT_FALSE(opens(key, flip(nonce, bit), associated, sealed, tag));
  }
  for (std::size_t bit = 0; bit < associated.size() * 8; ++bit) {
    EXPECT_FALSE(opens(key, nonce, flip(associated, bit), sealed, tag));
  }
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    EXPECT_FALSE(opens(key, nonce, associated, flip(sealed, bit), tag));
  }
  for (std::size_t bit = 0; bit < 128; ++bit) {
    EXPECT_FALSE(opens(key, nonce, associated, sealed, flip(tag, bit)));
  }
  EXPECT_FALSE(opens(key, nonce, {}, sealed, tag));
  EXPECT_FALSE(opens(key, nonce, associated, {}, tag));
}

// c2sp.org/XAES-256-GCM, Test vectors: the top bit of E(0) is clear in the first, set in the
// second.
TEST(Xaes, EqualsThePublishedVectors) {
  const auto nonce = fixed<24>(bytes_of("ABCDEFGHIJKLMNOPQRSTUVWX"));
  struct {
    unsigned char key;
    std::string_view associated, message_key, sealed;
  } const cases[] = {
      {0x01, "", "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
       "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
      {0x03, "c2sp.org/XAES-256-GCM",
       "e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
       "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
  };
  for (const auto& c : cases) {
    const Key256 key = key_filled(c.key);
    EXPECT_EQ(to_hex(xaes_message_key(key, nonce).expose()), c.message_key);
    EXPECT_EQ(text_of(xaes_message_nonce(nonce)), "MNOPQRSTUVWX");
    const Bytes plain = bytes_of("XAES-256-GCM");
    Buffer text{plain.begin(), plain.end()};
    const Tag tag = xaes_seal(key, nonce, bytes_of(c.associated), text);
    EXPECT_EQ(to_hex(text) + to_hex(tag), c.sealed);
    Buffer other = text;
    EXPECT_TRUE(xaes_open(key, nonce, bytes_of(c.associated), text, tag));
    EXPECT_EQ(text_of(text), "XAES-256-GCM");
    // What a receipt discloses: the message key alone opens this message.
    EXPECT_TRUE(gcm_open(key_of(c.message_key), xaes_message_nonce(nonce), bytes_of(c.associated),
                         other, tag));
  }
}

struct FreeDigest {
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
};
using Digest = std::unique_ptr<EVP_MD_CTX, FreeDigest>;

Digest shake128() {
  Digest digest{EVP_MD_CTX_new()};
  EXPECT_EQ(EVP_DigestInit_ex(digest.get(), EVP_shake128(), nullptr), 1);
  return digest;
}

// c2sp.org/XAES-256-GCM, Accumulated randomized tests: 10,000 iterations.
TEST(Xaes, EqualsThePublishedAccumulatedHash) {
  constexpr int iterations = 10'000;
  // OpenSSL 3.0 gives the output of SHAKE in one piece only; this is more than is used.
  Buffer stream(std::size_t{iterations} * (32 + 24 + 2 * 256));
  const Digest random = shake128();
  ASSERT_EQ(EVP_DigestFinalXOF(random.get(), reinterpret_cast<unsigned char*>(stream.data()),
                               stream.size()),
            1);
  ASSERT_EQ(to_hex(Bytes{stream}.first(16)), "7f9c2ba4e88f827d616045507605853e");

  const Digest seen = shake128();
  MutBytes rest = stream;
  const auto take = [&](std::size_t size) {
    const MutBytes taken = rest.first(size);
    rest = rest.subspan(size);
    return taken;
  };
  for (int i = 0; i < iterations; ++i) {
    const Key256 key(std::span<const std::byte, 32>{take(32)});
    const auto nonce = fixed<24>(take(24));
    const MutBytes text = take(std::to_integer<std::size_t>(take(1)[0]));
    const Bytes associated = take(std::to_integer<std::size_t>(take(1)[0]));
    const Buffer plaintext{text.begin(), text.end()};
    const Tag tag = xaes_seal(key, nonce, associated, text);
    ASSERT_EQ(EVP_DigestUpdate(seen.get(), text.data(), text.size()), 1);
    ASSERT_EQ(EVP_DigestUpdate(seen.get(), tag.data(), tag.size()), 1);
    ASSERT_TRUE(xaes_open(key, nonce, associated, text, tag));
    ASSERT_TRUE(equal(text, plaintext));
  }
  Hash digest;
  ASSERT_EQ(EVP_DigestFinalXOF(seen.get(), reinterpret_cast<unsigned char*>(digest.data()),
                               digest.size()),
            1);
  EXPECT_EQ(to_hex(digest), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

TEST(Xaes, RefusesEveryChangedNonceByte) {
  auto nonce = fixed<24>(bytes_of("ABCDEFGHIJKLMNOPQRSTUVWX"));
  const Key256 key = key_filled(9);
  Buffer sealed(40, std::byte{1});
  const Tag tag = xaes_seal(key, nonce, {}, sealed);
  for (std::byte& byte : nonce) {
    byte ^= std::byte{1};
    Buffer text = sealed;
    EXPECT_FALSE(xaes_open(key, nonce, {}, text, tag));
    byte ^= std::byte{1};
  }
}

TEST(KeyCommitment, IsTheDefinitionInTheFormat) {
  const Key256 key = key_filled(5);
  const std::array domain{std::byte{0x12}};
  EXPECT_EQ(key_commitment(key), sha256(domain, key.expose()));
}

// RFC 8032 §7.1, tests 1 – 3.
struct SignatureVector {
  std::string_view seed, public_key, message, signature;
};
constexpr SignatureVector signature_vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "4"
     "6bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d"
     "8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "6"
     "594a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(Ed25519, SignsAndVerifiesThePublishedVectors) {
  for (const SignatureVector& v : signature_vectors) {
    const SigningKey key(key_of(v.seed));
    EXPECT_EQ(to_hex(key.public_key()), v.public_key);
    const Signature signature = key.sign(bytes(v.message));
    EXPECT_EQ(to_hex(signature), v.signature);
    EXPECT_TRUE(verify(key.public_key(), bytes(v.message), signature));
  }
}

TEST(Ed25519, RefusesAnyChange) {
  const SignatureVector& v = signature_vectors[2];
  auto key = fixed<32>(bytes(v.public_key));
  auto signature = fixed<64>(bytes(v.signature));
  auto message = bytes(v.message);
  const auto refuses_flips_of = [&](MutBytes part) {
    for (std::size_t bit = 0; bit < part.size() * 8; ++bit) {
      const auto mask = static_cast<std::byte>(1U << (bit % 8));
      part[bit / 8] ^= mask;
      EXPECT_FALSE(verify(key, message, signature)) << bit;
      part[bit / 8] ^= mask;
    }
  };
  refuses_flips_of(key);
  refuses_flips_of(signature);
  refuses_flips_of(message);
  EXPECT_TRUE(verify(key, message, signature));
  EXPECT_FALSE(verify(key, {}, signature));
}

// RFC 8032 §5.1.7: S must be below the group's order, or a signature would have a second form.
TEST(Ed25519, RefusesTheOtherFormOfASignature) {
  const SignatureVector& v = signature_vectors[1];
  const Buffer order = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  auto signature = fixed<64>(bytes(v.signature));
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += std::to_integer<unsigned>(signature[32 + i]) + std::to_integer<unsigned>(order[i]);
    signature[32 + i] = static_cast<std::byte>(carry & 0xFFU);
    carry >>= 8U;
  }
  ASSERT_EQ(carry, 0U);
  EXPECT_FALSE(verify(fixed<32>(bytes(v.public_key)), bytes(v.message), signature));
}

}  // namespace
}  // namespace kimberlite::crypto
