// A projection in miniature for the door's tests: a SQLite database in memory that keeps the
// conventions of rewrite.hpp (current tables with `__from`, history by triggers), and nothing else.
#pragma once

#include <sqlite3.h>

#include <string>
#include <vector>

#include "catalog/catalog.hpp"
#include "sql/rewrite.hpp"

namespace kimberlite::sql {

struct Answer {
  std::string error;  // "type.format line 1, column 8: …", or empty
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  Rewritten rewritten;
  // "a b\nc d", NULL as "-"; or the error's code.
  [[nodiscard]] std::string text() const;
};

class Miniature : public TimeMap {
 public:
  Miniature();
  ~Miniature() override;
  Miniature(const Miniature&) = delete;
  Miniature& operator=(const Miniature&) = delete;

  // "id BIGINT, amount DECIMAL(10,2)"; the first `keys` columns are the primary key.
  void create(const std::string& name, const std::string& columns, std::size_t keys = 1);
  void create_view(const std::string& name, const std::string& select,
                   std::vector<std::string> columns = {});
  void rename_column(const std::string& table, const std::string& from, const std::string& to);
  void rename_table(const std::string& from, const std::string& to);
  void drop_column(const std::string& table, const std::string& column);
  void add_column(const std::string& table, const std::string& column);
  void drop_table(const std::string& table);

  // Each write is a position of its own, if it changes anything.
  Answer run(const std::string& sql, const std::vector<Value>& parameters = {});
  // Plain SQLite, for what the test itself wants to know.
  Answer raw(const std::string& sql);
  [[nodiscard]] Context context() const;
  [[nodiscard]] Result<Position> position_at(TimestampUs time) const override;

  catalog::Catalog catalog;
  std::uint64_t head = 0;
  std::uint64_t now =
      1'705'314'600'000'000;  // 2024-01-15T10:30:00Z; record p is one second per p before
  std::optional<Position> session_as_of;
  const Policy* policy = nullptr;
  bool verify = false;         // as VERIFY before the statement
  std::uint64_t position = 0;  // kmb_position()
  std::uint64_t row = 0;

 private:
  void execute(const std::string& sql);
  void triggers(const catalog::Table& table);
  void close_rows(const catalog::Table& table);
  void step(sqlite3_stmt* statement, Answer& answer);
  void change(const catalog::Change& change);
  catalog::Column column(const std::string& text, std::uint32_t id);

  sqlite3* db_ = nullptr;
};

}  // namespace kimberlite::sql
