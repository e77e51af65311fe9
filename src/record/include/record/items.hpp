// What stands inside an item before it is sealed: the record's meta, row changes, events, or
// control payloads, then zeros to a multiple of 64.
//
//   plaintext  = meta if the item's flag says so · `count` parts · zeros
//   row change = ordinal u32 · table u32 · operation u8 · previous u64 · key · image
//   key, image = value count u16 · values (base/value.hpp): a key its key columns in key order, an
//                image all the table's columns at the entry's catalog version in order of their ids
//   event      = kind, payload: two values
//   control    = size u32 · bytes
//   meta       = seven values, in the order of `Meta`; NULL where there is none
//
// Source: storage.md, Items. Thread rule: values; views live as long as the plaintext they were
// decoded from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/codec.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/value.hpp"
#include "record/body.hpp"

namespace kimberlite::record {

// An encoded list of values: a key or an image.
class ValueList {
 public:
  ValueList() = default;  // of no values
  // Walks the values once; fails `from` unless they are canonical.
  [[nodiscard]] static ValueList read(Reader& from);

  [[nodiscard]] std::uint16_t size() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  // Count and values, as stored.
  [[nodiscard]] Bytes bytes() const { return bytes_; }
  // The values in order; views into the same bytes.
  [[nodiscard]] std::vector<ValueView> values() const;
  void values(std::vector<ValueView>& into) const;  // replaces what `into` held

 private:
  Bytes bytes_;
  std::uint16_t count_ = 0;
};

// At most 65,535 values.
void encode_values(Writer& to, std::span<const ValueView> values);
void encode_values(Writer& to, const Row& values);
// `integrity.item` unless `bytes` are a value list and nothing else.
[[nodiscard]] Result<ValueList> decode_values(Bytes bytes);

enum class Operation : std::uint8_t { insert = 1, update = 2, remove = 3 };

struct RowChange {
  std::uint32_t ordinal = 0;  // counts the record's changes over all its items, from 0
  ObjectId table;
  Operation operation = Operation::insert;
  Position previous;  // of the version replaced; 0 if there was none
  ValueList key;
  ValueList image;  // all columns; empty for a removal
};

struct Event {
  std::string_view kind;
  ValueView payload;
};

struct Meta {
  std::uint64_t rows_affected = 0;
  std::optional<std::string_view> reason;
  std::optional<Bytes> request_digest;        // HMAC under the pseudonym key
  std::optional<std::string_view> statement;  // literals replaced
  std::optional<std::string_view> correlation;
  std::optional<std::string_view> new_stream;
  std::optional<Bytes> reply;  // what RETURNING gave
};

// Builds one plaintext: the meta first if there is one, then the parts, then `finish`.
class PlaintextWriter {
 public:
  explicit PlaintextWriter(ItemKind kind) : kind_(kind) {}

  void meta(const Meta& meta);  // once, before any part
  void change(const RowChange& change);
  void event(const Event& event);
  void control(Bytes payload);

  [[nodiscard]] ItemKind kind() const { return kind_; }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] std::uint8_t flags() const { return flags_; }
  [[nodiscard]] std::size_t size() const { return writer_.size(); }  // so far, without padding
  // The padded plaintext; `header.kind`, `count`, `flags` are this writer's.
  [[nodiscard]] Buffer finish() &&;

 private:
  Writer writer_;
  ItemKind kind_;
  std::uint8_t flags_ = 0;
  std::uint32_t count_ = 0;
};

// What an opened item holds; only the vector of the item's kind has anything in it.
struct Plaintext {
  std::optional<Meta> meta;
  std::vector<RowChange> changes;
  std::vector<Event> events;
  std::vector<Bytes> controls;
};

// `integrity.item` unless `plaintext` is the canonical form of what `header` announces.
[[nodiscard]] Result<Plaintext> decode_plaintext(const ItemHeader& header, Bytes plaintext);

}  // namespace kimberlite::record
