#include "lookups.hpp"

namespace kimberlite::projection {

Status Lookups::prepare(Prepared& statement, const char* sql) const {
  if (statement) return {};
  KIMBERLITE_TRY(statement, connection_.prepare(sql, true));
  return {};
}

Result<Position> Lookups::position_at(TimestampUs time) const {
  KIMBERLITE_CHECK(prepare(position_at_,
                           "SELECT position FROM main.__records WHERE timestamp <= ?1 "
                           "ORDER BY timestamp DESC LIMIT 1"));
  const Running running{position_at_};
  position_at_.bind(1, static_cast<std::int64_t>(time.value()));
  KIMBERLITE_TRY(const bool found, position_at_.step());
  return Position{found ? static_cast<std::uint64_t>(position_at_.integer(0)) : 0};
}

Result<std::optional<KnownStream>> Lookups::find_stream(std::string_view name) const {
  KIMBERLITE_CHECK(
      prepare(find_stream_, "SELECT id, name, next_sequence FROM main.__streams WHERE name = ?1"));
  const Running running{find_stream_};
  find_stream_.bind(1, ValueView{name});
  KIMBERLITE_TRY(const bool found, find_stream_.step());
  if (!found) return std::optional<KnownStream>{};
  return std::optional{KnownStream{StreamId{static_cast<std::uint64_t>(find_stream_.integer(0))},
                                   std::string{find_stream_.text(1)},
                                   Sequence{static_cast<std::uint64_t>(find_stream_.integer(2))}}};
}

Result<std::string> Lookups::stream_name(StreamId stream) const {
  KIMBERLITE_CHECK(prepare(stream_name_, "SELECT name FROM main.__streams WHERE id = ?1"));
  const Running running{stream_name_};
  stream_name_.bind(1, static_cast<std::int64_t>(stream.value()));
  KIMBERLITE_TRY(const bool found, stream_name_.step());
  return found ? std::string{stream_name_.text(0)} : std::string{};
}

Result<At> Lookups::head() const {
  KIMBERLITE_CHECK(prepare(
      head_, "SELECT position, timestamp FROM main.__records ORDER BY position DESC LIMIT 1"));
  const Running running{head_};
  KIMBERLITE_TRY(const bool found, head_.step());
  if (!found) return At{};
  return At{Position{static_cast<std::uint64_t>(head_.integer(0))},
            TimestampUs{static_cast<std::uint64_t>(head_.integer(1))}};
}

}  // namespace kimberlite::projection
