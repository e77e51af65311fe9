#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/crc32c.hpp"
#include "crypto/sha256.hpp"
#include "record/body.hpp"
#include "record/entry.hpp"
#include "record/frame.hpp"
#include "record/head.hpp"
#include "sample.hpp"

namespace kimberlite::record {
namespace {

TEST(Entry, ComesBackAsItWas) {
  const Entry entry = sample::entry();
  const auto back = decode(encode(entry));
  ASSERT_TRUE(back.has_value()) << to_string(back.error());
  EXPECT_EQ(*back, entry);
}

// Canonical: a flipped bit either is another entry with just those bytes, or is refused.
TEST(Entry, HasOneFormOnly) {
  const EntryBytes bytes = encode(sample::entry());
  for (std::size_t bit = 0; bit < entry_size * 8; ++bit) {
    EntryBytes other = bytes;
    other[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto entry = decode(other);
    const std::size_t at = bit / 8;
    const bool fixed = at < 2 || (at >= 36 && at < 40) || at >= 184;
    ASSERT_EQ(entry.has_value(), !fixed) << "bit " << bit;
    EXPECT_TRUE(!entry || encode(*entry) == other) << "bit " << bit;
  }
}

TEST(Entry, RefusesWhatCannotBe) {
  Entry entry = sample::entry();
  entry.position = Position{0};
  EXPECT_EQ(decode(encode(entry)).error().code(), Code::integrity_entry);
  entry = sample::entry();
  entry.item_count = 0;
  EXPECT_EQ(decode(encode(entry)).error().code(), Code::integrity_entry);
  entry = sample::entry();
  entry.position = Position{1};
  EXPECT_EQ(decode(encode(entry)).error().code(), Code::integrity_entry);
  entry.previous = Hash{};
  EXPECT_TRUE(decode(encode(entry)).has_value());
  EntryBytes later = encode(entry);
  later[0] = std::byte{2};
  EXPECT_EQ(decode(later).error().code(), Code::unavailable_version);
}

TEST(Entry, HasAnRfc6962LeafHash) {
  const EntryBytes bytes = encode(sample::entry());
  Buffer input{std::byte{0}};
  append(input, bytes);
  EXPECT_EQ(leaf_hash(bytes), crypto::sha256(input));
}

TEST(ItemHeader, ComesBackAndHasOneFormOnly) {
  const ItemHeader header = sample::item_header();
  const ItemHeaderBytes bytes = encode(header);
  ASSERT_EQ(decode_item_header(bytes).value(), header);
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < item_header_size * 8; ++bit) {
    ItemHeaderBytes other = bytes;
    other[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const auto back = decode_item_header(other);
    if (back) {
      EXPECT_EQ(encode(*back), other) << "bit " << bit;
      EXPECT_NE(*back, header);
    } else {
      ++refused;
    }
  }
  EXPECT_GE(refused, 6U * 8);  // at least the padding
}

TEST(ItemHeader, RefusesWhatCannotBe) {
  const auto refused = [](auto change) {
    ItemHeader header = sample::item_header();
    change(header);
    return !decode_item_header(encode(header)).has_value();
  };
  EXPECT_FALSE(refused([](ItemHeader&) {}));
  EXPECT_TRUE(refused([](ItemHeader& h) { h.kind = static_cast<ItemKind>(0); }));
  EXPECT_TRUE(refused([](ItemHeader& h) { h.kind = static_cast<ItemKind>(5); }));
  EXPECT_TRUE(refused([](ItemHeader& h) { h.flags = 2; }));
  EXPECT_TRUE(refused([](ItemHeader& h) { h.count = 0; }));
  EXPECT_TRUE(refused([](ItemHeader& h) { h.size = 16; }));
  EXPECT_TRUE(refused([](ItemHeader& h) { h.size = 16 + 65; }));
  EXPECT_TRUE(refused([](ItemHeader& h) { h.key = KeyId{0}; }));
  EXPECT_TRUE(refused([](ItemHeader& h) { h.stream = StreamId{0}; }));
  EXPECT_TRUE(refused([](ItemHeader& h) { h.kind = ItemKind::rows; }));  // it has a stream
  EXPECT_TRUE(refused([](ItemHeader& h) {
    h.kind = ItemKind::meta;
    h.stream = StreamId{0};
    h.first_sequence = Sequence{0};
  }));  // it has parts
}

TEST(AssociatedData, IsVersionLogAndTheHeaderUpToTheNonce) {
  const Id128 log_id = sample::counting<Id128>(0xC0);
  const ItemHeader header = sample::item_header();
  Buffer expected{std::byte{1}, std::byte{0}};
  append(expected, log_id);
  append(expected, Bytes{encode(header)}.first(40));
  EXPECT_TRUE(equal(associated_data(log_id, header), expected));
}

TEST(Body, FallsIntoItsItems) {
  Buffer body = sample::item(1);
  const Buffer second = sample::item(2, 16 + 640);
  append(body, second);
  const auto items = split_body(body);
  ASSERT_TRUE(items.has_value()) << to_string(items.error());
  ASSERT_EQ(items->size(), 2U);
  EXPECT_TRUE(equal((*items)[1].whole, second));
  EXPECT_EQ((*items)[1].header.size, 16U + 640);
  EXPECT_TRUE(equal((*items)[1].sealed, Bytes{second}.subspan(96)));
}

TEST(Body, RefusesEveryCut) {
  Buffer body = sample::item(1);
  const std::size_t first = body.size();
  append(body, sample::item(2));
  for (std::size_t size = 0; size < body.size(); ++size) {
    EXPECT_EQ(split_body(Bytes{body}.first(size)).has_value(), size == first) << size;
  }
}

TEST(Body, HasTheCommitmentOfTheFormat) {
  const std::array prefix{std::byte{0x10}};
  Buffer body;
  std::vector<Hash> commitments;
  for (unsigned i = 0; i < 5; ++i) {
    const Buffer item = sample::item(i);
    append(body, item);
    commitments.push_back(crypto::sha256(prefix, item));
    EXPECT_EQ(body_commitment(split_body(body).value()), tree_root(commitments));
  }
  // Three leaves, as RFC 6962 writes it.
  EXPECT_EQ(tree_root(std::span{commitments}.first(3)),
            node_hash(node_hash(commitments[0], commitments[1]), commitments[2]));
  EXPECT_EQ(tree_root({}), crypto::sha256());
}

TEST(Frame, ComesBackAsItWas) {
  const Buffer body = sample::item(4);
  const Entry entry = sample::next_entry({}, body);
  Buffer frame(3);  // it is appended, not written at the start
  append_frame(frame, OpNumber{77}, 5, entry, body);
  ASSERT_EQ(frame.size(), 3 + frame_size(body.size()));
  append(frame, bytes_of("what stands behind it"));
  const auto view = parse_frame(Bytes{frame}.subspan(3));
  ASSERT_TRUE(view.has_value()) << to_string(view.error());
  EXPECT_EQ(view->op, OpNumber{77});
  EXPECT_EQ(view->index, 5U);
  EXPECT_TRUE(equal(view->entry_bytes, encode(entry)));
  EXPECT_TRUE(equal(view->body, body));
}

TEST(Frame, RefusesEveryFlippedBitAndEveryCut) {
  const Buffer body = sample::item(4);
  Buffer frame;
  append_frame(frame, OpNumber{77}, 5, sample::next_entry({}, body), body);
  ASSERT_TRUE(complete_frame(frame));
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    frame[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_FALSE(parse_frame(frame).has_value()) << "bit " << bit;
    EXPECT_FALSE(complete_frame(frame)) << "bit " << bit;
    frame[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
  for (std::size_t size = 0; size < frame.size(); ++size) {
    EXPECT_FALSE(parse_frame(Bytes{frame}.first(size)).has_value());
    EXPECT_FALSE(complete_frame(Bytes{frame}.first(size)));
  }
  EXPECT_FALSE(complete_frame(Buffer(4096)));  // zeros are no frame
}

TEST(Frame, RefusesPaddingThatIsNotZeroEvenUnderAGoodChecksum) {
  const Buffer body = sample::item(4);
  Buffer frame;
  append_frame(frame, OpNumber{77}, 5, sample::next_entry({}, body), body);
  frame[frame_at_zero] = std::byte{1};
  store_le(frame.data() + frame_at_crc, crypto::crc32c(Bytes{frame}.subspan(frame_checked_from)));
  EXPECT_EQ(parse_frame(frame).error().code(), Code::integrity_frame);
}

TEST(FrameDecisions, RotateByBytesAlone) {
  static_assert(!starts_next_segment(128, 100, true, 64));  // an empty segment takes any frame
  static_assert(!starts_next_segment(128, 100, false, 228));
  static_assert(starts_next_segment(128, 101, false, 228));
  static_assert(starts_next_segment(300, 1, false, 228));
  static_assert(starts_next_segment(1, UINT64_MAX, false, UINT64_MAX));
  static_assert(decide_rewrite(false, true) == Rewrite::alarm);
  static_assert(decide_rewrite(true, true) == Rewrite::write);
  static_assert(decide_rewrite(false, false) == Rewrite::write);
  static_assert(frame_extent(0, 0) == Extent::none);
  static_assert(frame_extent(23, 0) == Extent::cut);
  static_assert(frame_extent(4096, 0) == Extent::impossible);
  static_assert(frame_extent(frame_size_min, frame_size_min) == Extent::inside);
  static_assert(frame_extent(frame_size_min - 1, frame_size_min) == Extent::cut);
  static_assert(frame_extent(UINT64_MAX, frame_size_max + 1) == Extent::impossible);
  SUCCEED();
}

TEST(Head, AdvancesByOneRecord) {
  const Buffer body = sample::item(9);
  Head head;
  std::vector<Hash> leaves;
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const Entry entry = sample::next_entry(head, body);
    const Head next = advance(head, entry);
    EXPECT_EQ(next.position, Position{i});
    EXPECT_EQ(next.bytes, i * frame_size(body.size()));
    EXPECT_EQ(next.leaf, leaf_hash(encode(entry)));
    leaves.push_back(next.leaf);
    EXPECT_EQ(next.frontier.root(), tree_root(leaves));
    advance_in_place(head, entry);
    EXPECT_EQ(head, next);
  }
}

TEST(Head, ComesBackAndRefusesEveryCut) {
  Head head;
  for (int i = 0; i < 23; ++i) {
    Writer writer;
    encode(writer, head);
    Reader whole{writer.buffer()};
    EXPECT_EQ(decode_head(whole), head);
    EXPECT_TRUE(whole.finished());
    for (std::size_t size = 0; size < writer.size(); ++size) {
      Reader cut{Bytes{writer.buffer()}.first(size)};
      (void)decode_head(cut);
      EXPECT_FALSE(cut.finished());
    }
    advance_in_place(head, sample::next_entry(head, sample::item(1)));
  }
}

}  // namespace
}  // namespace kimberlite::record
