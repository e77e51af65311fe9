#include "authorizer.hpp"

#include <algorithm>
#include <cctype>
#include <string>

#include "base/assert.hpp"
#include "sql/functions.hpp"
#include "sql/system_tables.hpp"

namespace kimberlite::projection {
namespace {

std::string_view text(const char* given) { return given == nullptr ? std::string_view{} : given; }

std::string lower(std::string_view name) {
  std::string out{name};
  std::ranges::transform(out, out.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return out;
}

}  // namespace

void Guard::attach(sqlite3* db) { sqlite3_set_authorizer(db, &Guard::authorize, this); }

int Guard::authorize(void* self, int action, const char* first, const char* second,
                     const char* /*database*/, const char* trigger) {
  const auto& guard = *static_cast<const Guard*>(self);
  if (!guard.active_) return SQLITE_OK;
  return guard.allows(action, text(first), text(second), text(trigger)) ? SQLITE_OK : SQLITE_DENY;
}

bool Guard::readable(std::string_view table) const {
  KIMBERLITE_ASSERT(catalog_ != nullptr);
  if (catalog_->table(table) != nullptr) return true;
  // History, what the door shows under a documented name, and what that is read from.
  if (table.starts_with("__h_") || sql::system_table(table) != nullptr) return true;
  if (table == "__appends" || table == "__schema_changes") return true;
  // Where the log tables look up which records hold a stream, in the middle of a statement; the
  // door lets nobody name it.
  if (table == "__appends") return true;
  return table == "json_each" || table == "json_tree";
}

bool Guard::allows(int action, std::string_view first, std::string_view second,
                   std::string_view trigger) const {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
      return true;
    case SQLITE_READ:
      // Without a column nothing is read: SQLite tells so of a source that is only counted, and
      // gives the name our CTE has for it.
      return second.empty() ? !first.starts_with("sqlite_") : readable(first);
    case SQLITE_FUNCTION:
      return second.starts_with("kmb_") || sql::is_allowed_function(lower(second));
    case SQLITE_INSERT:
      if (!may_write_) return false;
      return catalog_->table(first) != nullptr || (!trigger.empty() && first.starts_with("__h_")) ||
             first == "sqlite_sequence";
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
      return may_write_ && (catalog_->table(first) != nullptr || first == "sqlite_sequence");
    default:
      return false;
  }
}

}  // namespace kimberlite::projection
