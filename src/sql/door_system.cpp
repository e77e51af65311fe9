// System tables and information_schema behind the door.
#include <algorithm>

#include "door.hpp"
#include "sql/types.hpp"

namespace kimberlite::sql {

using catalog::Table;
using catalog::Type;
using catalog::TypeKind;

namespace {

// One array of arrays, as json_each reads it.
class JsonRows {
 public:
  void begin_row() {
    text_ += text_.size() == 1 ? "[" : ",[";
    first_ = true;
  }
  void end_row() { text_ += ']'; }
  void add(std::string_view value) {
    comma();
    text_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        text_ += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }
  void add(std::int64_t value) {
    comma();
    text_ += std::to_string(value);
  }
  void add_null() {
    comma();
    text_ += "null";
  }
  void add_or_null(std::string_view value) {
    if (value.empty()) {
      add_null();
    } else {
      add(value);
    }
  }
  [[nodiscard]] std::string take() && { return std::move(text_) + "]"; }

 private:
  void comma() {
    if (!first_) text_ += ',';
    first_ = false;
  }
  std::string text_ = "[";
  bool first_ = true;
};

void add_table(JsonRows& rows, const Table& table) {
  rows.begin_row();
  for (const std::string_view part :
       {std::string_view{"kimberlite"}, std::string_view{"public"}, std::string_view{table.name},
        std::string_view{"BASE TABLE"}}) {
    rows.add(part);
  }
  rows.add_or_null(class_name(table.data_class));
  if (!table.subject) {
    rows.add_null();
  } else if (table.subject->none) {
    rows.add("none");
  } else {
    const auto* column = catalog::Catalog::column(table, table.subject->column);
    rows.add(fmt::format("{}({})", table.subject->type, column == nullptr ? "" : column->name));
  }
  rows.add_or_null(table.retention);
  rows.end_row();
}

void add_columns(JsonRows& rows, const Table& table) {
  std::int64_t place = 0;
  for (const auto& column : table.columns) {
    rows.begin_row();
    rows.add("kimberlite");
    rows.add("public");
    rows.add(table.name);
    rows.add(column.name);
    rows.add(++place);
    rows.add_or_null(column.default_value.value_or(""));
    const auto key = std::ranges::find(table.primary_key, column.id);
    const bool in_key = key != table.primary_key.end();
    rows.add(column.not_null || in_key ? "NO" : "YES");
    rows.add(type_name(column.type));
    const bool sized =
        column.type.kind == TypeKind::varchar || column.type.kind == TypeKind::character;
    const bool decimal = column.type.kind == TypeKind::decimal && column.type.precision != 0;
    if (sized && column.type.precision != 0) {
      rows.add(std::int64_t{column.type.precision});
    } else {
      rows.add_null();
    }
    if (decimal) {
      rows.add(std::int64_t{column.type.precision});
      rows.add(std::int64_t{column.type.scale});
    } else {
      rows.add_null();
      rows.add_null();
    }
    rows.add(column.identity ? "YES" : "NO");
    rows.add(column.generated ? "ALWAYS" : "NEVER");
    rows.add_or_null(class_name(table.data_class));
    if (in_key) {
      rows.add(std::int64_t{key - table.primary_key.begin() + 1});
    } else {
      rows.add_null();
    }
    rows.end_row();
  }
}

}  // namespace

// Answered from the catalog: the rows are bound as one JSON text, so that the statement's own text
// is the same for every catalog.
std::string Door::catalog_rows(const SystemTable& table, std::optional<Position> at) {
  const auto& catalog = *context_.catalog;
  const bool of_columns = table.name.ends_with("columns");
  JsonRows rows;
  const auto add = [&](const Table& shown) {
    if (of_columns) {
      add_columns(rows, shown);
    } else {
      add_table(rows, shown);
    }
  };
  for (const auto& [id, versions] : catalog.table_versions()) {
    for (const auto& version : versions) {
      const bool shown =
          at ? version.from <= *at && *at < version.to : version.to == catalog::still_valid;
      if (shown) add(version.object);
    }
  }
  for (const catalog::View* view : catalog.views()) {
    if (of_columns || (at && catalog.view_at(view->name, *at) == nullptr)) continue;
    rows.begin_row();
    rows.add("kimberlite");
    rows.add("public");
    rows.add(view->name);
    rows.add("VIEW");
    for (int i = 0; i < 3; ++i) rows.add_null();
    rows.end_row();
  }
  const std::uint32_t bind = bind_value(Value{std::move(rows).take()});
  std::string columns;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    columns += fmt::format("{}json_extract(value, '$[{}]') AS {}", i == 0 ? "" : ", ", i,
                           quote_name(table.columns[i].name));
  }
  return fmt::format("SELECT {} FROM json_each(?{})", columns, bind);
}

Result<Reference> Door::system(const Unit& unit, const Source& source, const SystemTable& table,
                               std::optional<Position> at) {
  const auto index = static_cast<std::uint32_t>(&table - system_tables().data());
  if (table.physical && at && table.position.empty()) {
    return unsupported(unit, source.name.first,
                       fmt::format("{} as of an earlier position", table.name));
  }
  const bool named =
      std::ranges::find(result_.system_reads, table.name) != result_.system_reads.end();
  if (!named) result_.system_reads.push_back(table.name);
  for (const Cte& cte : ctes_) {
    if (cte.kind == CteKind::system && cte.object == index && cte.at == at) {
      return Reference{cte.name, cte.name != table.name, cte.facts, cte.exact, no_index};
    }
  }
  Cte cte{.kind = CteKind::system, .object = index, .at = at};
  const bool qualified = table.name.find('.') != std::string_view::npos;
  cte.name = at || qualified ? generated("system") : std::string{table.name};
  for (const SystemColumn& column : table.columns) {
    cte.facts.push_back({std::string{column.name}, column.type, false});
  }
  if (table.physical) {
    std::string columns;
    for (const SystemColumn& column : table.columns) {
      const std::string name = quote_name(column.name);
      const std::string_view collation = collation_name(column.type);
      std::string value = column.expression.empty() ? name : std::string{column.expression};
      if (!collation.empty()) value += fmt::format(" COLLATE {}", collation);
      columns += fmt::format("{}{} AS {}", columns.empty() ? "" : ", ", value, name);
    }
    cte.text = fmt::format("SELECT {} FROM main.{}", columns, quote_name(table.name));
    if (at)
      cte.text += fmt::format(" WHERE {} <= ?{}", quote_name(table.position), bind_position(*at));
  } else {
    cte.text = catalog_rows(table, at);
  }
  cte.exact = std::ranges::any_of(table.columns, [](const auto& c) { return is_exact(c.type); });
  const std::string own = at || qualified ? "" : cte.name;
  return add(std::move(cte), own);
}

}  // namespace kimberlite::sql
