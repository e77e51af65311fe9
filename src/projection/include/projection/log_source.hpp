// What the projection's virtual tables read the log through: records, opened.
//
// The engine implements it over the tenant's log and keys. Thread rule: a reader calls it on its
// own thread; an implementation serves several at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/value.hpp"
#include "catalog/change.hpp"
#include "projection/projection.hpp"

namespace kimberlite::projection {

// One sealed part of a record. Views are valid as long as the `OpenedRecord` they are in.
struct OpenedItem {
  std::uint8_t kind = 0;  // 1 rows, 2 events, 3 control, 4 meta
  bool erased = false;    // its key is gone: nothing below is known
  StreamId stream;        // of events
  Sequence first_sequence;
  std::uint32_t count = 0;  // changes in it, known even when erased
  std::vector<RowChange> changes;
  struct Event {
    std::string_view kind;
    Bytes payload;
  };
  std::vector<Event> events;
  std::optional<catalog::Change> ddl;
};

struct OpenedRecord {
  record::Entry entry;
  Hash leaf{};
  std::string reason;       // empty: none, or erased with its item
  std::string statement;    // text with its literals replaced
  std::string correlation;  // the caller's text
  std::vector<OpenedItem> items;
  std::vector<Buffer> storage;  // what the views point into
};

class LogSource {
 public:
  virtual ~LogSource() = default;
  // `not_found.position` beyond the head.
  [[nodiscard]] virtual Result<OpenedRecord> read(Position position) = 0;
};

}  // namespace kimberlite::projection
