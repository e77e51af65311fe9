// What a session answers about proofs.
#include <algorithm>

#include "session.hpp"

namespace kimberlite::engine {

// What is shown to be there is there for whoever reads next.
Status LocalSession::see(Position shown) {
  KIMBERLITE_TRY(auto reader, tenant_.take_reader());
  const Result<projection::At> at = reader->head();
  tenant_.give_reader(std::move(reader));
  if (!at) return at.error();
  return at->position < shown ? tenant_.settle() : Status{};
}

Result<log::StoredHead> LocalSession::signed_head(Position at_least) {
  KIMBERLITE_CHECK(core_.confirm_read());
  KIMBERLITE_TRY(log::StoredHead head,
                 core_.prover().head(tenant_.id(), kernel::Lane::data, at_least));
  KIMBERLITE_CHECK(see(Position{head.tree.size}));
  return head;
}

Result<std::vector<log::StoredHead>> LocalSession::signed_heads(std::size_t limit) {
  return core_.prover().list(tenant_.id(), kernel::Lane::data, limit);
}

Result<log::StoredHead> LocalSession::signed_head_of_size(std::uint64_t size) {
  return core_.prover().stored(tenant_.id(), kernel::Lane::data, size);
}

Result<record::Receipt> LocalSession::receipt(Position position,
                                              std::optional<std::uint32_t> item) {
  KIMBERLITE_CHECK(core_.confirm_read());
  KIMBERLITE_TRY(record::Receipt receipt,
                 core_.prover().receipt(tenant_.id(), kernel::Lane::data, position, item));
  KIMBERLITE_CHECK(see(position));
  return receipt;
}

Result<record::CoseReceipt> LocalSession::cose_receipt(Position position,
                                                       std::optional<std::uint32_t> item) {
  KIMBERLITE_CHECK(core_.confirm_read());
  KIMBERLITE_TRY(record::CoseReceipt receipt,
                 core_.prover().cose_receipt(tenant_.id(), kernel::Lane::data, position, item));
  KIMBERLITE_CHECK(see(position));
  return receipt;
}

Result<RecordChanges> LocalSession::changes(Position position) {
  KIMBERLITE_CHECK(core_.confirm_read());
  KIMBERLITE_TRY(const projection::OpenedRecord record, tenant_.records().read(position));
  KIMBERLITE_CHECK(see(position));
  RecordChanges found{.catalog_version = record.entry.catalog_version, .changes = {}};
  for (std::uint32_t item = 0; item < record.items.size(); ++item) {
    for (const record::RowChange& change : record.items[item].plaintext.changes) {
      const Bytes key = change.key.bytes();
      found.changes.push_back({change.ordinal, item, change.table, Buffer{key.begin(), key.end()}});
    }
  }
  std::ranges::sort(found.changes, {}, &ChangePlace::ordinal);
  return found;
}

Result<record::ConsistencyProof> LocalSession::consistency(std::string_view older,
                                                           std::string_view newer) {
  KIMBERLITE_TRY(const log::StoredHead newest, signed_head(Position{1}));
  const record::VerifierKey key = newest.verifier_key();
  KIMBERLITE_TRY(const record::SignedHead from, record::check_head(older, key));
  KIMBERLITE_TRY(const record::SignedHead to, record::check_head(newer, key));
  return core_.prover().consistency(tenant_.id(), kernel::Lane::data, from, to);
}

Result<Buffer> LocalSession::tile(const record::TileName& name, const log::Tree& in) {
  return core_.logs().tile(tenant_.id(), kernel::Lane::data, name, in);
}

Result<std::vector<Hash>> LocalSession::consistency_path(const log::Tree& older,
                                                         const log::Tree& newer) {
  return core_.logs().prove_consistency(tenant_.id(), kernel::Lane::data, older, newer);
}

Status LocalSession::add_anchor(const log::Anchor& anchor) {
  return core_.prover().add_anchor(tenant_.id(), kernel::Lane::data, anchor);
}

Result<std::uint64_t> LocalSession::witnessed(std::string_view witness) {
  return core_.prover().witnessed(tenant_.id(), kernel::Lane::data, witness);
}

Result<Hash> LocalSession::root_at(std::uint64_t size) {
  return core_.logs().root_at(tenant_.id(), kernel::Lane::data, size);
}

}  // namespace kimberlite::engine
