// Looking names up for DDL, with errors that know where they stand. Internal to the layer.
#pragma once

#include <string>
#include <string_view>

#include "sql/analyze.hpp"

namespace kimberlite::sql {

// What `resolve` was given, and the questions all of its parts ask.
class Names {
 public:
  Names(const Statement& statement, const catalog::Catalog& catalog,
        const StreamExists& stream_exists)
      : statement_(statement), catalog_(catalog), stream_exists_(stream_exists) {}

  [[nodiscard]] const catalog::Catalog& catalog() const { return catalog_; }
  [[nodiscard]] const Statement& statement() const { return statement_; }

  [[nodiscard]] Error error(Code code, std::uint32_t offset, std::string_view what,
                            std::string_view next) const;
  // `error` as it came from elsewhere, with its place and advice if it has none.
  [[nodiscard]] Error placed(const Error& error, std::uint32_t offset) const;

  // The name of a new object: not reserved, not too long, not taken. `what` is "table", …
  [[nodiscard]] Status check_new(const Identifier& name, std::string_view what) const;
  // The same without the question whether it is taken: a column, a constraint.
  [[nodiscard]] Status check_spelling(const Identifier& name, std::string_view what) const;

  // A table that stands; an error that says what the name is instead.
  [[nodiscard]] Result<const catalog::Table*> table(const Identifier& name) const;
  // The same, null where there is nothing of that name.
  [[nodiscard]] Result<const catalog::Table*> table_if_any(const Identifier& name) const;
  [[nodiscard]] Result<ColumnId> column(const catalog::Table& table, const Identifier& name) const;
  [[nodiscard]] Result<std::vector<ColumnId>> columns(const catalog::Table& table,
                                                      const std::vector<Identifier>& names) const;
  [[nodiscard]] bool is_stream(std::string_view name) const { return stream_exists_(name); }

 private:
  const Statement& statement_;
  const catalog::Catalog& catalog_;
  const StreamExists& stream_exists_;
};

[[nodiscard]] bool is_system_name(std::string_view name);

}  // namespace kimberlite::sql
