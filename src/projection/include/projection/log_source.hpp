// What the projection's virtual tables read the log through: records, opened.
//
// The engine implements it over the tenant's log and keys. Thread rule: a reader calls it on its
// own thread; an implementation serves several at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/value.hpp"
#include "catalog/change.hpp"
#include "record/body.hpp"
#include "record/entry.hpp"
#include "record/items.hpp"

namespace kimberlite::projection {

// One sealed part of a record, opened. Views are valid as long as the `OpenedRecord` it is in.
struct OpenedItem {
  record::ItemHeader header;  // kind, stream and count are known even when erased
  bool erased = false;        // its key is gone: `plaintext` is empty
  record::Plaintext plaintext;
};

struct OpenedRecord {
  record::Entry entry;
  Hash leaf{};
  std::vector<OpenedItem> items;
  std::vector<Buffer> storage;  // what the views point into
};

// Receipts of records, all of them in one signed tree of the log.
class Receipts {
 public:
  virtual ~Receipts() = default;
  // The text of record/receipt.hpp, with nothing disclosed.
  [[nodiscard]] virtual Result<std::string> of(Position position) = 0;
};

// A head the log has signed, and what is known here of it elsewhere.
struct LogHead {
  std::uint64_t size = 0;
  Hash root{};
  TimestampUs signed_at;
  std::string signatures;  // the lines of the signed note: the log's, then the witnesses'
  std::uint64_t witnesses = 0;
  std::uint64_t anchors = 0;
  std::optional<TimestampUs> last_anchor;
};

// The heads of one moment; none is ever taken back.
class LogHeads {
 public:
  virtual ~LogHeads() = default;
  [[nodiscard]] virtual std::uint64_t count() const = 0;
  // Number `index`, 0 to count() - 1, in the order in which they were signed.
  [[nodiscard]] virtual Result<LogHead> read(std::uint64_t index) = 0;
};

class LogSource {
 public:
  virtual ~LogSource() = default;
  // `not_found.position` beyond the head.
  [[nodiscard]] virtual Result<OpenedRecord> read(Position position) = 0;
  // The same, and all of the record is proved on the way: the frame's checksum, the commitment of
  // every item, the body commitment, the entry's leaf, and that this leaf is in the log's tree. An
  // `integrity.*` that names what is not so.
  [[nodiscard]] virtual Result<OpenedRecord> read_proved(Position position) = 0;
  // How an actor, and a record's kind, are shown; an unknown one by its id or number.
  [[nodiscard]] virtual std::string actor_name(const Id128& actor) = 0;
  [[nodiscard]] virtual std::string_view kind_name(std::uint16_t kind) = 0;
  // The change of a control payload, if it is one of the schema.
  [[nodiscard]] virtual Result<std::optional<catalog::Change>> schema_change(Bytes control) = 0;

  // Who only reads a log has no proofs of it: `unavailable.closed`.
  //
  // In the newest signed tree if it holds `at_least`, else the log is signed as it is now. For
  // readers only: signing waits for a strand, which a writer's connection may be on.
  [[nodiscard]] virtual Result<std::unique_ptr<Receipts>> receipts(Position at_least);
  [[nodiscard]] virtual Result<std::unique_ptr<LogHeads>> heads();
};

}  // namespace kimberlite::projection
