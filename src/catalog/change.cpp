#include "catalog/change.hpp"

#include <utility>

#include "codec.hpp"

namespace kimberlite::catalog {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

// The tag of a change is its place in the variant, from 1: the order there is part of the format.
static_assert(std::variant_size_v<Change> == 10);

void encode_fields(Writer& to, const CreateTable& change) { encode(to, change.table); }
void encode_fields(Writer& to, const DropTable& change) { to.id(change.table); }
void encode_fields(Writer& to, const RenameTable& change) {
  to.id(change.table);
  to.text(change.name);
}
void encode_fields(Writer& to, const AddColumn& change) {
  to.id(change.table);
  encode(to, change.column);
  encode_list(to, change.checks);
  encode_list(to, change.foreign_keys);
}
void encode_fields(Writer& to, const DropColumn& change) {
  to.id(change.table);
  to.id(change.column);
}
void encode_fields(Writer& to, const RenameColumn& change) {
  to.id(change.table);
  to.id(change.column);
  to.text(change.name);
}
void encode_fields(Writer& to, const CreateIndex& change) { encode(to, change.index); }
void encode_fields(Writer& to, const DropIndex& change) { to.id(change.index); }
void encode_fields(Writer& to, const CreateView& change) { encode(to, change.view); }
void encode_fields(Writer& to, const DropView& change) { to.id(change.view); }

void decode_fields(Reader& from, CreateTable& change) { decode(from, change.table); }
void decode_fields(Reader& from, DropTable& change) { change.table = from.id<ObjectId>(); }
void decode_fields(Reader& from, RenameTable& change) {
  change.table = from.id<ObjectId>();
  decode(from, change.name);
}
void decode_fields(Reader& from, AddColumn& change) {
  change.table = from.id<ObjectId>();
  decode(from, change.column);
  decode_list(from, change.checks);
  decode_list(from, change.foreign_keys);
}
void decode_fields(Reader& from, DropColumn& change) {
  change.table = from.id<ObjectId>();
  change.column = from.id<ColumnId>();
}
void decode_fields(Reader& from, RenameColumn& change) {
  change.table = from.id<ObjectId>();
  change.column = from.id<ColumnId>();
  decode(from, change.name);
}
void decode_fields(Reader& from, CreateIndex& change) { decode(from, change.index); }
void decode_fields(Reader& from, DropIndex& change) { change.index = from.id<ObjectId>(); }
void decode_fields(Reader& from, CreateView& change) { decode(from, change.view); }
void decode_fields(Reader& from, DropView& change) { change.view = from.id<ObjectId>(); }

template <class Kind>
Change decode_as(Reader& from) {
  Kind change;
  decode_fields(from, change);
  return change;
}

Change decode_tagged(Reader& from, std::uint8_t tag) {
  switch (tag) {
    case 1:
      return decode_as<CreateTable>(from);
    case 2:
      return decode_as<DropTable>(from);
    case 3:
      return decode_as<RenameTable>(from);
    case 4:
      return decode_as<AddColumn>(from);
    case 5:
      return decode_as<DropColumn>(from);
    case 6:
      return decode_as<RenameColumn>(from);
    case 7:
      return decode_as<CreateIndex>(from);
    case 8:
      return decode_as<DropIndex>(from);
    case 9:
      return decode_as<CreateView>(from);
    case 10:
      return decode_as<DropView>(from);
    default:
      from.fail();
      return DropTable{};
  }
}

}  // namespace

Buffer encode_change(const Change& change) {
  Writer to;
  to.u8(static_cast<std::uint8_t>(change.index() + 1));
  std::visit([&](const auto& fields) { encode_fields(to, fields); }, change);
  return std::move(to).take();
}

Result<Change> decode_change(Bytes bytes) {
  Reader from{bytes};
  const std::uint8_t tag = from.u8();
  Change change = decode_tagged(from, tag);
  if (!from.finished()) {
    return Error{Code::integrity_encoding, "a change of the schema is not in its canonical form"}
        .where("byte {} of {}", from.at(), bytes.size());
  }
  return change;
}

std::string_view verb(const Change& change) {
  return std::visit(Overloaded{
                        [](const CreateTable&) { return std::string_view{"CREATE TABLE"}; },
                        [](const DropTable&) { return std::string_view{"DROP TABLE"}; },
                        [](const RenameTable&) { return std::string_view{"RENAME TABLE"}; },
                        [](const AddColumn&) { return std::string_view{"ADD COLUMN"}; },
                        [](const DropColumn&) { return std::string_view{"DROP COLUMN"}; },
                        [](const RenameColumn&) { return std::string_view{"RENAME COLUMN"}; },
                        [](const CreateIndex&) { return std::string_view{"CREATE INDEX"}; },
                        [](const DropIndex&) { return std::string_view{"DROP INDEX"}; },
                        [](const CreateView&) { return std::string_view{"CREATE VIEW"}; },
                        [](const DropView&) { return std::string_view{"DROP VIEW"}; },
                    },
                    change);
}

}  // namespace kimberlite::catalog
