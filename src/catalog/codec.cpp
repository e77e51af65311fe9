#include "codec.hpp"

#include <utility>

namespace kimberlite::catalog {
namespace {

void encode_bool(Writer& to, bool value) { to.u8(value ? 1 : 0); }

bool decode_bool(Reader& from) {
  const std::uint8_t value = from.u8();
  if (value > 1) from.fail();
  return value == 1;
}

// A one-byte enumeration whose numbers are `first` … `last` without gaps.
template <class Enum>
Enum decode_enum(Reader& from, Enum first, Enum last) {
  const std::uint8_t value = from.u8();
  if (value < std::to_underlying(first) || value > std::to_underlying(last)) {
    from.fail();
    return first;
  }
  return static_cast<Enum>(value);
}

void encode_optional(Writer& to, const std::optional<std::string>& text) {
  encode_bool(to, text.has_value());
  if (text) to.text(*text);
}
void decode_optional(Reader& from, std::optional<std::string>& text) {
  if (decode_bool(from)) decode(from, text.emplace());
}

}  // namespace

void encode(Writer& to, const std::string& text) { to.text(text); }

void decode(Reader& from, std::string& text) {
  text = from.text();
  if (!is_utf8_text(text)) from.fail();
}

void encode(Writer& to, ColumnId id) { to.id(id); }
void decode(Reader& from, ColumnId& id) { id = from.id<ColumnId>(); }
void encode(Writer& to, ObjectId id) { to.id(id); }
void decode(Reader& from, ObjectId& id) { id = from.id<ObjectId>(); }

void encode(Writer& to, const Column& column) {
  to.id(column.id);
  to.text(column.name);
  to.u8(std::to_underlying(column.type.kind));
  to.u16(column.type.precision);
  to.u16(column.type.scale);
  encode_bool(to, column.not_null);
  encode_bool(to, column.identity);
  encode_optional(to, column.default_value);
  encode_optional(to, column.generated);
}

void decode(Reader& from, Column& column) {
  column.id = from.id<ColumnId>();
  decode(from, column.name);
  column.type.kind = decode_enum(from, TypeKind::smallint, TypeKind::bytes);
  column.type.precision = from.u16();
  column.type.scale = from.u16();
  column.not_null = decode_bool(from);
  column.identity = decode_bool(from);
  decode_optional(from, column.default_value);
  decode_optional(from, column.generated);
}

void encode(Writer& to, const Check& check) {
  to.text(check.name);
  to.text(check.expression);
}

void decode(Reader& from, Check& check) {
  decode(from, check.name);
  decode(from, check.expression);
}

void encode(Writer& to, const Unique& unique) {
  to.text(unique.name);
  encode_list(to, unique.columns);
}

void decode(Reader& from, Unique& unique) {
  decode(from, unique.name);
  decode_list(from, unique.columns);
}

void encode(Writer& to, const ForeignKey& key) {
  to.text(key.name);
  encode_list(to, key.columns);
  to.id(key.parent);
  encode_list(to, key.parent_columns);
  to.u8(std::to_underlying(key.on_delete));
  to.u8(std::to_underlying(key.on_update));
  encode_bool(to, key.deferred);
}

void decode(Reader& from, ForeignKey& key) {
  decode(from, key.name);
  decode_list(from, key.columns);
  key.parent = from.id<ObjectId>();
  decode_list(from, key.parent_columns);
  key.on_delete = decode_enum(from, ForeignKeyAction::no_action, ForeignKeyAction::set_default);
  key.on_update = decode_enum(from, ForeignKeyAction::no_action, ForeignKeyAction::set_default);
  key.deferred = decode_bool(from);
}

void encode(Writer& to, const Table& table) {
  to.id(table.id);
  to.text(table.name);
  encode_list(to, table.columns);
  encode_list(to, table.primary_key);
  encode_list(to, table.uniques);
  encode_list(to, table.checks);
  encode_list(to, table.foreign_keys);
  to.u8(std::to_underlying(table.data_class));
  encode_bool(to, table.subject.has_value());
  if (table.subject) {
    encode_bool(to, table.subject->none);
    to.text(table.subject->type);
    to.id(table.subject->column);
  }
  to.text(table.retention);
}

void decode(Reader& from, Table& table) {
  table.id = from.id<ObjectId>();
  decode(from, table.name);
  decode_list(from, table.columns);
  decode_list(from, table.primary_key);
  decode_list(from, table.uniques);
  decode_list(from, table.checks);
  decode_list(from, table.foreign_keys);
  table.data_class = decode_enum(from, DataClass::none, DataClass::public_data);
  if (decode_bool(from)) {
    table.subject.emplace();
    table.subject->none = decode_bool(from);
    decode(from, table.subject->type);
    table.subject->column = from.id<ColumnId>();
  }
  decode(from, table.retention);
}

void encode(Writer& to, const IndexColumn& column) {
  to.id(column.column);
  encode_bool(to, column.descending);
}

void decode(Reader& from, IndexColumn& column) {
  column.column = from.id<ColumnId>();
  column.descending = decode_bool(from);
}

void encode(Writer& to, const Index& index) {
  to.id(index.id);
  to.text(index.name);
  to.id(index.table);
  encode_bool(to, index.unique);
  encode_list(to, index.columns);
}

void decode(Reader& from, Index& index) {
  index.id = from.id<ObjectId>();
  decode(from, index.name);
  index.table = from.id<ObjectId>();
  index.unique = decode_bool(from);
  decode_list(from, index.columns);
}

void encode(Writer& to, const View& view) {
  to.id(view.id);
  to.text(view.name);
  encode_list(to, view.column_names);
  to.text(view.select);
  encode_list(to, view.uses);
}

void decode(Reader& from, View& view) {
  view.id = from.id<ObjectId>();
  decode(from, view.name);
  decode_list(from, view.column_names);
  decode(from, view.select);
  decode_list(from, view.uses);
}

}  // namespace kimberlite::catalog
