// The file `keystore-<op>`, version 1. Integers little-endian.
//
//     0 magic "KMBKEYST"    8 version u16   10 zero u16   12 wrapped size u32
//    16 op u64             24 cluster 16    40 epoch key id 16
//    56 sealed size u64    64 nonce 24
//    88 the epoch key as the master key wrapped it, then ciphertext and tag
//   end BLAKE3 of all before it, 32 bytes: what can be checked without any key
//
// The ciphertext is XAES-256-GCM under the epoch key; all before it is associated data.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/key.hpp"
#include "env/env.hpp"
#include "keystore/keystore.hpp"

namespace kimberlite::keystore {

struct EpochKey {
  Id128 id{};
  crypto::Key256 key;
  Buffer wrapped;  // by the master key
};

// `secrets` is sealed in place and gone afterwards.
[[nodiscard]] Buffer seal_file(OpNumber op, const Id128& cluster, const EpochKey& epoch,
                               Buffer secrets, env::Random& random);

struct OpenedFile {
  FileHeader header;
  EpochKey epoch;
  Buffer secrets;  // the caller wipes it
};
[[nodiscard]] Result<OpenedFile> open_file(Bytes file, MasterKey& master);

// Nonce, ciphertext and tag of a text bound to the cluster and to this use.
[[nodiscard]] Buffer seal_local(const Id128& cluster, const EpochKey& epoch, Bytes plaintext,
                                env::Random& random);
[[nodiscard]] Result<Buffer> open_local(const Id128& cluster, const EpochKey& epoch, Bytes sealed);

}  // namespace kimberlite::keystore
