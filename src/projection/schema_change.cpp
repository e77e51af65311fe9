// DDL in the projection: the same physical steps on the leader, on a replica and in a rebuild.
#include <fmt/format.h>

#include "added_default.hpp"
#include "base/assert.hpp"
#include "sql/types.hpp"
#include "sqlite_projection.hpp"

namespace kimberlite::projection {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

std::string literal_of(const ValueView& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *integer);
  if (const auto* real = std::get_if<double>(&value)) return sql::print_double(*real);
  if (const auto* text = std::get_if<std::string_view>(&value)) return quoted_text(*text);
  if (const auto* bytes = std::get_if<Bytes>(&value)) return fmt::format("x'{}'", to_hex(*bytes));
  return "NULL";
}

}  // namespace

Status SqliteProjection::evaluate_ddl(const catalog::Change& change) {
  KIMBERLITE_ASSERT(state_ == State::request && finished_.empty() && !lost_ && !ddl_);
  KIMBERLITE_ASSERT(capture_.events().empty());
  ddl_ = true;
  Status done = change_schema(change, at_.position);
  if (const auto* created = std::get_if<catalog::CreateView>(&change); done && created != nullptr) {
    done = check_view(created->view);
  }
  if (!done) lose();
  return done;
}

Status SqliteProjection::change_schema(const catalog::Change& change, Position position) {
  auto after = std::make_shared<catalog::Catalog>(*catalog_);
  KIMBERLITE_CHECK(after->apply(change, position));
  KIMBERLITE_TRY(const Script script, script_of(change, *after));
  KIMBERLITE_CHECK(execute(script));
  catalog_ = std::move(after);
  capture_.set_tables(*catalog_);
  statements_.clear();
  applier_.forget();
  KIMBERLITE_CHECK(connect_virtual_tables(connection_));
  KIMBERLITE_CHECK(
      execute({fmt::format("INSERT INTO __schema_changes VALUES ({})", position.value())}));
  return save_catalog();
}

Result<Script> SqliteProjection::script_of(const catalog::Change& change,
                                           const catalog::Catalog& after) {
  const catalog::Catalog& before = *catalog_;
  return std::visit(
      Overloaded{
          [&](const catalog::CreateTable& c) -> Result<Script> {
            return create_table(after, *after.table(c.table.id));
          },
          [&](const catalog::DropTable& c) -> Result<Script> {
            return drop_table(*before.table(c.table));
          },
          [&](const catalog::RenameTable& c) -> Result<Script> {
            return rename_table(*before.table(c.table), *after.table(c.table));
          },
          [&](const catalog::AddColumn& c) -> Result<Script> {
            const catalog::Table& table = *after.table(c.table);
            KIMBERLITE_TRY(Value given, added_default(connection_, table, c.column));
            const std::string literal = is_null(given) ? std::string{} : literal_of(view(given));
            capture_.know_default(c.table, c.column.id, std::move(given));
            return add_column(after, table, c, literal);
          },
          [&](const catalog::DropColumn& c) -> Result<Script> {
            return drop_column(*before.table(c.table), *after.table(c.table), c.column);
          },
          [&](const catalog::RenameColumn& c) -> Result<Script> {
            return rename_column(*before.table(c.table), *after.table(c.table), c.column);
          },
          [&](const catalog::CreateIndex& c) -> Result<Script> {
            return create_index(*after.table(c.index.table), c.index);
          },
          [&](const catalog::DropIndex& c) -> Result<Script> { return drop_index(c.index); },
          // A view is a CTE of the door. What stands for it makes SQLite's schema another, which is
          // how readers notice that theirs is old.
          [](const catalog::CreateView& c) -> Result<Script> {
            return Script{fmt::format("CREATE VIEW __v_{} AS SELECT 1", c.view.id.value())};
          },
          [](const catalog::DropView& c) -> Result<Script> {
            return Script{fmt::format("DROP VIEW __v_{}", c.view.value())};
          },
      },
      change);
}

Status SqliteProjection::know_defaults() {
  for (const catalog::Table* table : catalog_->tables()) {
    const Layout layout = layout_of(*catalog_, *table);
    for (const ColumnLayout& added : layout.image) {
      const catalog::Column& column = *catalog::Catalog::column(*table, added.id);
      if (added.added_at.value() == 0 || !column.default_value) continue;
      KIMBERLITE_TRY(Value given, added_default(connection_, *table, column));
      capture_.know_default(table->id, column.id, std::move(given));
    }
  }
  return {};
}

// A view is the door's: nothing of it is physical. It must read as it stands, now.
Status SqliteProjection::check_view(const catalog::View& created) {
  const std::string text = fmt::format("SELECT * FROM {}", quoted(created.name));
  KIMBERLITE_TRY(const std::vector<sql::Token> tokens, sql::tokenize(text));
  KIMBERLITE_TRY(const auto compiled, compile(Query{text, tokens, 0, false}, {}));
  statements_.clear();
  return {};
}

Status SqliteProjection::save_catalog() {
  Writer encoded;
  catalog_->encode(encoded);
  KIMBERLITE_TRY(Prepared save,
                 connection_.prepare("INSERT INTO __projection VALUES ('catalog', ?1) "
                                     "ON CONFLICT DO UPDATE SET value = excluded.value"));
  save.bind(1, ValueView{Bytes{encoded.buffer()}});
  return save.run();
}

}  // namespace kimberlite::projection
