// Which change of which record made a version of a row.
//
// A version begins at the position of the record that wrote it, or at that of a DROP COLUMN, which
// carries every row of its table over unchanged: then the record is the one that wrote the version
// carried over, and that version is in history.
//
// Records are opened whole, proved by the log source on the way, and kept until `forget`, as far as
// they fit: rows of one record are asked for one after the other. Thread rule: that of the
// connection.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "context.hpp"
#include "versions.hpp"

namespace kimberlite::projection {

class Origins {
 public:
  Origins(Connection& connection, Context& context) : context_(context), versions_(connection) {}

  struct Change {
    const RowChange* change = nullptr;
    const record::Entry* entry = nullptr;
    std::shared_ptr<const void> record;  // keeps both
  };
  // The last change of the key in the record behind `from`, whatever its operation; nothing if no
  // record says it. `key` is a value list, its columns those of `layout`. `erased.item` if the
  // change may be in an item that can no longer be opened.
  [[nodiscard]] Result<std::optional<Change>> find(const Layout& layout, Bytes key, Position from);
  void forget();
  // The connection is about to be closed.
  void release() { versions_.forget(); }

 private:
  // A change is found by its table and the bytes of its key.
  using Place = std::pair<ObjectId, std::string_view>;
  struct Record {
    OpenedRecord opened;
    std::map<Place, const RowChange*> last;
    std::vector<ObjectId> columns_dropped;  // of these tables
    bool erased = false;                    // row changes among it
  };
  [[nodiscard]] Result<std::shared_ptr<const Record>> open(Position position);

  static constexpr std::size_t kept_bytes_max = std::size_t{32} << 20U;

  Context& context_;
  Versions versions_;
  std::map<Position, std::shared_ptr<const Record>> records_;
  std::size_t kept_bytes_ = 0;
};

}  // namespace kimberlite::projection
