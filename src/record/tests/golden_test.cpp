#include "golden.hpp"

#include <gtest/gtest.h>

#include "record/frame.hpp"
#include "record/head.hpp"
#include "record/items.hpp"
#include "record/proof.hpp"
#include "sample.hpp"

namespace kimberlite::record {
namespace {

Buffer values(const Row& row) {
  Writer writer;
  encode_values(writer, row);
  return std::move(writer).take();
}

void check_plaintexts(golden::File& file) {
  const Buffer key = values({std::int64_t{-2}});
  const Buffer image =
      values({std::int64_t{-2}, 0.5, std::string{"text"}, Buffer{std::byte{0xFF}}, Null{}});
  Meta meta;
  meta.rows_affected = 1;
  meta.reason = "why";
  meta.statement = "INSERT";
  PlaintextWriter rows{ItemKind::rows};
  rows.meta(meta);
  rows.change({0, ObjectId{4}, Operation::insert, Position{0}, decode_values(key).value(),
               decode_values(image).value()});
  rows.change(
      {1, ObjectId{4}, Operation::remove, Position{3}, decode_values(key).value(), ValueList{}});
  file.check("rows_plaintext", std::move(rows).finish());

  PlaintextWriter events{ItemKind::events};
  events.event({"kind", std::string_view{"payload"}});
  file.check("events_plaintext", std::move(events).finish());
  PlaintextWriter control{ItemKind::control};
  control.control(bytes_of("payload"));
  file.check("control_plaintext", std::move(control).finish());
  PlaintextWriter alone{ItemKind::meta};
  alone.meta(Meta{});
  file.check("meta_plaintext", std::move(alone).finish());
}

TEST(Golden, Record) {
  golden::File file{"record.txt"};
  file.comment("Formats of the record layer. Made by record_tests, Golden.Record.");
  file.check("entry", encode(sample::entry()));
  file.check("entry_leaf", leaf_hash(encode(sample::entry())));
  file.check("item_header", encode(sample::item_header()));
  file.check("item_associated_data",
             associated_data(sample::counting<Id128>(0xC0), sample::item_header()));
  check_plaintexts(file);

  Buffer body = sample::item(1);
  file.check("item_commitment", item_commitment(body));
  append(body, sample::item(2));
  append(body, sample::item(3));
  file.check("body_of_three_items", body);
  file.check("body_commitment", body_commitment(split_body(body).value()));

  Head head;
  for (std::uint64_t i = 1; i <= 7; ++i) {
    const Entry entry = sample::next_entry(head, body);
    if (i == 2) {
      Buffer frame;
      append_frame(frame, OpNumber{300}, 2, entry, body);
      file.check("frame", frame);
    }
    advance_in_place(head, entry);
  }
  Writer writer;
  encode(writer, head);
  file.check("head_of_seven", writer.buffer());
  file.check("root_of_seven", head.frontier.root());
}

}  // namespace
}  // namespace kimberlite::record
