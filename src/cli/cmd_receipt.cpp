// kimberlite receipt: made, shown and checked. Showing and checking are offline: they open a file
// and nothing else.
#include <fmt/format.h>

#include <charconv>

#include "app.hpp"
#include "kernel/command.hpp"
#include "record/proof.hpp"
#include "record/receipt.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

using catalog::Type;
using catalog::TypeKind;

const std::optional<Type> text_type = Type{TypeKind::text};
const std::optional<Type> integer_type = Type{TypeKind::bigint};
const std::optional<Type> timestamp_type = Type{TypeKind::timestamp};

std::int64_t integer(std::uint64_t value) { return static_cast<std::int64_t>(value); }

// The facts of the record, believed or not.
Status write_record(App& app, const record::Entry& entry, const record::TreeHead& tree,
                    const Hash& leaf, const std::optional<std::uint32_t>& item) {
  return write_facts(
      app,
      {{"log", text_type},
       {"position", integer_type},
       {"timestamp", timestamp_type},
       {"kind", text_type},
       {"actor", text_type},
       {"request_id", text_type},
       {"items", integer_type},
       {"opened_item", integer_type},
       {"leaf", text_type},
       {"tree_size", integer_type},
       {"root", text_type}},
      {{tree.origin, integer(entry.position.value()), timestamp_text(entry.timestamp),
        std::string{kernel::kind_name(entry.kind)}, to_hex(entry.actor), to_hex(entry.request_id),
        integer(entry.item_count), item ? Value{integer(*item)} : Value{Null{}}, to_hex(leaf),
        integer(tree.size), to_hex(tree.root)}});
}

template <class Receipt>
Result<int> check(App& app, const Receipt& receipt, const ReceiptOptions& options) {
  KIMBERLITE_TRY(const auto key, find_log_key(app, options.log_key));
  if (!key) {
    return Error{Code::usage_option, "--log-key is missing"}
        .why("a receipt is worth what the key it is checked with is worth: never take that from it")
        .next("kimberlite receipt check {} --log-key clinic.vkey", options.file);
  }
  const auto checked = record::verify(receipt, *key);
  if (!checked) return Error{checked.error()}.where("{}", options.file);
  const record::VerifiedRecord& record = *checked;
  if (app.format() == Format::table) {
    KIMBERLITE_CHECK(app.out().write(fmt::format(
        "ok  record {}{}, of {}, in the signed tree of size {}; it proves what was recorded, not "
        "that it is latest\n",
        record.entry().position.value(),
        record.opened() ? fmt::format(" and its item {}", record.opened()->index) : "",
        timestamp_text(record.entry().timestamp), record.tree().size)));
    return 0;
  }
  const auto item = record.opened() ? std::optional{record.opened()->index} : std::nullopt;
  KIMBERLITE_CHECK(write_record(app, record.entry(), record.tree(), record.leaf(), item));
  return 0;
}

// What a receipt says its tree is.
Result<record::TreeHead> tree_of(const record::Receipt& receipt) {
  KIMBERLITE_TRY(const record::SignedNote note, record::SignedNote::parse(receipt.head));
  return record::parse_head(note.text);
}
Result<record::TreeHead> tree_of(const record::CoseReceipt& receipt) {
  const Hash leaf = record::leaf_hash(receipt.recorded.entry);
  const auto root = record::root_of_inclusion(leaf, receipt.index, receipt.size, receipt.path);
  return record::TreeHead{
      .origin = receipt.origin, .size = receipt.size, .root = root.value_or(Hash{})};
}

template <class Receipt>
Result<int> show(App& app, const Receipt& receipt) {
  KIMBERLITE_TRY(const record::Entry entry, record::decode(receipt.recorded.entry));
  KIMBERLITE_TRY(const record::TreeHead tree, tree_of(receipt));
  const auto& opened = receipt.recorded.item;
  const auto item = opened ? std::optional{opened->index} : std::nullopt;
  KIMBERLITE_CHECK(write_record(app, entry, tree, record::leaf_hash(receipt.recorded.entry), item));
  app.say("note: this is what the file says; nothing of it was checked: kimberlite receipt check");
  return 0;
}

template <class Receipt>
Result<int> run(App& app, Result<Receipt> receipt, const ReceiptOptions& options) {
  if (!receipt) return std::move(receipt.error()).where("{}", options.file);
  return options.action == ReceiptAction::check ? check(app, *receipt, options)
                                                : show(app, *receipt);
}

Result<int> get(App& app, const ReceiptOptions& options) {
  std::uint64_t position = 0;
  const char* const end = options.position.data() + options.position.size();
  if (const auto [at, failed] = std::from_chars(options.position.data(), end, position);
      failed != std::errc{} || at != end || position == 0) {
    return Error{Code::usage_option, "{} is no position", options.position}.next(
        "a position is a number from 1 on: kimberlite log shows them");
  }
  KIMBERLITE_TRY(const auto opened, app.open());
  engine::Session& session = opened->session();
  if (options.cose) {
    KIMBERLITE_TRY(const record::CoseReceipt receipt,
                   session.cose_receipt(Position{position}, options.item));
    KIMBERLITE_CHECK(write_proof(app, options.output, text_of(receipt.to_bytes())));
  } else {
    KIMBERLITE_TRY(const record::Receipt receipt,
                   session.receipt(Position{position}, options.item));
    KIMBERLITE_CHECK(write_proof(app, options.output, receipt.to_text()));
  }
  if (options.item) {
    app.say(fmt::format("note: whoever has this receipt can read item {} of record {}, for ever",
                        *options.item, position));
  }
  return 0;
}

}  // namespace

Result<int> run_receipt(App& app, const ReceiptOptions& options) {
  if (options.action == ReceiptAction::get) return get(app, options);
  KIMBERLITE_TRY(const std::string text, read_text(app.files(), options.file));
  // COSE begins with its tag, a byte that begins no text.
  if (text.starts_with('\xD2')) {
    return run(app, record::CoseReceipt::parse(bytes_of(text)), options);
  }
  return run(app, record::Receipt::parse(text), options);
}

}  // namespace kimberlite::cli
