#include "record/items.hpp"

#include <gtest/gtest.h>

#include "sample.hpp"

namespace kimberlite::record {
namespace {

Buffer list(const Row& values) {
  Writer writer;
  encode_values(writer, values);
  return std::move(writer).take();
}

ItemHeader header_of(const PlaintextWriter& writer) {
  ItemHeader header;
  header.kind = writer.kind();
  header.count = writer.count();
  header.flags = writer.flags();
  return header;
}

Meta full_meta(Bytes digest, Bytes reply) {
  Meta meta;
  meta.rows_affected = 3;
  meta.reason = "wrong dose";
  meta.request_digest = digest;
  meta.statement = "UPDATE t SET a = ?";
  meta.correlation = "ticket";
  meta.new_stream = "s";
  meta.reply = reply;
  return meta;
}

TEST(Items, RowsComeBackAsTheyWere) {
  const Buffer key = list({std::int64_t{7}});
  const Buffer image = list({std::int64_t{7}, std::string{"text"}, 2.5, Null{}, Buffer(3)});
  const Buffer digest(32, std::byte{1});
  PlaintextWriter writer{ItemKind::rows};
  writer.meta(full_meta(digest, {}));
  writer.change({5, ObjectId{2}, Operation::insert, Position{0}, decode_values(key).value(),
                 decode_values(image).value()});
  writer.change(
      {6, ObjectId{2}, Operation::remove, Position{9}, decode_values(key).value(), ValueList{}});
  const ItemHeader header = header_of(writer);
  const Buffer plaintext = std::move(writer).finish();
  ASSERT_EQ(plaintext.size() % 64, 0U);

  const auto back = decode_plaintext(header, plaintext);
  ASSERT_TRUE(back.has_value()) << to_string(back.error());
  ASSERT_TRUE(back->meta.has_value());
  EXPECT_EQ(back->meta->rows_affected, 3U);
  EXPECT_EQ(back->meta->reason, "wrong dose");
  EXPECT_EQ(back->meta->statement, "UPDATE t SET a = ?");
  EXPECT_EQ(back->meta->correlation, "ticket");
  EXPECT_EQ(back->meta->new_stream, "s");
  EXPECT_TRUE(equal(*back->meta->request_digest, digest));
  EXPECT_TRUE(back->meta->reply.has_value() && back->meta->reply->empty());
  ASSERT_EQ(back->changes.size(), 2U);
  EXPECT_EQ(back->changes[0].ordinal, 5U);
  EXPECT_EQ(back->changes[0].table, ObjectId{2});
  EXPECT_TRUE(equal(back->changes[0].image.bytes(), image));
  const std::vector<ValueView> values = back->changes[0].image.values();
  ASSERT_EQ(values.size(), 5U);
  EXPECT_EQ(std::get<std::string_view>(values[1]), "text");
  EXPECT_EQ(std::get<double>(values[2]), 2.5);
  EXPECT_TRUE(is_null(values[3]));
  EXPECT_EQ(back->changes[1].operation, Operation::remove);
  EXPECT_EQ(back->changes[1].previous, Position{9});
  EXPECT_TRUE(back->changes[1].image.empty());
}

TEST(Items, EventsControlAndMetaComeBack) {
  PlaintextWriter events{ItemKind::events};
  events.event({"opened", std::string_view{"{}"}});
  events.event({"closed", Bytes{}});
  const ItemHeader events_header = header_of(events);
  const Buffer events_text = std::move(events).finish();
  const auto opened = decode_plaintext(events_header, events_text);
  ASSERT_TRUE(opened.has_value());
  EXPECT_FALSE(opened->meta.has_value());
  ASSERT_EQ(opened->events.size(), 2U);
  EXPECT_EQ(opened->events[0].kind, "opened");
  EXPECT_EQ(std::get<std::string_view>(opened->events[0].payload), "{}");

  PlaintextWriter control{ItemKind::control};
  control.control(bytes_of("payload"));
  const ItemHeader control_header = header_of(control);
  const Buffer control_text = std::move(control).finish();
  EXPECT_EQ(text_of(decode_plaintext(control_header, control_text)->controls.at(0)), "payload");

  PlaintextWriter alone{ItemKind::meta};
  alone.meta(Meta{});
  const ItemHeader alone_header = header_of(alone);
  const Buffer alone_text = std::move(alone).finish();
  const auto meta = decode_plaintext(alone_header, alone_text);
  ASSERT_TRUE(meta.has_value() && meta->meta.has_value());
  EXPECT_FALSE(meta->meta->reason.has_value());
  EXPECT_EQ(meta->meta->rows_affected, 0U);
}

TEST(Items, PadToAMultipleOf64AtEverySize) {
  for (std::size_t size = 0; size < 200; ++size) {
    PlaintextWriter writer{ItemKind::control};
    writer.control(Buffer(size, std::byte{0xEE}));
    const std::size_t unpadded = writer.size();
    const ItemHeader header = header_of(writer);
    Buffer plaintext = std::move(writer).finish();
    ASSERT_EQ(plaintext.size(), (unpadded + 63) / 64 * 64);
    ASSERT_TRUE(decode_plaintext(header, plaintext).has_value());
    for (std::size_t cut = unpadded; cut < plaintext.size(); ++cut) {
      ASSERT_FALSE(decode_plaintext(header, Bytes{plaintext}.first(cut)).has_value()) << cut;
    }
    // Padding is zero and never a block too much.
    if (unpadded < plaintext.size()) {
      plaintext.back() = std::byte{1};
      EXPECT_FALSE(decode_plaintext(header, plaintext).has_value());
      plaintext.back() = std::byte{0};
    }
    plaintext.resize(plaintext.size() + 64);
    EXPECT_FALSE(decode_plaintext(header, plaintext).has_value());
  }
}

TEST(Items, RefuseACountThatIsNotTheirs) {
  const Buffer key = list({std::int64_t{7}});
  PlaintextWriter writer{ItemKind::rows};
  writer.change(
      {0, ObjectId{1}, Operation::remove, Position{1}, decode_values(key).value(), ValueList{}});
  ItemHeader header = header_of(writer);
  const Buffer plaintext = std::move(writer).finish();
  ASSERT_TRUE(decode_plaintext(header, plaintext).has_value());
  header.count = 2;
  EXPECT_FALSE(decode_plaintext(header, plaintext).has_value());
  header.count = UINT32_MAX;
  EXPECT_FALSE(decode_plaintext(header, plaintext).has_value());
  header.count = 1;
  header.flags = item_flag_meta;
  EXPECT_FALSE(decode_plaintext(header, plaintext).has_value());
}

TEST(Items, RefuseOperationsThatCannotBe) {
  const Buffer one = list({std::int64_t{7}});
  const auto decodes = [&](std::uint8_t operation, const Buffer& key, const Buffer& image) {
    Writer writer;
    writer.u32(0);
    writer.u32(1);
    writer.u8(operation);
    writer.u64(0);
    writer.bytes(key);
    writer.bytes(image);
    writer.zeros(padded_size(writer.size()) - writer.size());
    ItemHeader header;
    header.count = 1;
    return decode_plaintext(header, writer.buffer()).has_value();
  };
  const Buffer none = list({});
  EXPECT_TRUE(decodes(1, one, one));
  EXPECT_TRUE(decodes(2, one, one));
  EXPECT_TRUE(decodes(3, one, none));
  EXPECT_FALSE(decodes(0, one, one));
  EXPECT_FALSE(decodes(4, one, one));
  EXPECT_FALSE(decodes(3, one, one));   // a removal has no image
  EXPECT_FALSE(decodes(1, one, none));  // an insert has one
  EXPECT_FALSE(decodes(1, none, one));  // every row has a key
}

TEST(Items, ValueListsRefuseEveryCut) {
  const Buffer whole = list({std::int64_t{7}, std::string{"text"}, Null{}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(decode_values(Bytes{whole}.first(size)).has_value()) << size;
  }
  EXPECT_TRUE(decode_values(whole).has_value());
}

}  // namespace
}  // namespace kimberlite::record
