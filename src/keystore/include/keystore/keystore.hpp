// All secrets of a directory but the master key, and the file they are kept in.
//
//   master key (outside) → epoch key (of this replica) → the file `keystore-<op>`
//   in it: cluster key → tenant keys → data keys; and a page key a projection file, of this replica
//
// Key ids are dense per tenant: 1 control, 2 pseudonym, 3 on data keys. Each log has a signing key
// an epoch beside them (Ed25519, record/signed_head.hpp). New keys travel wrapped in the *sidecar*
// of the command that brings them, never in a record: data and signing keys under their tenant's
// key, a new tenant's key under the cluster key. The file is written by checkpoints only, so that a
// replay of the journal finds at each op the keys that were live there.
//
// Thread rule: everything that changes a keystore, and `encode`, is for its owner's strand; lookups
// (`item_key`, `signing_key`, the pseudonyms, `page_key`) are safe from any thread beside it.
// Source: storage.md, Keystore; tenancy.md and proofs.md, Keys.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/key.hpp"
#include "env/env.hpp"
#include "keystore/item_key.hpp"
#include "keystore/master_key.hpp"

namespace kimberlite::keystore {

inline constexpr KeyId control_key{1};
inline constexpr KeyId pseudonym_key{2};
inline constexpr KeyId first_data_key{3};

// Whose heads a signing key signs: one epoch of one log of a tenant. Epochs count from 1.
struct LogEpoch {
  std::uint16_t lane = 0;
  std::uint32_t epoch = 1;
  friend bool operator==(const LogEpoch&, const LogEpoch&) = default;
};
inline constexpr std::uint16_t signed_lanes = 2;  // a tenant's logs
using SigningKeyPtr = std::shared_ptr<const crypto::SigningKey>;

// What a keystore file says of itself to whoever has no key.
struct FileHeader {
  OpNumber op;
  Id128 cluster{};
  Id128 epoch_key{};               // id of the epoch key
  std::uint64_t wrapped_at = 0;    // offsets and sizes in bytes
  std::uint64_t wrapped_size = 0;  // the epoch key under the master key
  std::uint64_t sealed_at = 0;
  std::uint64_t sealed_size = 0;
};
// Needs no key: checks magic, version, sizes, padding and the checksum over the whole file.
// `integrity.keystore` with the byte offset, `unavailable.version` for a newer format.
[[nodiscard]] Result<FileHeader> read_header(Bytes file);

struct TenantKeys {
  TenantId tenant;
  std::vector<KeyId> keys;        // ascending
  std::vector<LogEpoch> signing;  // by epoch, then lane
};

class Keystore {
 public:
  // A new cluster's: cluster key, epoch key, and tenant 0 with its keys 1 and 2 and its signing
  // keys.
  [[nodiscard]] static Result<Keystore> create(const Id128& cluster, MasterKey& master,
                                               env::Random& random);
  // From a file's bytes. `unavailable.wrong_key` if another master key wrapped it;
  // `integrity.keystore` if anything in it is not as it was written.
  [[nodiscard]] static Result<Keystore> decode(Bytes file, MasterKey& master);

  Keystore(Keystore&&) noexcept;
  Keystore& operator=(Keystore&&) noexcept;
  ~Keystore();

  // The file `keystore-<op>`: what is live after `op`, sealed by the epoch key. Keys that are only
  // proposed are not in it.
  [[nodiscard]] Buffer encode(OpNumber op, env::Random& random) const;
  // Another file of this replica that must not be readable without the keystore (the snapshot),
  // sealed by the epoch key. `open_local`: `integrity.seal` unless it was sealed so.
  [[nodiscard]] Buffer seal_local(Bytes plaintext, env::Random& random) const;
  [[nodiscard]] Result<Buffer> open_local(Bytes sealed) const;
  // Wraps the same epoch key under another master key; in the next file.
  [[nodiscard]] Status rewrap(MasterKey& master);
  [[nodiscard]] Id128 epoch_key() const;

  // ---- New keys: the executor of the primary proposes, every replica applies. ----------------

  // A data key with this id, at once usable here for sealing; gives the sidecar that brings it.
  // `key` is the kernel's next key id, or one more than the last one proposed.
  [[nodiscard]] Result<Buffer> propose_data_key(TenantId tenant, KeyId key, env::Random& random);
  // Forgets keys that were proposed for `tenant` and not applied: their command was refused, or its
  // outcome is unknown (if it commits after all, its sidecar brings the key again).
  void abandon(TenantId tenant);
  // The sidecar that brings a new tenant: its key, its keys 1 and 2, and the signing keys of its
  // logs' first epochs.
  [[nodiscard]] Buffer propose_tenant(TenantId tenant, env::Random& random);
  // The sidecar that brings a new tenant key; every replica re-wraps the tenant's data keys.
  [[nodiscard]] Buffer propose_tenant_key(TenantId tenant, env::Random& random);
  // The sidecar that brings the signing key of a log's next epoch, known only once it is applied.
  // `not_found.tenant`.
  [[nodiscard]] Result<Buffer> propose_signing_key(TenantId tenant, LogEpoch log,
                                                   env::Random& random);
  // What a restored history has of a tenant: the highest key id, and the epoch of each of its logs.
  struct TenantCut {
    TenantId tenant;
    KeyId last_key;
    std::array<std::uint32_t, signed_lanes> epochs{};
  };
  // Forgets the tenants, keys and epochs that come later: they are another history's, and this one
  // will give their ids to keys of its own. `tenants` names all that are kept.
  void cut_back(std::span<const TenantCut> tenants);
  // The sidecar of an accepted command of `tenant`. `integrity.command`, nothing changed, unless it
  // is canonical, opens, and brings only keys that are new. `random` draws the nonces of re-wraps.
  [[nodiscard]] Status apply_sidecar(TenantId tenant, Bytes sidecar, env::Random& random);

  // Takes the keys of another replica's keystore in place of its own, but for page keys and the
  // epoch key, which are this replica's.
  void take_over(Keystore&& peer);

  // ---- Use ------------------------------------------------------------------------------------

  // `erased.item` if the tenant has no such key (any more).
  [[nodiscard]] Result<ItemKeyPtr> item_key(TenantId tenant, KeyId key) const;

  // `not_found.object` if the keystore has no such key.
  [[nodiscard]] Result<SigningKeyPtr> signing_key(TenantId tenant, LogEpoch log) const;

  // HMAC-SHA-256 under the tenant's pseudonym key, a domain of its own each; `not_found.tenant`.
  // Of a request as it was sent: tells a retry from another request under the same id.
  [[nodiscard]] Result<Hash> request_digest(TenantId tenant, std::span<const Bytes> parts) const;
  // A UUIDv8 (RFC 9562) from a principal and the text he calls his request by.
  [[nodiscard]] Result<Id128> request_id(TenantId tenant, const Id128& principal,
                                         std::string_view text) const;
  // A UUIDv8 from a caller's correlation text.
  [[nodiscard]] Result<Id128> correlation_id(TenantId tenant, std::string_view text) const;

  // ---- Page keys: of this replica's projection files; a file without one is rebuilt. ----------

  [[nodiscard]] std::optional<crypto::Key256> page_key(TenantId tenant) const;
  // Replaces the one there is; in the file from the next checkpoint on. `not_found.tenant`.
  [[nodiscard]] Result<crypto::Key256> new_page_key(TenantId tenant, env::Random& random);

  // The highest key id the tenant ever had; nothing if there is no such tenant.
  [[nodiscard]] std::optional<KeyId> last_key(TenantId tenant) const;
  // For `key status`; proposed keys are not listed.
  [[nodiscard]] std::vector<TenantKeys> list() const;

 private:
  struct Impl;
  explicit Keystore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kimberlite::keystore
