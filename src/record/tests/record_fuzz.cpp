// What decodes must encode to the same bytes, and nothing may be read outside the input. The first
// byte chooses the format.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "record/frame.hpp"
#include "record/head.hpp"
#include "record/items.hpp"

namespace kimberlite::record {
namespace {

void entry(Bytes input) {
  if (input.size() < entry_size) return;
  const auto decoded = decode(input.first<entry_size>());
  if (decoded) KIMBERLITE_ASSERT(equal(encode(*decoded), input.first(entry_size)));
}

void body(Bytes input) {
  const auto items = split_body(input);
  if (!items) return;
  Buffer again;
  for (const ItemView& item : *items) {
    append(again, encode(item.header));
    append(again, item.sealed);
  }
  KIMBERLITE_ASSERT(equal(again, input));
}

void plaintext(Bytes input) {
  if (input.size() < 6) return;
  ItemHeader header;
  header.kind = static_cast<ItemKind>(1 + std::to_integer<unsigned>(input[0]) % 4);
  header.flags = std::to_integer<std::uint8_t>(input[1]) & item_flag_meta;
  header.count = load_le<std::uint32_t>(input.data() + 2);
  if (header.kind == ItemKind::meta) {
    header.flags = item_flag_meta;
    header.count = 0;
  } else if (header.count == 0) {
    return;
  }
  const Bytes text = input.subspan(6);
  const auto content = decode_plaintext(header, text);
  if (!content ||
      (content->meta && content->meta->reply && content->meta->reply->size() > 65'536)) {
    return;
  }
  PlaintextWriter writer{header.kind};
  if (content->meta) writer.meta(*content->meta);
  for (const RowChange& change : content->changes) writer.change(change);
  for (const Event& event : content->events) writer.event(event);
  for (const Bytes payload : content->controls) writer.control(payload);
  KIMBERLITE_ASSERT(equal(std::move(writer).finish(), text));
}

void frame(Bytes input) {
  const auto view = parse_frame(input);
  KIMBERLITE_ASSERT(!view || complete_frame(input));
  if (!view) return;
  const auto decoded = decode(view->entry_bytes.first<entry_size>());
  if (!decoded || decoded->body_size != view->body.size()) return;
  Buffer again;
  append_frame(again, view->op, view->index, *decoded, view->body);
  KIMBERLITE_ASSERT(equal(again, input.first(view->size)));
}

void head(Bytes input) {
  Reader reader{input};
  const Head decoded = decode_head(reader);
  if (!reader.finished()) return;
  Writer writer;
  encode(writer, decoded);
  KIMBERLITE_ASSERT(equal(writer.buffer(), input));
}

}  // namespace
}  // namespace kimberlite::record

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kimberlite::record;
  if (size == 0) return 0;
  const auto input = std::as_bytes(std::span{data, size}).subspan(1);
  constexpr std::array formats{entry, body, plaintext, frame, head};
  formats[data[0] % formats.size()](input);
  return 0;
}
