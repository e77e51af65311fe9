// Signed heads and what hangs on them, receipts and proofs of consistency, of all logs.
//
// (P1) A head is in the log's `heads` file, durably, before it is given to anyone.   [kept: head]
// (P2) Of one log id, no tree is signed that is not an extension of the newest one signed: when the
//      file is first used, the log is held against it; from then on the log only grows, in order.
//                                                                     [kept: open, head]
// (P3) Only committed records are signed: the size is that of the kernel's head.     [kept: head]
//
// Thread rule: thread-safe. `heads` and `sign` also for tasks of strands; for all others a task
// would wait for itself, as they ask the core's strand. Who holds a book waits for the disk alone.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "head_list.hpp"
#include "kernel/state.hpp"
#include "keystore/keystore.hpp"
#include "log/anchor_file.hpp"
#include "log/head_file.hpp"
#include "record/receipt.hpp"

namespace kimberlite::engine {

class Core;

class Prover {
 public:
  explicit Prover(Core& core) : core_(core) {}

  // The newest signed head, if it holds `at_least`; else the log as it is now is signed. Position
  // 0: as it is now, whatever was signed. `not_found.position` if the log has not got so far,
  // `integrity.rollback` or `.consistency` if it does not extend what it signed before.
  [[nodiscard]] Result<log::StoredHead> head(TenantId tenant, kernel::Lane lane, Position at_least);
  // The one of exactly this size that the log's present epoch signed; `not_found.object` names the
  // nearest.
  [[nodiscard]] Result<log::StoredHead> stored(TenantId tenant, kernel::Lane lane,
                                               std::uint64_t size);
  // The newest `limit` of them, the newest first.
  [[nodiscard]] Result<std::vector<log::StoredHead>> list(TenantId tenant, kernel::Lane lane,
                                                          std::size_t limit);
  // As `head` of position 0, with what the core's strand knew to be committed: if the log has
  // signed more since, that.
  struct Committed {
    kernel::LaneState lane;
    std::uint64_t epochs_begun = 0;
  };
  [[nodiscard]] Result<log::StoredHead> sign(TenantId tenant, kernel::Lane lane,
                                             const Committed& committed);
  // All of them, of all epochs, whether the log extends them or not.
  [[nodiscard]] Result<HeadList> heads(TenantId tenant, kernel::Lane lane);
  // Bytes of `heads` that hold its heads of trees of up to `size`; the log has this id.
  [[nodiscard]] Result<std::uint64_t> heads_until(TenantId tenant, kernel::Lane lane,
                                                  const Id128& log_id, Position size);
  // Whether the log extends what it signed; also done before anything is signed.
  [[nodiscard]] Status check(TenantId tenant, kernel::Lane lane);

  // A record and its place in a signed tree. With `item`, that item of it is disclosed.
  // `receipt_in`: in the tree of that head, which this log has signed.
  [[nodiscard]] Result<record::Receipt> receipt(TenantId tenant, kernel::Lane lane,
                                                Position position,
                                                std::optional<std::uint32_t> item);
  [[nodiscard]] Result<record::Receipt> receipt_in(TenantId tenant, kernel::Lane lane,
                                                   Position position,
                                                   std::optional<std::uint32_t> item,
                                                   const log::StoredHead& signed_head);
  [[nodiscard]] Result<record::CoseReceipt> cose_receipt(TenantId tenant, kernel::Lane lane,
                                                         Position position,
                                                         std::optional<std::uint32_t> item);
  // Both are checked: they were signed by this log.
  [[nodiscard]] Result<record::ConsistencyProof> consistency(TenantId tenant, kernel::Lane lane,
                                                             const record::SignedHead& older,
                                                             const record::SignedHead& newer);

  // Heads that were put elsewhere. `integrity.anchor` unless it is of a head in `heads` and its
  // evidence holds.
  [[nodiscard]] Status add_anchor(TenantId tenant, kernel::Lane lane, const log::Anchor& anchor);
  // The size of the largest tree of the log's present epoch that the witness cosigned; 0 if none.
  [[nodiscard]] Result<std::uint64_t> witnessed(TenantId tenant, kernel::Lane lane,
                                                std::string_view witness);
  struct Anchors {
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
    std::optional<log::Anchor> newest;
  };
  [[nodiscard]] Result<Anchors> anchors(TenantId tenant, kernel::Lane lane);

 private:
  struct Book {
    std::mutex mutex;
    std::optional<log::HeadFile> file;       // none: not opened yet
    bool current = false;                    // the newest head in it is of the log's present epoch
    std::uint64_t epochs_begun = 0;          // of the core, when it was opened
    std::optional<log::AnchorFile> anchors;  // none: not opened yet
  };
  using Key = std::pair<TenantId, kernel::Lane>;
  [[nodiscard]] Book& book_of(const Key& key);
  // With the book's mutex held; what is committed was asked for before.
  [[nodiscard]] Status open(const Key& key, Book& book, const Committed& committed);
  [[nodiscard]] Result<log::AnchorFile*> anchors_of(const Key& key, Book& book);
  [[nodiscard]] Result<log::StoredHead> head_in(const Key& key, Book& book, Position at_least,
                                                const Committed& committed);
  [[nodiscard]] std::optional<log::StoredHead> cached(const Book& book, Position at_least) const;
  [[nodiscard]] Result<record::Recorded> recorded(const Key& key, Position position,
                                                  std::optional<std::uint32_t> item);
  [[nodiscard]] Committed committed(const Key& key);
  // The key that signs for the log as it is in `lane`.
  [[nodiscard]] Result<keystore::SigningKeyPtr> signer(const Key& key,
                                                       const kernel::LaneState& lane);

  Core& core_;
  std::mutex mutex_;  // of the map, not of what it holds
  std::map<Key, std::unique_ptr<Book>> books_;
};

}  // namespace kimberlite::engine
