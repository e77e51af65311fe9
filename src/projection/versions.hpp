// Superseded versions of rows, looked up in history by key and first position.
//
// Thread rule: that of the connection.
#pragma once

#include "schema.hpp"
#include "statement_cache.hpp"

namespace kimberlite::projection {

class Versions {
 public:
  explicit Versions(Connection& connection) : connection_(connection) {}

  // The image, as a value list (record/items.hpp), of the version that began at `from`; empty: it
  // is not there. `key` is a value list too.
  [[nodiscard]] Result<Buffer> find(const Layout& layout, Bytes key, std::uint64_t from);
  // Where the version of the key that ended at `to` began; nothing: it is not there.
  [[nodiscard]] Result<std::optional<Position>> began(const Layout& layout, Bytes key,
                                                      std::uint64_t to);
  // The connection is about to be closed.
  void forget() { statements_.clear(); }

 private:
  // Runs the kept statement of this text with the key and then `position` bound.
  [[nodiscard]] Result<std::shared_ptr<Prepared>> run(const std::string& sql, Bytes key,
                                                      std::uint64_t position);

  static constexpr std::size_t cached_statements = 64;

  Connection& connection_;
  StatementCache<Prepared> statements_{cached_statements};
  std::vector<ValueView> values_;
};

}  // namespace kimberlite::projection
