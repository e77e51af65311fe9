// What writer and readers look up in the projection's own tables.
//
// Thread rule: that of the connection, which outlives it.
#pragma once

#include "sqlite.hpp"

namespace kimberlite::projection {

class Lookups {
 public:
  explicit Lookups(Connection& connection) : connection_(connection) {}

  // The last record stamped at or before `time`; 0: none.
  [[nodiscard]] Result<Position> position_at(TimestampUs time) const;
  [[nodiscard]] Result<std::optional<KnownStream>> find_stream(std::string_view name) const;
  [[nodiscard]] Result<std::string> stream_name(StreamId stream) const;
  // The last record: position 0 if there is none.
  [[nodiscard]] Result<At> head() const;

 private:
  [[nodiscard]] Status prepare(Prepared& statement, const char* sql) const;

  Connection& connection_;
  // Kept prepared on first use; a lookup changes nothing its caller can see.
  mutable Prepared position_at_, find_stream_, stream_name_, head_;
};

}  // namespace kimberlite::projection
