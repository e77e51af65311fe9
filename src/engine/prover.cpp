#include "prover.hpp"

#include <fmt/format.h>

#include "core.hpp"
#include "record/signed_head.hpp"

namespace kimberlite::engine {
namespace {

log::LogName name_of(TenantId tenant, kernel::Lane lane) {
  return {tenant, static_cast<std::uint16_t>(lane)};
}

}  // namespace

Prover::Book& Prover::book_of(const Key& key) {
  const std::scoped_lock lock{mutex_};
  auto& slot = books_[key];
  if (slot == nullptr) slot = std::make_unique<Book>();
  return *slot;
}

Prover::Committed Prover::committed(const Key& key) {
  Committed now;
  core_.run([&](Core& core) {
    now = {core.state().tenant(key.first)->lane(key.second), core.epochs_begun()};
  });
  return now;
}

Status Prover::open(const Key& key, Book& book, const Committed& committed) {
  // Who asked earlier and came later has nothing new to say.
  if (book.file && book.epochs_begun >= committed.epochs_begun) return {};
  book.file.reset();
  KIMBERLITE_TRY(log::HeadFile file,
                 log::HeadFile::open(core_.env().storage, name_of(key.first, key.second)));
  const kernel::LaneState& lane = committed.lane;
  const std::optional<log::StoredHead>& newest = file.newest();
  if (newest && newest->log_id == lane.log_id) {
    const auto where = [&](Error&& error) {
      return std::move(error)
          .where("tenants/{}/{}/{}", key.first.value(), lane_name(key.second), log::heads_name)
          .next("keep the directory as it is; a copy that holds the signed records is the log");
    };
    if (newest->tree.size > lane.head.position.value()) {
      return where(
          Error{Code::integrity_rollback, "the log has fewer records than it has signed"}.why(
              "it signed a tree of {}, and ends at {}: it was rolled back", newest->tree.size,
              lane.head.position.value()));
    }
    KIMBERLITE_TRY(const Hash root, core_.logs().root_at(key.first, key.second, newest->tree.size));
    if (root != newest->tree.root) {
      return where(
          Error{Code::integrity_consistency, "the log does not extend the head it signed"}.why(
              "of the first {} records it signed root {}, and has {}", newest->tree.size,
              to_hex(newest->tree.root), to_hex(root)));
    }
  }
  // Heads of an earlier epoch stay in the file, and count for nothing here.
  book.current = newest && newest->log_id == lane.log_id;
  book.epochs_begun = committed.epochs_begun;
  book.file.emplace(std::move(file));
  return {};
}

Result<keystore::SigningKeyPtr> Prover::signer(const Key& key, const kernel::LaneState& lane) {
  return core_.keys().signing_key(key.first, {static_cast<std::uint16_t>(key.second), lane.epoch});
}

std::optional<log::StoredHead> Prover::cached(const Book& book, Position at_least) const {
  if (!book.file || !book.current || book.epochs_begun != core_.epochs_begun()) return std::nullopt;
  const std::optional<log::StoredHead>& newest = book.file->newest();
  if (at_least.value() == 0 || newest->tree.size < at_least.value()) return std::nullopt;
  return newest;
}

Result<log::StoredHead> Prover::head_in(const Key& key, Book& book, Position at_least,
                                        const Committed& committed) {
  KIMBERLITE_CHECK(open(key, book, committed));
  if (auto known = cached(book, at_least)) return *std::move(known);
  if (book.epochs_begun != committed.epochs_begun) {
    return Error{Code::unavailable_busy, "a new epoch of the log has just begun"}.next("try again");
  }
  const kernel::LaneState& lane = committed.lane;
  const std::uint64_t size = lane.head.position.value();
  if (size == 0 || at_least.value() > size) {
    return Error{Code::not_found_position, "there is no position {}",
                 std::max<std::uint64_t>(1, at_least.value())}
        .why("the log ends at {}", size);
  }
  const std::optional<log::StoredHead>& newest = book.file->newest();
  if (book.current && newest->log_id == lane.log_id && newest->tree.size >= size) return *newest;
  KIMBERLITE_TRY(const keystore::SigningKeyPtr with, signer(key, lane));
  const log::StoredHead signed_head =
      log::sign(lane.log_id, log::tree_of(lane.head), core_.env().clock.realtime(), *with);
  KIMBERLITE_CHECK(book.file->append(signed_head));
  book.current = true;
  return signed_head;
}

Result<log::StoredHead> Prover::head(TenantId tenant, kernel::Lane lane, Position at_least) {
  Book& book = book_of({tenant, lane});
  {
    const std::scoped_lock lock{book.mutex};
    if (auto known = cached(book, at_least)) return *std::move(known);
  }
  const Committed now = committed({tenant, lane});
  const std::scoped_lock lock{book.mutex};
  return head_in({tenant, lane}, book, at_least, now);
}

Result<log::StoredHead> Prover::sign(TenantId tenant, kernel::Lane lane,
                                     const Committed& committed) {
  Book& book = book_of({tenant, lane});
  const std::scoped_lock lock{book.mutex};
  return head_in({tenant, lane}, book, Position{}, committed);
}

Result<log::StoredHead> Prover::stored(TenantId tenant, kernel::Lane lane, std::uint64_t size) {
  Book& book = book_of({tenant, lane});
  const Committed now = committed({tenant, lane});
  const std::scoped_lock lock{book.mutex};
  KIMBERLITE_CHECK(open({tenant, lane}, book, now));
  const std::optional<log::StoredHead>& newest = book.file->newest();
  std::optional<log::StoredHead> found;
  if (newest) {
    KIMBERLITE_TRY(found, book.file->first_with(newest->log_id, size));
  }
  if (found && found->tree.size == size) return *found;
  return Error{Code::not_found_object, "the log has not signed a head of size {}", size}
      .why("{}", found    ? fmt::format("the next larger one has size {}", found->tree.size)
                 : newest ? fmt::format("the newest one has size {}", newest->tree.size)
                          : "it has signed none")
      .next("kimberlite head show --all lists them");
}

Result<std::vector<log::StoredHead>> Prover::list(TenantId tenant, kernel::Lane lane,
                                                  std::size_t limit) {
  Book& book = book_of({tenant, lane});
  const Committed now = committed({tenant, lane});
  const std::scoped_lock lock{book.mutex};
  KIMBERLITE_CHECK(open({tenant, lane}, book, now));
  std::vector<log::StoredHead> heads;
  for (std::uint64_t i = book.file->count(); i > 0 && heads.size() < limit; --i) {
    KIMBERLITE_TRY(const log::StoredHead head, book.file->read(i - 1));
    heads.push_back(head);
  }
  return heads;
}

Result<HeadList> Prover::heads(TenantId tenant, kernel::Lane lane) {
  const std::scoped_lock lock{book_of({tenant, lane}).mutex};
  return HeadList::open(core_.env().storage, name_of(tenant, lane));
}

Result<std::uint64_t> Prover::heads_until(TenantId tenant, kernel::Lane lane, const Id128& log_id,
                                          Position size) {
  Book& book = book_of({tenant, lane});
  const Committed now = committed({tenant, lane});
  const std::scoped_lock lock{book.mutex};
  KIMBERLITE_CHECK(open({tenant, lane}, book, now));
  std::uint64_t count = book.file->count();
  for (; count > 0; --count) {
    KIMBERLITE_TRY(const log::StoredHead head, book.file->read(count - 1));
    if (head.log_id != log_id || head.tree.size <= size.value()) break;
  }
  return count * log::head_record_size;
}

Status Prover::check(TenantId tenant, kernel::Lane lane) {
  Book& book = book_of({tenant, lane});
  const Committed now = committed({tenant, lane});
  const std::scoped_lock lock{book.mutex};
  return open({tenant, lane}, book, now);
}

Result<record::Recorded> Prover::recorded(const Key& key, Position position,
                                          std::optional<std::uint32_t> item) {
  Buffer scratch;
  KIMBERLITE_TRY(const log::RecordView view,
                 core_.read({key.first, key.second, position}, scratch));
  record::Recorded out{.entry = record::encode(view.entry), .item = {}};
  if (!item) return out;
  KIMBERLITE_TRY(const std::vector<record::ItemView> body, record::split_body(view.body));
  if (*item >= body.size()) {
    return Error{Code::not_found_object, "record {} has no item {}", position.value(), *item}.why(
        "it has {}, counted from 0", body.size());
  }
  const record::ItemHeader& header = body[*item].header;
  KIMBERLITE_TRY(const keystore::ItemKeyPtr data_key, core_.keys().item_key(key.first, header.key));
  KIMBERLITE_TRY(const crypto::Key256 item_key, data_key->disclose(header));
  KIMBERLITE_TRY(out.item, record::disclose(body, *item, item_key));
  return out;
}

Result<record::Receipt> Prover::receipt(TenantId tenant, kernel::Lane lane, Position position,
                                        std::optional<std::uint32_t> item) {
  KIMBERLITE_TRY(const log::StoredHead signed_head, head(tenant, lane, position));
  return receipt_in(tenant, lane, position, item, signed_head);
}

Result<record::Receipt> Prover::receipt_in(TenantId tenant, kernel::Lane lane, Position position,
                                           std::optional<std::uint32_t> item,
                                           const log::StoredHead& signed_head) {
  record::Receipt receipt;
  KIMBERLITE_TRY(receipt.recorded, recorded({tenant, lane}, position, item));
  receipt.index = position.value() - 1;
  KIMBERLITE_TRY(receipt.path,
                 core_.logs().prove_inclusion(tenant, lane, position, signed_head.tree));
  receipt.head = signed_head.note();
  return receipt;
}

Result<record::CoseReceipt> Prover::cose_receipt(TenantId tenant, kernel::Lane lane,
                                                 Position position,
                                                 std::optional<std::uint32_t> item) {
  KIMBERLITE_TRY(const log::StoredHead signed_head, head(tenant, lane, position));
  const kernel::LaneState now = committed({tenant, lane}).lane;
  if (now.log_id != signed_head.log_id) {
    return Error{Code::unavailable_busy, "a new epoch of the log has just begun"}.next("try again");
  }
  KIMBERLITE_TRY(const keystore::SigningKeyPtr with, signer({tenant, lane}, now));
  record::CoseReceipt receipt;
  KIMBERLITE_TRY(receipt.recorded, recorded({tenant, lane}, position, item));
  receipt.origin = record::origin_of(signed_head.log_id);
  receipt.size = signed_head.tree.size;
  receipt.index = position.value() - 1;
  KIMBERLITE_TRY(receipt.path,
                 core_.logs().prove_inclusion(tenant, lane, position, signed_head.tree));
  receipt.signature =
      record::sign_cose_root({receipt.origin, receipt.size, signed_head.tree.root}, *with);
  return receipt;
}

Result<record::ConsistencyProof> Prover::consistency(TenantId tenant, kernel::Lane lane,
                                                     const record::SignedHead& older,
                                                     const record::SignedHead& newer) {
  const auto tree_of = [](const record::SignedHead& head) {
    return log::Tree{head.tree().size, head.tree().root};
  };
  KIMBERLITE_TRY(std::vector<Hash> path,
                 core_.logs().prove_consistency(tenant, lane, tree_of(older), tree_of(newer)));
  return record::ConsistencyProof{
      .path = std::move(path), .older = older.note().to_text(), .newer = newer.note().to_text()};
}

Result<log::AnchorFile*> Prover::anchors_of(const Key& key, Book& book) {
  if (!book.anchors) {
    KIMBERLITE_TRY(log::AnchorFile file,
                   log::AnchorFile::open(core_.env().storage, name_of(key.first, key.second)));
    book.anchors.emplace(std::move(file));
  }
  return &*book.anchors;
}

Status Prover::add_anchor(TenantId tenant, kernel::Lane lane, const log::Anchor& anchor) {
  const Key key{tenant, lane};
  Book& book = book_of(key);
  const Committed now = committed(key);
  const std::scoped_lock lock{book.mutex};
  KIMBERLITE_CHECK(open(key, book, now));
  KIMBERLITE_TRY(const std::optional<log::StoredHead> head,
                 book.file->first_with(anchor.log_id, anchor.tree.size));
  if (!head || head->tree.size != anchor.tree.size) {
    return Error{Code::integrity_anchor, "this log has not signed a head of size {}",
                 anchor.tree.size}
        .why("an anchor is of a head that the log signed");
  }
  KIMBERLITE_CHECK(log::check_evidence(anchor, *head));
  KIMBERLITE_TRY(log::AnchorFile * file, anchors_of(key, book));
  return file->append(anchor);
}

Result<std::uint64_t> Prover::witnessed(TenantId tenant, kernel::Lane lane,
                                        std::string_view witness) {
  const Key key{tenant, lane};
  Book& book = book_of(key);
  const Committed now = committed(key);
  const std::scoped_lock lock{book.mutex};
  KIMBERLITE_TRY(const log::AnchorFile* file, anchors_of(key, book));
  return file->witnessed(now.lane.log_id, witness);
}

Result<Prover::Anchors> Prover::anchors(TenantId tenant, kernel::Lane lane) {
  const Key key{tenant, lane};
  Book& book = book_of(key);
  const std::scoped_lock lock{book.mutex};
  KIMBERLITE_TRY(const log::AnchorFile* file, anchors_of(key, book));
  return Anchors{file->count(), file->size(), file->newest()};
}

}  // namespace kimberlite::engine
