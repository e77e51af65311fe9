#include "record/items.hpp"

#include "base/assert.hpp"
#include "base/limits.hpp"

namespace kimberlite::record {
namespace {

ValueView text_or_null(const std::optional<std::string_view>& text) {
  return text ? ValueView{*text} : ValueView{Null{}};
}
ValueView bytes_or_null(const std::optional<Bytes>& bytes) {
  return bytes ? ValueView{*bytes} : ValueView{Null{}};
}

template <class T>
std::optional<T> read_optional(Reader& from) {
  const ValueView value = decode_value(from);
  if (is_null(value)) return std::nullopt;
  if (const T* held = std::get_if<T>(&value)) return *held;
  from.fail();
  return std::nullopt;
}

Meta read_meta(Reader& from) {
  Meta meta;
  const ValueView rows = decode_value(from);
  const auto* const count = std::get_if<std::int64_t>(&rows);
  if (count == nullptr || *count < 0) {
    from.fail();
  } else {
    meta.rows_affected = static_cast<std::uint64_t>(*count);
  }
  meta.reason = read_optional<std::string_view>(from);
  meta.request_digest = read_optional<Bytes>(from);
  meta.statement = read_optional<std::string_view>(from);
  meta.correlation = read_optional<std::string_view>(from);
  meta.new_stream = read_optional<std::string_view>(from);
  meta.reply = read_optional<Bytes>(from);
  return meta;
}

RowChange read_change(Reader& from) {
  RowChange change;
  change.ordinal = from.u32();
  change.table = from.id<ObjectId>();
  const std::uint8_t operation = from.u8();
  change.operation = static_cast<Operation>(operation);
  change.previous = from.id<Position>();
  change.key = ValueList::read(from);
  change.image = ValueList::read(from);
  const bool removes = change.operation == Operation::remove;
  if (operation < 1 || operation > 3 || change.key.empty() || removes != change.image.empty()) {
    from.fail();
  }
  return change;
}

Event read_event(Reader& from) {
  const ValueView kind = decode_value(from);
  const ValueView payload = decode_value(from);
  if (const auto* const text = std::get_if<std::string_view>(&kind)) return Event{*text, payload};
  from.fail();
  return {};
}

void read_parts(const ItemHeader& header, Reader& from, Plaintext& into) {
  // A part is at least one byte, so a count cannot make this loop or reserve beyond the input.
  if (header.count > from.left()) return from.fail();
  switch (header.kind) {
    case ItemKind::rows:
      into.changes.reserve(header.count);
      for (std::uint32_t i = 0; i < header.count && !from.failed(); ++i) {
        into.changes.push_back(read_change(from));
      }
      return;
    case ItemKind::events:
      into.events.reserve(header.count);
      for (std::uint32_t i = 0; i < header.count && !from.failed(); ++i) {
        into.events.push_back(read_event(from));
      }
      return;
    case ItemKind::control:
      into.controls.reserve(header.count);
      for (std::uint32_t i = 0; i < header.count && !from.failed(); ++i) {
        into.controls.push_back(from.sized());
      }
      return;
    case ItemKind::meta:
      return;
  }
}

}  // namespace

ValueList ValueList::read(Reader& from) {
  // A second reader over the same bytes would need them all; walking is the way to find the end.
  const Bytes before = from.rest();
  ValueList list;
  list.count_ = from.u16();
  for (std::uint16_t i = 0; i < list.count_ && !from.failed(); ++i) (void)decode_value(from);
  if (from.failed()) return {};
  list.bytes_ = before.first(before.size() - from.left());
  return list;
}

std::vector<ValueView> ValueList::values() const {
  std::vector<ValueView> into;
  values(into);
  return into;
}

void ValueList::values(std::vector<ValueView>& into) const {
  into.clear();
  into.reserve(count_);
  if (count_ == 0) return;
  Reader from{bytes_.subspan(2)};
  for (std::uint16_t i = 0; i < count_; ++i) into.push_back(decode_value(from));
  KIMBERLITE_ASSERT(from.finished());
}

void encode_values(Writer& to, std::span<const ValueView> values) {
  KIMBERLITE_ASSERT(values.size() <= UINT16_MAX);
  to.u16(static_cast<std::uint16_t>(values.size()));
  for (const ValueView& value : values) encode(to, value);
}

void encode_values(Writer& to, const Row& values) {
  KIMBERLITE_ASSERT(values.size() <= UINT16_MAX);
  to.u16(static_cast<std::uint16_t>(values.size()));
  for (const Value& value : values) encode(to, view(value));
}

Result<ValueList> decode_values(Bytes bytes) {
  Reader from{bytes};
  const ValueList list = ValueList::read(from);
  if (!from.finished()) {
    return Error{Code::integrity_item, "a list of values that is not in its canonical form"};
  }
  return list;
}

void PlaintextWriter::meta(const Meta& meta) {
  KIMBERLITE_ASSERT(flags_ == 0 && count_ == 0);
  KIMBERLITE_ASSERT(!meta.reply || meta.reply->size() <= reply_size_max);
  flags_ = item_flag_meta;
  encode(writer_, static_cast<std::int64_t>(meta.rows_affected));
  encode(writer_, text_or_null(meta.reason));
  encode(writer_, bytes_or_null(meta.request_digest));
  encode(writer_, text_or_null(meta.statement));
  encode(writer_, text_or_null(meta.correlation));
  encode(writer_, text_or_null(meta.new_stream));
  encode(writer_, bytes_or_null(meta.reply));
}

void PlaintextWriter::change(const RowChange& change) {
  KIMBERLITE_ASSERT(kind_ == ItemKind::rows);
  writer_.u32(change.ordinal);
  writer_.id(change.table);
  writer_.u8(static_cast<std::uint8_t>(change.operation));
  writer_.id(change.previous);
  for (const ValueList* list : {&change.key, &change.image}) {
    if (list->empty()) {
      writer_.u16(0);
    } else {
      writer_.bytes(list->bytes());
    }
  }
  ++count_;
}

void PlaintextWriter::event(const Event& event) {
  KIMBERLITE_ASSERT(kind_ == ItemKind::events);
  encode(writer_, event.kind);
  encode(writer_, event.payload);
  ++count_;
}

void PlaintextWriter::control(Bytes payload) {
  KIMBERLITE_ASSERT(kind_ == ItemKind::control);
  writer_.sized(payload);
  ++count_;
}

Buffer PlaintextWriter::finish() && {
  KIMBERLITE_ASSERT((kind_ == ItemKind::meta) == (count_ == 0));
  KIMBERLITE_ASSERT(kind_ != ItemKind::meta || flags_ == item_flag_meta);
  writer_.zeros(static_cast<std::size_t>(padded_size(writer_.size())) - writer_.size());
  return std::move(writer_).take();
}

Result<Plaintext> decode_plaintext(const ItemHeader& header, Bytes plaintext) {
  Reader from{plaintext};
  Plaintext content;
  if ((header.flags & item_flag_meta) != 0) content.meta = read_meta(from);
  read_parts(header, from, content);
  const bool padded = !from.failed() && padded_size(from.at()) == plaintext.size();
  if (padded) from.zeros(from.left());
  if (!padded || !from.finished()) {
    return Error{Code::integrity_item,
                 "an opened item that is not the canonical form of the {} parts its header says",
                 header.count}
        .where("byte {} of its plaintext", from.at());
  }
  return content;
}

}  // namespace kimberlite::record
