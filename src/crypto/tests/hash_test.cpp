#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "crypto/blake3.hpp"
#include "crypto/crc32c.hpp"
#include "crypto/hmac.hpp"
#include "crypto/sha256.hpp"

namespace kimberlite::crypto {
namespace {

std::string hex(const Hash& hash) { return to_hex(hash); }

// FIPS 180-4 examples (NIST CSRC).
TEST(Sha256Function, HashesThePublishedMessages) {
  EXPECT_EQ(hex(sha256()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256(bytes_of("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(sha256(bytes_of(std::string(1'000'000, 'a')))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// However a message is cut into parts, around the size up to which parts are gathered.
TEST(Sha256Function, DependsOnTheConcatenationAlone) {
  std::string text;
  for (int i = 0; i < 700; ++i) text.push_back(static_cast<char>(i * 7));
  const Hash whole = sha256(bytes_of(text));
  const std::string_view view = text;
  for (std::size_t first = 0; first <= view.size(); first += 13) {
    for (std::size_t second = first; second <= view.size(); second += 37) {
      ASSERT_EQ(sha256(bytes_of(view.substr(0, first)),
                       bytes_of(view.substr(first, second - first)), bytes_of(view.substr(second))),
                whole)
          << first << " " << second;
    }
  }
  EXPECT_NE(sha256(bytes_of(view.substr(1))), whole);
}

TEST(Sha256Class, EqualsTheFunctionAndStartsAnew) {
  Sha256 stream;
  for (int round = 0; round < 2; ++round) {
    stream.update(bytes_of("ab"));
    stream.update({});
    stream.update(bytes_of("c"));
    EXPECT_EQ(stream.finish(), sha256(bytes_of("abc")));
  }
  EXPECT_EQ(stream.finish(), sha256());
}

TEST(Sha256Function, GivesEveryThreadTheSame) {
  const Hash expected = sha256(bytes_of("abc"));
  std::vector<Hash> found(4);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (Hash& hash : found) {
    threads.emplace_back([&hash] {
      for (int i = 0; i < 100; ++i) hash = sha256(bytes_of("a"), bytes_of("bc"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Hash& hash : found) EXPECT_EQ(hash, expected);
}

// The official test_vectors.json: the input is 0, 1, …, 250, 0, 1, …
TEST(Blake3Function, HashesThePublishedMessages) {
  const auto input = [](std::size_t size) {
    Buffer bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i % 251);
    return bytes;
  };
  EXPECT_EQ(hex(blake3()), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  EXPECT_EQ(hex(blake3(input(1))),
            "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
  EXPECT_EQ(hex(blake3(input(1024))),
            "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7");
  EXPECT_EQ(hex(blake3(input(1025))),
            "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444");
  EXPECT_EQ(hex(blake3(input(102400))),
            "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085");
}

TEST(Blake3Class, EqualsTheFunctionAndStartsAnew) {
  const Buffer bytes(100'000, std::byte{7});
  Blake3 stream;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t at = 0; at < bytes.size(); at += 3333) {
      stream.update(Bytes{bytes}.subspan(at, std::min<std::size_t>(3333, bytes.size() - at)));
    }
    EXPECT_EQ(stream.finish(), blake3(bytes));
  }
  stream.update(bytes);
  EXPECT_EQ(stream.duplicate().finish(), blake3(bytes));
  stream.update(bytes);
  EXPECT_EQ(stream.finish(), blake3(bytes, bytes));
  EXPECT_EQ(blake3(Bytes{bytes}.first(17), Bytes{bytes}.subspan(17)), blake3(bytes));
}

// RFC 3720 §B.4, and the check value of the CRC catalogues.
TEST(Crc32c, EqualsThePublishedValues) {
  Buffer ascending(32);
  Buffer descending(32);
  for (std::size_t i = 0; i < 32; ++i) {
    ascending[i] = static_cast<std::byte>(i);
    descending[i] = static_cast<std::byte>(31 - i);
  }
  EXPECT_EQ(crc32c({}), 0U);
  EXPECT_EQ(crc32c(Buffer(32, std::byte{0})), 0x8A9136AAU);
  EXPECT_EQ(crc32c(Buffer(32, std::byte{0xFF})), 0x62A8AB43U);
  EXPECT_EQ(crc32c(ascending), 0x46DD794EU);
  EXPECT_EQ(crc32c(descending), 0x113FDB5CU);
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xE3069283U);
}

TEST(Crc32c, GoesOnWhereItEnded) {
  const Bytes whole = bytes_of("123456789");
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    EXPECT_EQ(crc32c(whole.subspan(cut), crc32c(whole.first(cut))), 0xE3069283U);
  }
}

Hash hmac(Bytes key, Bytes message) {
  const std::array<Bytes, 1> parts{message};
  return hmac_sha256_of(key, parts);
}

// RFC 4231 §4.2 – §4.8 (case 5 is about truncation, which is not offered).
TEST(Hmac, EqualsThePublishedValues) {
  EXPECT_EQ(hex(hmac(Buffer(20, std::byte{0x0B}), bytes_of("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac(bytes_of("Jefe"), bytes_of("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac(Buffer(20, std::byte{0xAA}), Buffer(50, std::byte{0xDD}))),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(hex(hmac(*from_hex("0102030405060708090a0b0c0d0e0f10111213141516171819"),
                     Buffer(50, std::byte{0xCD}))),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
  EXPECT_EQ(hex(hmac(Buffer(131, std::byte{0xAA}),
                     bytes_of("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(
      hex(hmac(Buffer(131, std::byte{0xAA}),
               bytes_of("This is a test using a larger than block-size key and a larger than "
                        "block-size data. The key needs to be hashed before being used by the "
                        "HMAC algorithm."))),
      "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

// The definition (RFC 2104 §2), also for the empty key, which OpenSSL would take for "as before".
TEST(Hmac, EqualsTheDefinition) {
  for (const std::size_t size : {0U, 1U, 32U, 64U}) {
    const Buffer key(size, std::byte{0x42});
    std::array<std::byte, 64> inner{};
    std::array<std::byte, 64> outer{};
    for (std::size_t i = 0; i < 64; ++i) {
      const std::byte byte = i < size ? key[i] : std::byte{0};
      inner[i] = byte ^ std::byte{0x36};
      outer[i] = byte ^ std::byte{0x5C};
    }
    EXPECT_EQ(hmac(key, bytes_of("message")), sha256(outer, sha256(inner, bytes_of("message"))));
  }
}

}  // namespace
}  // namespace kimberlite::crypto
