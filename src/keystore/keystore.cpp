#include "keystore/keystore.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "base/assert.hpp"
#include "base/codec.hpp"
#include "crypto/hmac.hpp"
#include "file.hpp"
#include "sidecar.hpp"
#include "wrap.hpp"

namespace kimberlite::keystore {
namespace {

struct Tenant {
  crypto::Key256 key;
  WrappedKey wrapped{};  // under the cluster key
  KeyId last;            // the highest key id there ever was
  std::map<KeyId, WrappedKey> wrapped_keys;
  std::map<KeyId, ItemKeyPtr> item_keys;  // all of them but the pseudonym key
  std::optional<crypto::Key256> pseudonym;
  std::map<KeyId, ItemKeyPtr> proposed;
  std::optional<crypto::Key256> page;
  struct Signing {
    WrappedKey wrapped{};
    SigningKeyPtr key;
  };
  std::map<KeyId, Signing> signing;  // by signing_key_id: epoch, then lane

  // The newest epoch of a lane that has a key; 0: none.
  [[nodiscard]] std::uint32_t signed_epoch(std::uint16_t lane) const {
    std::uint32_t epoch = 0;
    for (const auto& [id, signer] : signing) {
      const std::optional<LogEpoch> log = log_of_key(id);
      KIMBERLITE_ASSERT(log.has_value());
      if (log->lane == lane) epoch = log->epoch;
    }
    return epoch;
  }

  void add(KeyId id, const WrappedKey& wrapped_key, crypto::Key256 opened) {
    KIMBERLITE_ASSERT(id > last);
    last = id;
    wrapped_keys.emplace(id, wrapped_key);
    if (id == pseudonym_key) {
      pseudonym = std::move(opened);
    } else {
      item_keys.emplace(id, std::make_shared<const ItemKey>(id, std::move(opened)));
    }
    // What was proposed under this id is either this key or will never be brought.
    proposed.erase(id);
  }
};

constexpr std::size_t tenant_header_size = 8 + wrapped_key_size + 8 + 4 + 4;

}  // namespace

struct Keystore::Impl {
  Impl(const Id128& cluster_id, crypto::Key256 key, EpochKey epoch_key)
      : cluster(cluster_id), cluster_key(std::move(key)), epoch(std::move(epoch_key)) {}

  [[nodiscard]] KeyName name(TenantId tenant, KeyId key) const { return {cluster, tenant, key}; }
  [[nodiscard]] const Tenant* find(TenantId id) const {
    const auto found = tenants.find(id);
    return found == tenants.end() ? nullptr : &found->second;
  }
  Tenant* find(TenantId id) {
    const auto found = tenants.find(id);
    return found == tenants.end() ? nullptr : &found->second;
  }

  [[nodiscard]] Buffer secrets() const;
  [[nodiscard]] Status read_secrets(Reader& from);
  [[nodiscard]] Status read_tenant(Reader& from);
  [[nodiscard]] Result<Hash> hmac(TenantId tenant, std::uint8_t domain,
                                  std::span<const Bytes> parts) const;

  mutable std::shared_mutex mutex;  // guards `tenants`; the rest changes on the owner's strand
  Id128 cluster;
  crypto::Key256 cluster_key;
  EpochKey epoch;
  std::map<TenantId, Tenant> tenants;
};

namespace {

Error no_tenant(TenantId tenant) {
  return Error{Code::not_found_tenant, "the keystore has no tenant {}", tenant.value()};
}

Error bad_sidecar(TenantId tenant, std::string_view what) {
  return Error{Code::integrity_command, "the keys a command brings cannot be taken"}
      .where("tenant {}", tenant.value())
      .why("{}", what);
}

Error bad_secrets(const Reader& from) {
  return Error{Code::integrity_keystore,
               "what the keystore file seals is not in its canonical form"}
      .where("before byte {} of the opened text", from.at());
}

// What changed by a sidecar, complete before any of it is put in place.
struct Staged {
  struct NewKey {
    KeyId id;
    WrappedKey wrapped;
    crypto::Key256 key;
  };
  struct NewSigning {
    LogEpoch log;
    WrappedKey wrapped;
    SigningKeyPtr key;
  };
  TenantId tenant;
  std::optional<crypto::Key256> tenant_key;  // a new tenant's, or the one that replaces its key
  WrappedKey tenant_wrapped{};
  std::map<KeyId, WrappedKey> rewrapped;
  std::vector<NewKey> keys;
  std::vector<NewSigning> signing;

  // A new tenant comes with all of this and nothing else.
  [[nodiscard]] bool is_whole_tenant() const {
    return keys.size() == pseudonym_key.value() && signing.size() == signed_lanes;
  }
};

}  // namespace

Keystore::Keystore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Keystore::Keystore(Keystore&&) noexcept = default;
Keystore& Keystore::operator=(Keystore&&) noexcept = default;
Keystore::~Keystore() = default;

Result<Keystore> Keystore::create(const Id128& cluster, MasterKey& master, env::Random& random) {
  EpochKey epoch{{}, new_key(random), {}};
  random.fill(epoch.id);
  auto impl = std::make_unique<Impl>(cluster, new_key(random), std::move(epoch));
  Keystore keystore{std::move(impl)};
  KIMBERLITE_CHECK(keystore.rewrap(master));
  const Buffer sidecar = keystore.propose_tenant(TenantId{}, random);
  KIMBERLITE_CHECK(keystore.apply_sidecar(TenantId{}, sidecar, random));
  return keystore;
}

Status Keystore::rewrap(MasterKey& master) {
  KIMBERLITE_TRY(Buffer wrapped, master.wrap(impl_->epoch.key.expose()));
  if (wrapped.size() > MasterKey::wrapped_max) {
    return Error{Code::unavailable_key, "the master key wraps a key in {} bytes", wrapped.size()}
        .why("the keystore takes at most {}", MasterKey::wrapped_max);
  }
  impl_->epoch.wrapped = std::move(wrapped);
  return {};
}

Id128 Keystore::epoch_key() const { return impl_->epoch.id; }

// ---- The file ---------------------------------------------------------------------------------
//
//   cluster key 32 · tenant count u32 · zero u32 · tenants by id:
//   id u64 · wrapped tenant key 72 · last key id u64 · key count u32 · has page key u8 · zero u8 ·
//   signing key count u16 · [page key 32] · keys by id (id u64 · wrapped key 72) ·
//   signing keys by id (the same)

Buffer Keystore::Impl::secrets() const {
  std::size_t size = crypto::Key256::size + 8;
  for (const auto& [id, tenant] : tenants) {
    size += tenant_header_size + (tenant.page ? crypto::Key256::size : 0) +
            (tenant.wrapped_keys.size() + tenant.signing.size()) * (8 + wrapped_key_size);
  }
  Buffer room;
  room.reserve(size);  // never moved, so no copy of a key is left behind
  Writer to{std::move(room)};
  to.bytes(cluster_key.expose());
  to.u32(static_cast<std::uint32_t>(tenants.size()));
  to.zeros(4);
  for (const auto& [id, tenant] : tenants) {
    to.id(id);
    to.bytes(tenant.wrapped);
    to.id(tenant.last);
    to.u32(static_cast<std::uint32_t>(tenant.wrapped_keys.size()));
    to.u8(tenant.page ? 1 : 0);
    to.zeros(1);
    to.u16(static_cast<std::uint16_t>(tenant.signing.size()));
    if (tenant.page) to.bytes(tenant.page->expose());
    for (const auto& [key, wrapped] : tenant.wrapped_keys) {
      to.id(key);
      to.bytes(wrapped);
    }
    for (const auto& [key, signing] : tenant.signing) {
      to.id(key);
      to.bytes(signing.wrapped);
    }
  }
  KIMBERLITE_ASSERT(to.size() == size);
  return std::move(to).take();
}

Buffer Keystore::encode(OpNumber op, env::Random& random) const {
  const std::shared_lock lock{impl_->mutex};
  return seal_file(op, impl_->cluster, impl_->epoch, impl_->secrets(), random);
}

Buffer Keystore::seal_local(Bytes plaintext, env::Random& random) const {
  const std::shared_lock lock{impl_->mutex};
  return keystore::seal_local(impl_->cluster, impl_->epoch, plaintext, random);
}

Result<Buffer> Keystore::open_local(Bytes sealed) const {
  const std::shared_lock lock{impl_->mutex};
  return keystore::open_local(impl_->cluster, impl_->epoch, sealed);
}

Status Keystore::Impl::read_tenant(Reader& from) {
  const auto id = from.id<TenantId>();
  const auto wrapped = from.array<wrapped_key_size>();
  const auto last = from.id<KeyId>();
  const std::uint32_t count = from.u32();
  const std::uint8_t has_page = from.u8();
  from.zeros(1);
  const std::uint16_t signing_count = from.u16();
  const bool ascending = tenants.empty() || std::prev(tenants.end())->first < id;
  if (from.failed() || has_page > 1 || !ascending) return bad_secrets(from);
  std::optional<crypto::Key256> key = unwrap_key(cluster_key, name(id, KeyId{}), wrapped);
  if (!key) return bad_secrets(from);
  Tenant tenant{*std::move(key), wrapped, {}, {}, {}, {}, {}, {}, {}};
  if (has_page == 1) {
    const Bytes secret = from.bytes(crypto::Key256::size);
    if (from.failed()) return bad_secrets(from);
    tenant.page.emplace(std::span<const std::byte, crypto::Key256::size>{secret});
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto key_id = from.id<KeyId>();
    const auto wrapped_key = from.array<wrapped_key_size>();
    if (from.failed() || key_id <= tenant.last || key_id > last) return bad_secrets(from);
    std::optional<crypto::Key256> opened = unwrap_key(tenant.key, name(id, key_id), wrapped_key);
    if (!opened) return bad_secrets(from);
    tenant.add(key_id, wrapped_key, *std::move(opened));
  }
  tenant.last = last;
  for (std::uint16_t i = 0; i < signing_count; ++i) {
    const auto key_id = from.id<KeyId>();
    const auto wrapped_key = from.array<wrapped_key_size>();
    const bool next = tenant.signing.empty() || std::prev(tenant.signing.end())->first < key_id;
    if (from.failed() || !next || !log_of_key(key_id)) return bad_secrets(from);
    const auto seed = unwrap_key(tenant.key, name(id, key_id), wrapped_key);
    if (!seed) return bad_secrets(from);
    tenant.signing.emplace(
        key_id, Tenant::Signing{wrapped_key, std::make_shared<crypto::SigningKey>(*seed)});
  }
  tenants.emplace_hint(tenants.end(), id, std::move(tenant));
  return {};
}

Status Keystore::Impl::read_secrets(Reader& from) {
  const std::uint32_t count = from.u32();
  from.zeros(4);
  for (std::uint32_t i = 0; i < count; ++i) KIMBERLITE_CHECK(read_tenant(from));
  if (!from.finished()) return bad_secrets(from);
  return {};
}

Result<Keystore> Keystore::decode(Bytes file, MasterKey& master) {
  KIMBERLITE_TRY(OpenedFile opened, open_file(file, master));
  Reader from{opened.secrets};
  std::array<std::byte, crypto::Key256::size> secret = from.array<crypto::Key256::size>();
  auto impl = std::make_unique<Impl>(opened.header.cluster, crypto::Key256{secret},
                                     std::move(opened.epoch));
  const Status read = impl->read_secrets(from);
  crypto::wipe(secret);
  crypto::wipe(opened.secrets);
  KIMBERLITE_CHECK(read);
  return Keystore{std::move(impl)};
}

// ---- New keys ---------------------------------------------------------------------------------

Result<Buffer> Keystore::propose_data_key(TenantId tenant_id, KeyId key, env::Random& random) {
  Tenant* tenant = impl_->find(tenant_id);
  if (tenant == nullptr) return no_tenant(tenant_id);
  if (key <= tenant->last) {
    return Error{Code::internal_bug, "key {} of a tenant is proposed, and is there already",
                 key.value()}
        .where("tenant {}", tenant_id.value());
  }
  crypto::Key256 secret = new_key(random);
  const WrappedKey wrapped = wrap_key(tenant->key, impl_->name(tenant_id, key), secret, random);
  const std::unique_lock lock{impl_->mutex};
  tenant->proposed.insert_or_assign(key, std::make_shared<const ItemKey>(key, std::move(secret)));
  return encode_sidecar({{SidecarKind::data_key, tenant_id, key, wrapped}});
}

void Keystore::abandon(TenantId tenant_id) {
  const std::unique_lock lock{impl_->mutex};
  if (Tenant* tenant = impl_->find(tenant_id)) tenant->proposed.clear();
}

Buffer Keystore::propose_tenant(TenantId tenant, env::Random& random) {
  const crypto::Key256 own = new_key(random);
  std::vector<SidecarEntry> entries{
      {SidecarKind::tenant_key, tenant, KeyId{},
       wrap_key(impl_->cluster_key, impl_->name(tenant, KeyId{}), own, random)}};
  for (const KeyId key : {control_key, pseudonym_key}) {
    entries.push_back({SidecarKind::data_key, tenant, key,
                       wrap_key(own, impl_->name(tenant, key), new_key(random), random)});
  }
  for (std::uint16_t lane = 0; lane < signed_lanes; ++lane) {
    const KeyId id = signing_key_id({lane, 1});
    entries.push_back({SidecarKind::signing_key, tenant, id,
                       wrap_key(own, impl_->name(tenant, id), new_key(random), random)});
  }
  return encode_sidecar(entries);
}

Result<Buffer> Keystore::propose_signing_key(TenantId tenant_id, LogEpoch log,
                                             env::Random& random) {
  const Tenant* tenant = impl_->find(tenant_id);
  if (tenant == nullptr) return no_tenant(tenant_id);
  const KeyId id = signing_key_id(log);
  return encode_sidecar(
      {{SidecarKind::signing_key, tenant_id, id,
        wrap_key(tenant->key, impl_->name(tenant_id, id), new_key(random), random)}});
}

Buffer Keystore::propose_tenant_key(TenantId tenant, env::Random& random) {
  return encode_sidecar(
      {{SidecarKind::tenant_key, tenant, KeyId{},
        wrap_key(impl_->cluster_key, impl_->name(tenant, KeyId{}), new_key(random), random)}});
}

void Keystore::take_over(Keystore&& peer) {
  const std::unique_lock lock{impl_->mutex};
  for (auto& [id, tenant] : peer.impl_->tenants) {
    Tenant* own = impl_->find(id);
    tenant.page = own == nullptr ? std::nullopt : std::move(own->page);
  }
  impl_->tenants = std::move(peer.impl_->tenants);
  impl_->cluster_key = std::move(peer.impl_->cluster_key);
}

void Keystore::cut_back(std::span<const TenantCut> tenants) {
  const std::unique_lock lock{impl_->mutex};
  std::erase_if(impl_->tenants, [&](const auto& entry) {
    return std::ranges::find(tenants, entry.first, &TenantCut::tenant) == tenants.end();
  });
  for (const TenantCut& cut : tenants) {
    Tenant* tenant = impl_->find(cut.tenant);
    if (tenant == nullptr) continue;
    const auto later = [&](const auto& entry) { return entry.first > cut.last_key; };
    std::erase_if(tenant->wrapped_keys, later);
    std::erase_if(tenant->item_keys, later);
    tenant->proposed.clear();
    tenant->last = std::min(tenant->last, cut.last_key);
    std::erase_if(tenant->signing, [&](const auto& entry) {
      const std::optional<LogEpoch> log = log_of_key(entry.first);
      return !log || log->epoch > cut.epochs.at(log->lane);
    });
  }
}

namespace {

// Opens a tenant key; of a tenant that is there, re-wraps its keys under the new one.
Status stage_tenant_key(const Id128& cluster, const crypto::Key256& cluster_key,
                        const Tenant* tenant, const SidecarEntry& entry, env::Random& random,
                        Staged& staged) {
  if (staged.tenant_key || !staged.keys.empty() || !staged.signing.empty()) {
    return bad_sidecar(entry.tenant,
                       "a tenant key is not the first key and the only one of its kind");
  }
  staged.tenant = entry.tenant;
  staged.tenant_wrapped = entry.wrapped;
  staged.tenant_key = unwrap_key(cluster_key, {cluster, entry.tenant, KeyId{}}, entry.wrapped);
  if (!staged.tenant_key) return bad_sidecar(entry.tenant, "the tenant key does not open");
  if (tenant == nullptr) return {};
  const auto rewrap = [&](KeyId id, const WrappedKey& wrapped) {
    const KeyName name{cluster, entry.tenant, id};
    const std::optional<crypto::Key256> opened = unwrap_key(tenant->key, name, wrapped);
    KIMBERLITE_ASSERT(opened.has_value());  // it opened when it was added
    staged.rewrapped.emplace(id, wrap_key(*staged.tenant_key, name, *opened, random));
  };
  for (const auto& [id, wrapped] : tenant->wrapped_keys) rewrap(id, wrapped);
  for (const auto& [id, signing] : tenant->signing) rewrap(id, signing.wrapped);
  return {};
}

Status stage_data_key(const Id128& cluster, const Tenant* tenant, const SidecarEntry& entry,
                      Staged& staged) {
  if (staged.tenant_key && staged.tenant != entry.tenant) {
    return bad_sidecar(entry.tenant, "it brings keys of two tenants");
  }
  if (!staged.tenant_key && tenant == nullptr) return no_tenant(entry.tenant);
  staged.tenant = entry.tenant;
  const KeyId last = !staged.keys.empty() ? staged.keys.back().id
                     : tenant != nullptr  ? tenant->last
                                          : KeyId{};
  if (last.value() + 1 != entry.key.value()) {
    return bad_sidecar(entry.tenant, "a key's id is not the next one");
  }
  const crypto::Key256& under = staged.tenant_key ? *staged.tenant_key : tenant->key;
  std::optional<crypto::Key256> opened =
      unwrap_key(under, {cluster, entry.tenant, entry.key}, entry.wrapped);
  if (!opened) return bad_sidecar(entry.tenant, "a key does not open");
  staged.keys.push_back({entry.key, entry.wrapped, *std::move(opened)});
  return {};
}

// The key of a log's next epoch; of a new tenant, the first.
Status stage_signing_key(const Id128& cluster, const Tenant* tenant, const SidecarEntry& entry,
                         Staged& staged) {
  if (!staged.tenant_key && tenant == nullptr) return no_tenant(entry.tenant);
  staged.tenant = entry.tenant;
  const std::optional<LogEpoch> log = log_of_key(entry.key);
  KIMBERLITE_ASSERT(log.has_value());  // decode_sidecar
  std::uint32_t last = tenant == nullptr ? 0 : tenant->signed_epoch(log->lane);
  for (const Staged::NewSigning& key : staged.signing) {
    if (key.log.lane == log->lane) last = key.log.epoch;
  }
  if (log->epoch - 1 != last) {
    return bad_sidecar(entry.tenant, "a signing key is not that of the log's next epoch");
  }
  const crypto::Key256& under = staged.tenant_key ? *staged.tenant_key : tenant->key;
  const std::optional<crypto::Key256> seed =
      unwrap_key(under, {cluster, entry.tenant, entry.key}, entry.wrapped);
  if (!seed) return bad_sidecar(entry.tenant, "a signing key does not open");
  staged.signing.push_back({*log, entry.wrapped, std::make_shared<crypto::SigningKey>(*seed)});
  return {};
}

}  // namespace

Status Keystore::apply_sidecar(TenantId tenant_id, Bytes sidecar, env::Random& random) {
  KIMBERLITE_TRY(const std::vector<SidecarEntry> entries, decode_sidecar(sidecar));
  if (entries.empty()) return {};
  // All entries are of one tenant: the command's own, or one that tenant 0 makes.
  const TenantId target = entries.front().tenant;
  Tenant* tenant = impl_->find(target);
  if (target != tenant_id && (tenant_id != TenantId{} || tenant != nullptr)) {
    return bad_sidecar(tenant_id, "it brings keys of another tenant");
  }
  Staged staged;
  for (const SidecarEntry& entry : entries) {
    if (entry.tenant != target) return bad_sidecar(tenant_id, "it brings keys of two tenants");
    switch (entry.kind) {
      case SidecarKind::tenant_key:
        KIMBERLITE_CHECK(
            stage_tenant_key(impl_->cluster, impl_->cluster_key, tenant, entry, random, staged));
        break;
      case SidecarKind::data_key:
        KIMBERLITE_CHECK(stage_data_key(impl_->cluster, tenant, entry, staged));
        break;
      case SidecarKind::signing_key:
        KIMBERLITE_CHECK(stage_signing_key(impl_->cluster, tenant, entry, staged));
        break;
    }
  }
  if (tenant == nullptr && !staged.is_whole_tenant()) {
    return bad_sidecar(target, "a new tenant comes with its keys 1 and 2 and two signing keys");
  }

  const std::unique_lock lock{impl_->mutex};
  if (tenant == nullptr) {
    Tenant fresh{*std::move(staged.tenant_key), staged.tenant_wrapped, {}, {}, {}, {}, {}, {}, {}};
    tenant = &impl_->tenants.emplace(target, std::move(fresh)).first->second;
  } else if (staged.tenant_key) {
    tenant->key = *std::move(staged.tenant_key);
    tenant->wrapped = staged.tenant_wrapped;
    for (auto& [id, wrapped] : tenant->wrapped_keys) wrapped = staged.rewrapped.at(id);
    for (auto& [id, signing] : tenant->signing) signing.wrapped = staged.rewrapped.at(id);
  }
  for (Staged::NewKey& key : staged.keys) tenant->add(key.id, key.wrapped, std::move(key.key));
  for (Staged::NewSigning& key : staged.signing) {
    tenant->signing.emplace(signing_key_id(key.log),
                            Tenant::Signing{key.wrapped, std::move(key.key)});
  }
  return {};
}

// ---- Use --------------------------------------------------------------------------------------

Result<ItemKeyPtr> Keystore::item_key(TenantId tenant_id, KeyId key) const {
  const std::shared_lock lock{impl_->mutex};
  const Tenant* tenant = impl_->find(tenant_id);
  if (tenant == nullptr) return no_tenant(tenant_id);
  if (const auto found = tenant->item_keys.find(key); found != tenant->item_keys.end()) {
    return found->second;
  }
  if (const auto found = tenant->proposed.find(key); found != tenant->proposed.end()) {
    return found->second;
  }
  return Error{Code::erased_item, "the key of this item is not in the keystore"}
      .where("tenant {}, key {}", tenant_id.value(), key.value())
      .why("items under it cannot be read any more; that they were recorded can still be verified");
}

Result<SigningKeyPtr> Keystore::signing_key(TenantId tenant_id, LogEpoch log) const {
  const std::shared_lock lock{impl_->mutex};
  const Tenant* tenant = impl_->find(tenant_id);
  if (tenant == nullptr) return no_tenant(tenant_id);
  if (const auto found = tenant->signing.find(signing_key_id(log));
      found != tenant->signing.end()) {
    return found->second.key;
  }
  return Error{Code::not_found_object, "the keystore has no signing key for this epoch of the log"}
      .where("tenant {}, lane {}, epoch {}", tenant_id.value(), log.lane, log.epoch);
}

Result<Hash> Keystore::Impl::hmac(TenantId tenant_id, std::uint8_t domain,
                                  std::span<const Bytes> parts) const {
  // Each part with its size, so that no two lists of parts are the same bytes.
  Writer framing;
  framing.u8(domain);
  for (const Bytes part : parts) framing.u64(part.size());
  const Bytes sizes = framing.buffer();
  std::vector<Bytes> message{sizes.first(1)};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    message.push_back(sizes.subspan(1 + i * sizeof(std::uint64_t), sizeof(std::uint64_t)));
    message.push_back(parts[i]);
  }
  const std::shared_lock lock{mutex};
  const Tenant* tenant = find(tenant_id);
  if (tenant == nullptr || !tenant->pseudonym) return no_tenant(tenant_id);
  return crypto::hmac_sha256_of(tenant->pseudonym->expose(), message);
}

namespace {

// What the pseudonym key is used for; a number is never reused.
constexpr std::uint8_t domain_request_digest = 1;
constexpr std::uint8_t domain_request_id = 2;
constexpr std::uint8_t domain_correlation = 3;

// RFC 9562 §5.8: version 8, variant 10, the rest ours.
Id128 uuid_v8(const Hash& hash) {
  Id128 id{};
  std::copy_n(hash.begin(), id.size(), id.begin());
  id[6] = (id[6] & std::byte{0x0F}) | std::byte{0x80};
  id[8] = (id[8] & std::byte{0x3F}) | std::byte{0x80};
  return id;
}

}  // namespace

Result<Hash> Keystore::request_digest(TenantId tenant, std::span<const Bytes> parts) const {
  return impl_->hmac(tenant, domain_request_digest, parts);
}

Result<Id128> Keystore::request_id(TenantId tenant, const Id128& principal,
                                   std::string_view text) const {
  const std::array<Bytes, 2> parts{principal, bytes_of(text)};
  KIMBERLITE_TRY(const Hash hash, impl_->hmac(tenant, domain_request_id, parts));
  return uuid_v8(hash);
}

Result<Id128> Keystore::correlation_id(TenantId tenant, std::string_view text) const {
  const std::array<Bytes, 1> parts{bytes_of(text)};
  KIMBERLITE_TRY(const Hash hash, impl_->hmac(tenant, domain_correlation, parts));
  return uuid_v8(hash);
}

// ---- Page keys --------------------------------------------------------------------------------

std::optional<crypto::Key256> Keystore::page_key(TenantId tenant_id) const {
  const std::shared_lock lock{impl_->mutex};
  const Tenant* tenant = impl_->find(tenant_id);
  if (tenant == nullptr || !tenant->page) return std::nullopt;
  return tenant->page->duplicate();
}

Result<crypto::Key256> Keystore::new_page_key(TenantId tenant_id, env::Random& random) {
  const std::unique_lock lock{impl_->mutex};
  Tenant* tenant = impl_->find(tenant_id);
  if (tenant == nullptr) return no_tenant(tenant_id);
  tenant->page = new_key(random);
  return tenant->page->duplicate();
}

std::optional<KeyId> Keystore::last_key(TenantId tenant_id) const {
  const std::shared_lock lock{impl_->mutex};
  const Tenant* tenant = impl_->find(tenant_id);
  if (tenant == nullptr) return std::nullopt;
  return tenant->last;
}

std::vector<TenantKeys> Keystore::list() const {
  const std::shared_lock lock{impl_->mutex};
  std::vector<TenantKeys> all;
  for (const auto& [id, tenant] : impl_->tenants) {
    TenantKeys& keys = all.emplace_back();
    keys.tenant = id;
    for (const auto& [key, wrapped] : tenant.wrapped_keys) keys.keys.push_back(key);
    for (const auto& [key, signing] : tenant.signing) {
      keys.signing.push_back(log_of_key(key).value_or(LogEpoch{}));
    }
  }
  return all;
}

}  // namespace kimberlite::keystore
