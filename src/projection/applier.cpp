#include "applier.hpp"

#include <fmt/format.h>

#include "base/assert.hpp"
#include "base/canary.hpp"

namespace kimberlite::projection {
namespace {

Error unlike_the_log(const Layout& layout, Position position, std::string_view why) {
  return Error{Code::integrity_projection, "the projection is not what the log says"}
      .where("table {}, position {}", layout.name, position.value())
      .why("{}", why)
      .next("it is derived: it can be deleted and is rebuilt from the log");
}

std::string insert_text(const Layout& layout) {
  std::string names;
  std::string marks;
  int number = 0;
  for (const ColumnLayout& column : layout.image) {
    names += fmt::format("{}{}", number == 0 ? "" : ",", quoted(column.name));
    marks += fmt::format("{}?{}", number == 0 ? "" : ",", number + 1);
    ++number;
  }
  if (layout.hidden_key) {
    names += ",__row";
    marks += fmt::format(",?{}", number + 1);
  }
  return fmt::format("INSERT INTO main.{}({}) VALUES ({})", quoted(layout.name), names, marks);
}

// Parameters: the image's columns, then the key's, then `__from` of the version replaced.
std::string update_text(const Layout& layout) {
  std::string set = "__from = kmb_position()";
  for (std::size_t i = 0; i < layout.image.size(); ++i) {
    if (!layout.is_key(i)) set += fmt::format(", {} = ?{}", quoted(layout.image[i].name), i + 1);
  }
  const int key = static_cast<int>(layout.image.size()) + 1;
  const std::size_t keys = layout.hidden_key ? 1 : layout.key.size();
  return fmt::format("UPDATE main.{} SET {} WHERE {} AND __from = ?{}", quoted(layout.name), set,
                     key_predicate(layout, key, false), key + static_cast<int>(keys));
}

std::string respell_text(const Layout& layout) {
  std::string set;
  for (std::size_t i = 0; i < layout.image.size(); ++i) {
    if (!layout.image[i].spelled) continue;
    set += fmt::format("{}{} = ?{}", set.empty() ? "" : ", ", quoted(layout.image[i].name), i + 1);
  }
  return fmt::format("UPDATE main.{} SET {} WHERE {}", quoted(layout.name), set,
                     key_predicate(layout, static_cast<int>(layout.image.size()) + 1, false));
}

void bind_list(Prepared& statement, std::span<const ValueView> values, int first) {
  for (const ValueView& value : values) statement.bind(first++, value);
}

}  // namespace

// `text` makes the statement's, the first time.
template <class Text>
Status Applier::prepare(Prepared& statement, Text&& text) {
  if (statement) return {};
  KIMBERLITE_TRY(statement, connection_.prepare(std::forward<Text>(text)(), true));
  return {};
}

Status Applier::read(Bytes list, std::vector<ValueView>& into) {
  KIMBERLITE_TRY(const record::ValueList values, record::decode_values(list));
  values.values(into);
  return {};
}

Status Applier::one_row(const Layout& layout, Prepared& statement) {
  const int rc = sqlite3_step(statement.get());
  if (rc != SQLITE_DONE) {
    Error error = take_error(context_, nullptr, connection_.db(), rc);
    statement.reset();
    if ((rc & 0xFF) != SQLITE_CONSTRAINT) return error;
    return unlike_the_log(layout, context_.position, error.what());
  }
  statement.reset();
  if (sqlite3_changes64(connection_.db()) != 1) {
    return unlike_the_log(layout, context_.position, "a change did not find its row");
  }
  return {};
}

Status Applier::apply(const RowChange& change) {
  const Layout* layout = capture_.layout(change.table);
  if (layout == nullptr) {
    return Error{Code::integrity_projection, "a record changes a table that is not there"}.where(
        "position {}", context_.position.value());
  }
  Statements& statements = statements_[change.table];
  change.key.values(key_);
  change.image.values(image_);
  const bool removal = change.operation == record::Operation::remove;
  if (key_.size() != (layout->hidden_key ? 1 : layout->key.size()) ||
      image_.size() != (removal ? 0 : layout->image.size())) {
    return unlike_the_log(*layout, context_.position, "a change has other columns than its table");
  }
  const int columns = static_cast<int>(layout->image.size());
  const int keys = static_cast<int>(key_.size());
  if (removal && is_planted_once_in(12, Canary::skip_row)) return {};
  switch (change.operation) {
    case record::Operation::insert:
      KIMBERLITE_CHECK(prepare(statements.insert, [&] { return insert_text(*layout); }));
      bind_list(statements.insert, image_, 1);
      if (layout->hidden_key) bind_list(statements.insert, key_, columns + 1);
      return one_row(*layout, statements.insert);
    case record::Operation::update:
      if (layout->only_key()) {
        return unlike_the_log(*layout, context_.position, "an update has nothing to change");
      }
      KIMBERLITE_CHECK(prepare(statements.update, [&] { return update_text(*layout); }));
      for (int i = 0; i < columns; ++i) {
        const auto index = static_cast<std::size_t>(i);
        if (!layout->is_key(index)) statements.update.bind(i + 1, image_[index]);
      }
      bind_list(statements.update, key_, columns + 1);
      statements.update.bind(columns + keys + 1, change.previous);
      return one_row(*layout, statements.update);
    case record::Operation::remove:
      KIMBERLITE_CHECK(prepare(statements.remove, [&] {
        return fmt::format("DELETE FROM main.{} WHERE {} AND __from = ?{}", quoted(layout->name),
                           key_predicate(*layout, 1, false), keys + 1);
      }));
      bind_list(statements.remove, key_, 1);
      statements.remove.bind(keys + 1, change.previous);
      return one_row(*layout, statements.remove);
  }
  return unlike_the_log(*layout, context_.position, "a change of an unknown kind");
}

Status Applier::respell(const Layout& layout, Bytes key, Bytes image) {
  Prepared& statement = statements_[layout.table].respell;
  KIMBERLITE_CHECK(prepare(statement, [&] { return respell_text(layout); }));
  KIMBERLITE_CHECK(read(key, key_));
  KIMBERLITE_CHECK(read(image, image_));
  for (std::size_t i = 0; i < image_.size(); ++i) {
    if (layout.image[i].spelled) statement.bind(static_cast<int>(i) + 1, image_[i]);
  }
  bind_list(statement, key_, static_cast<int>(image_.size()) + 1);
  return one_row(layout, statement);
}

Status Applier::restore(const Layout& layout, Bytes key, std::uint64_t from) {
  Statements& statements = statements_[layout.table];
  KIMBERLITE_CHECK(prepare(statements.restore, [&] {
    return fmt::format("UPDATE main.{} SET __from = ?1 WHERE {}", quoted(layout.name),
                       key_predicate(layout, 2, false));
  }));
  KIMBERLITE_CHECK(prepare(statements.forget_version, [&] {
    return fmt::format("DELETE FROM main.{} WHERE {} AND __from = ?1",
                       quoted(history_name(layout.table)), key_predicate(layout, 2, true));
  }));
  KIMBERLITE_CHECK(read(key, key_));
  // At its old position the row supersedes nothing and no cascade has to raise it.
  const Position now = std::exchange(context_.position, Position{from});
  Status done;
  for (Prepared* statement : {&statements.restore, &statements.forget_version}) {
    statement->bind(1, Position{from});
    bind_list(*statement, key_, 2);
    if (done) done = one_row(layout, *statement);
  }
  context_.position = now;
  return done;
}

Status Applier::raise_identity(const Layout& layout, std::int64_t value) {
  KIMBERLITE_CHECK(prepare(raise_, [] {
    return std::string_view{"UPDATE main.sqlite_sequence SET seq = max(seq, ?1) WHERE name = ?2"};
  }));
  raise_.bind(1, value);
  raise_.bind(2, ValueView{std::string_view{layout.name}});
  return one_row(layout, raise_);
}

}  // namespace kimberlite::projection
