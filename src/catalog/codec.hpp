// Canonical bytes of schema objects, shared by changes and by the catalog's history.
//
// Integers little-endian; a bool is a byte 0 or 1; text is a u32 size and UTF-8 without NUL; a list
// a u32 count and its parts; an optional part a bool, then the part if it is true. Readers fail on
// anything else, so that what decodes encodes to the same bytes.
#pragma once

#include <string>
#include <vector>

#include "base/codec.hpp"
#include "catalog/schema.hpp"

namespace kimberlite::catalog {

void encode(Writer& to, const std::string& text);
void encode(Writer& to, ColumnId id);
void encode(Writer& to, ObjectId id);
void encode(Writer& to, const Table& table);
void encode(Writer& to, const View& view);
void encode(Writer& to, const Index& index);
void encode(Writer& to, const Column& column);
void encode(Writer& to, const Check& check);
void encode(Writer& to, const ForeignKey& key);

void decode(Reader& from, std::string& text);
void decode(Reader& from, ColumnId& id);
void decode(Reader& from, ObjectId& id);
void decode(Reader& from, Table& table);
void decode(Reader& from, View& view);
void decode(Reader& from, Index& index);
void decode(Reader& from, Column& column);
void decode(Reader& from, Check& check);
void decode(Reader& from, ForeignKey& key);

template <class Part>
void encode_list(Writer& to, const std::vector<Part>& parts) {
  to.u32(static_cast<std::uint32_t>(parts.size()));
  for (const Part& part : parts) encode(to, part);
}

// Every part is at least a byte, so a count beyond what is left is refused before anything is
// allocated for it.
template <class Part>
void decode_list(Reader& from, std::vector<Part>& parts) {
  const std::uint32_t count = from.u32();
  if (count > from.left()) from.fail();
  for (std::uint32_t i = 0; i < count && !from.failed(); ++i) decode(from, parts.emplace_back());
}

}  // namespace kimberlite::catalog
