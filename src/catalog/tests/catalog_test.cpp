#include "catalog/catalog.hpp"

#include <gtest/gtest.h>

#include "expression.hpp"

namespace kimberlite::catalog {
namespace {

Column column(std::uint32_t id, std::string name, TypeKind kind = TypeKind::text) {
  Column column;
  column.id = ColumnId{id};
  column.name = std::move(name);
  column.type.kind = kind;
  return column;
}

Table patients(std::uint32_t id) {
  Table table;
  table.id = ObjectId{id};
  table.name = "patients";
  table.columns = {column(1, "id", TypeKind::bigint), column(2, "name"), column(3, "ssn"),
                   column(4, "city"), column(5, "age", TypeKind::smallint)};
  table.columns[1].not_null = true;
  table.columns[3].default_value = "'Boston'";
  table.primary_key = {ColumnId{1}};
  table.uniques = {{"", {ColumnId{3}}}};
  table.checks = {{"adult", "\"@5\" >= 18"}};
  table.data_class = DataClass::phi;
  table.subject = Subject{false, "patient", ColumnId{1}};
  table.retention = "7 years";
  return table;
}

Table visits(std::uint32_t id, std::uint32_t parent) {
  Table table;
  table.id = ObjectId{id};
  table.name = "visits";
  table.columns = {column(1, "id"), column(2, "patient_id"), column(3, "first"), column(4, "last"),
                   column(5, "both")};
  table.columns[4].generated = "\"@3\" || ' \"@2\" ' || \"@4\"";
  table.checks = {{"", "\"@3\" <= \"@4\""}};
  ForeignKey key;
  key.columns = {ColumnId{2}};
  key.parent = ObjectId{parent};
  key.parent_columns = {ColumnId{1}};
  key.on_delete = ForeignKeyAction::cascade;
  table.foreign_keys = {key};
  return table;
}

View adults(std::uint32_t id, std::uint32_t table) {
  return {ObjectId{id}, "adults", {"n"}, "SELECT name FROM patients", {ObjectId{table}}};
}

Index by_city(std::uint32_t id, std::uint32_t table) {
  return {ObjectId{id}, "by_city", ObjectId{table}, false, {{ColumnId{4}, true}}};
}

// A fresh catalog with patients (1), visits (2), by_city (3), adults (4), at positions 1 … 4.
Catalog clinic() {
  Catalog catalog;
  EXPECT_TRUE(catalog.apply(CreateTable{patients(1)}, Position{1}));
  EXPECT_TRUE(catalog.apply(CreateTable{visits(2, 1)}, Position{2}));
  EXPECT_TRUE(catalog.apply(CreateIndex{by_city(3, 1)}, Position{3}));
  EXPECT_TRUE(catalog.apply(CreateView{adults(4, 1)}, Position{4}));
  return catalog;
}

// The code a change is refused with, nothing changed; `internal_bug` if it is not refused at all.
Code refused(Catalog& catalog, const Change& change) {
  const Catalog before = catalog;
  const Status status = catalog.apply(change, Position{100});
  EXPECT_FALSE(status.has_value()) << verb(change);
  EXPECT_EQ(catalog, before) << verb(change);
  return status ? Code::internal_bug : status.error().code();
}

Buffer bytes_of_catalog(const Catalog& catalog) {
  Writer to;
  catalog.encode(to);
  return std::move(to).take();
}

TEST(Catalog, FindsNamesWithoutRegardToCase) {
  const Catalog catalog = clinic();
  ASSERT_NE(catalog.table("PATIENTS"), nullptr);
  EXPECT_EQ(catalog.table("PATIENTS")->id, ObjectId{1});
  EXPECT_EQ(catalog.table("adults"), nullptr);
  ASSERT_NE(catalog.view("Adults"), nullptr);
  ASSERT_NE(catalog.index("BY_city"), nullptr);
  EXPECT_EQ(catalog.view("patients"), nullptr);
  EXPECT_NE(Catalog::column(*catalog.table(ObjectId{1}), "SSN"), nullptr);
  EXPECT_EQ(Catalog::column(*catalog.table(ObjectId{1}), "ssn2"), nullptr);
  EXPECT_EQ(catalog.next_object(), ObjectId{5});
  EXPECT_EQ(catalog.version(), 4U);
}

TEST(Catalog, KnowsEveryObjectAtEveryPosition) {
  Catalog catalog = clinic();
  ASSERT_TRUE(catalog.apply(DropView{ObjectId{4}}, Position{10}));
  ASSERT_TRUE(catalog.apply(RenameTable{ObjectId{1}, "people"}, Position{20}));
  ASSERT_TRUE(catalog.apply(RenameColumn{ObjectId{1}, ColumnId{4}, "town"}, Position{30}));
  ASSERT_TRUE(catalog.apply(DropTable{ObjectId{2}}, Position{40}));
  ASSERT_TRUE(catalog.apply(DropTable{ObjectId{1}}, Position{50}));
  ASSERT_TRUE(catalog.apply(CreateTable{patients(5)}, Position{60}));

  EXPECT_EQ(catalog.table_at("patients", Position{0}), nullptr);
  EXPECT_EQ(catalog.table_at("patients", Position{1})->id, ObjectId{1});
  EXPECT_EQ(catalog.table_at("Patients", Position{19})->id, ObjectId{1});
  EXPECT_EQ(catalog.table_at("patients", Position{20}), nullptr);
  EXPECT_EQ(catalog.table_at("people", Position{20})->id, ObjectId{1});
  EXPECT_EQ(Catalog::column(*catalog.table_at("people", Position{29}), ColumnId{4})->name, "city");
  EXPECT_EQ(Catalog::column(*catalog.table_at("people", Position{30}), ColumnId{4})->name, "town");
  EXPECT_NE(catalog.table_at("people", Position{49}), nullptr);
  EXPECT_EQ(catalog.table_at("people", Position{50}), nullptr);
  EXPECT_EQ(catalog.table_at("patients", Position{59}), nullptr);
  EXPECT_EQ(catalog.table_at("patients", Position{60})->id, ObjectId{5});
  EXPECT_EQ(catalog.table_at(ObjectId{1}, Position{60}), nullptr);
  EXPECT_NE(catalog.view_at("adults", Position{9}), nullptr);
  EXPECT_EQ(catalog.view_at("adults", Position{10}), nullptr);
  EXPECT_NE(catalog.view_at(ObjectId{4}, Position{9}), nullptr);
  EXPECT_EQ(catalog.view_at(ObjectId{4}, Position{10}), nullptr);
  EXPECT_EQ(catalog.view_at(ObjectId{3}, Position{9}), nullptr);
  EXPECT_NE(catalog.index_at(ObjectId{3}, Position{49}), nullptr);
  EXPECT_EQ(catalog.index_at(ObjectId{3}, Position{50}), nullptr);

  EXPECT_EQ(catalog.table("people"), nullptr);
  EXPECT_EQ(catalog.index("by_city"), nullptr) << "an index goes with its table";
  EXPECT_EQ(catalog.tables().size(), 1U);
  EXPECT_EQ(catalog.table_versions().size(), 3U);
}

TEST(Catalog, ReadsOldImagesByCatalogVersion) {
  Catalog catalog;
  ASSERT_FALSE(catalog.apply(CreateTable{visits(1, 1)}, Position{1}))
      << "its foreign key needs a key to refer to";
  Table table = patients(1);
  table.columns.resize(2);
  table.uniques.clear();
  table.checks.clear();
  ASSERT_TRUE(catalog.apply(CreateTable{table}, Position{1}));
  ASSERT_TRUE(catalog.apply(AddColumn{ObjectId{1}, column(3, "x"), {}, {}}, Position{2}));
  ASSERT_TRUE(catalog.apply(DropColumn{ObjectId{1}, ColumnId{3}}, Position{3}));
  ASSERT_TRUE(catalog.apply(AddColumn{ObjectId{1}, column(4, "x"), {}, {}}, Position{4}));

  EXPECT_EQ(catalog.table_in(ObjectId{1}, 0), nullptr);
  EXPECT_EQ(catalog.table_in(ObjectId{1}, 1)->columns.size(), 2U);
  EXPECT_EQ(catalog.table_in(ObjectId{1}, 2)->columns.back().id, ColumnId{3});
  EXPECT_EQ(catalog.table_in(ObjectId{1}, 3)->columns.size(), 2U);
  EXPECT_EQ(catalog.table_in(ObjectId{1}, 9)->columns.back().id, ColumnId{4});
  const std::vector<Column> ever = catalog.columns_ever(ObjectId{1});
  ASSERT_EQ(ever.size(), 4U);
  EXPECT_EQ(ever[2].name, "x");
  EXPECT_EQ(ever[3].name, "x");
  EXPECT_EQ(catalog.next_column(ObjectId{1}), ColumnId{5}) << "ids are never used twice";
  EXPECT_EQ(catalog.next_column(ObjectId{2}), ColumnId{1});
}

TEST(Catalog, DropsChecksThatNameTheColumnAlone) {
  Catalog catalog = clinic();
  ASSERT_TRUE(catalog.apply(DropColumn{ObjectId{1}, ColumnId{5}}, Position{5}));
  EXPECT_TRUE(catalog.table("patients")->checks.empty());
  EXPECT_EQ(catalog.table_at("patients", Position{4})->checks.size(), 1U);
}

TEST(Catalog, RefusesNamesThatAreTakenOrCannotBe) {
  Catalog catalog = clinic();
  EXPECT_EQ(refused(catalog, CreateTable{patients(5)}), Code::constraint_exists);
  Table other = patients(5);
  other.name = "ADULTS";
  EXPECT_EQ(refused(catalog, CreateTable{other}), Code::constraint_exists);
  other.name = "";
  EXPECT_EQ(refused(catalog, CreateTable{other}), Code::sql_misuse);
  other.name = std::string(256, 'a');
  EXPECT_EQ(refused(catalog, CreateTable{other}), Code::limit_name);
  other.name = "\xff";
  EXPECT_EQ(refused(catalog, CreateTable{other}), Code::sql_text);
  other.name = "other";
  other.columns[1].name = "ID";
  EXPECT_EQ(refused(catalog, CreateTable{other}), Code::constraint_exists);
  EXPECT_EQ(refused(catalog, RenameTable{ObjectId{2}, "Patients"}), Code::constraint_exists);
  EXPECT_EQ(refused(catalog, RenameColumn{ObjectId{2}, ColumnId{1}, "LAST"}),
            Code::constraint_exists);
  EXPECT_EQ(refused(catalog, AddColumn{ObjectId{2}, column(6, "Last"), {}, {}}),
            Code::constraint_exists);
  EXPECT_TRUE(catalog.apply(RenameTable{ObjectId{2}, "VISITS"}, Position{5}));
  EXPECT_NE(catalog.table("visits"), nullptr);
  EXPECT_TRUE(catalog.apply(RenameColumn{ObjectId{2}, ColumnId{1}, "ID"}, Position{6}));
}

TEST(Catalog, RefusesIdsThatAreNotTheNextAndObjectsThatAreNotThere) {
  Catalog catalog = clinic();
  Table other = patients(6);
  other.name = "other";
  EXPECT_EQ(refused(catalog, CreateTable{other}), Code::internal_bug);
  EXPECT_EQ(refused(catalog, AddColumn{ObjectId{1}, column(7, "x"), {}, {}}), Code::internal_bug);
  EXPECT_EQ(refused(catalog, DropTable{ObjectId{3}}), Code::not_found_table) << "an index";
  EXPECT_EQ(refused(catalog, RenameTable{ObjectId{9}, "x"}), Code::not_found_table);
  EXPECT_EQ(refused(catalog, DropColumn{ObjectId{1}, ColumnId{9}}), Code::not_found_column);
  EXPECT_EQ(refused(catalog, RenameColumn{ObjectId{1}, ColumnId{9}, "x"}), Code::not_found_column);
  EXPECT_EQ(refused(catalog, DropIndex{ObjectId{1}}), Code::not_found_object);
  EXPECT_EQ(refused(catalog, DropView{ObjectId{1}}), Code::not_found_object);
  Index index = by_city(5, 9);
  index.name = "new";
  EXPECT_EQ(refused(catalog, CreateIndex{index}), Code::not_found_table);
  View view = adults(5, 3);
  view.name = "new";
  EXPECT_EQ(refused(catalog, CreateView{view}), Code::not_found_table);
  const Catalog before = catalog;
  EXPECT_FALSE(catalog.apply(DropView{ObjectId{4}}, Position{3})) << "before the last change";
  EXPECT_EQ(catalog, before);
}

TEST(Catalog, RefusesDefinitionsThatCannotBe) {
  Catalog catalog = clinic();
  const auto with = [](auto change) {
    Table table = patients(5);
    table.name = "other";
    change(table);
    return CreateTable{table};
  };
  EXPECT_EQ(refused(catalog, with([](Table& t) { t.columns.clear(); })), Code::sql_misuse);
  EXPECT_EQ(refused(catalog, with([](Table& t) { t.primary_key = {ColumnId{9}}; })),
            Code::not_found_column);
  EXPECT_EQ(refused(catalog, with([](Table& t) { t.primary_key = {ColumnId{1}, ColumnId{1}}; })),
            Code::sql_misuse);
  EXPECT_EQ(refused(catalog, with([](Table& t) { t.uniques = {{"", {}}}; })), Code::sql_misuse);
  EXPECT_EQ(refused(catalog, with([](Table& t) { t.subject->column = ColumnId{9}; })),
            Code::not_found_column);
  EXPECT_EQ(refused(catalog, with([](Table& t) { t.columns[1].type = {TypeKind::decimal, 2, 3}; })),
            Code::sql_misuse);
  EXPECT_EQ(refused(catalog, with([](Table& t) {
                      for (std::uint32_t id = 6; id <= 1001; ++id) {
                        t.columns.push_back(column(id, "c" + std::to_string(id)));
                      }
                    })),
            Code::limit_columns);
  // A foreign key to columns that are no key, to another number of them, to no table.
  const auto refers = [&](std::vector<ColumnId> from, std::uint32_t parent,
                          std::vector<ColumnId> to) {
    return with([&](Table& t) {
      ForeignKey key;
      key.columns = std::move(from);
      key.parent = ObjectId{parent};
      key.parent_columns = std::move(to);
      t.foreign_keys = {key};
    });
  };
  EXPECT_EQ(refused(catalog, refers({ColumnId{2}}, 1, {ColumnId{4}})), Code::sql_misuse);
  EXPECT_EQ(refused(catalog, refers({ColumnId{2}, ColumnId{3}}, 1, {ColumnId{1}})),
            Code::sql_misuse);
  EXPECT_EQ(refused(catalog, refers({ColumnId{2}}, 9, {ColumnId{1}})), Code::not_found_table);
  EXPECT_TRUE(catalog.check(refers({ColumnId{2}}, 5, {ColumnId{3}}))) << "to itself";
}

TEST(Catalog, DropsNothingThatOthersNeed) {
  Catalog catalog = clinic();
  EXPECT_EQ(refused(catalog, DropTable{ObjectId{1}}), Code::constraint_dependency);
  EXPECT_EQ(refused(catalog, RenameTable{ObjectId{1}, "x"}), Code::constraint_dependency);
  const auto drop = [&](std::uint32_t table, std::uint32_t id) {
    return refused(catalog, DropColumn{ObjectId{table}, ColumnId{id}});
  };
  EXPECT_EQ(drop(1, 1), Code::constraint_dependency) << "primary key";
  EXPECT_EQ(drop(1, 3), Code::constraint_dependency) << "unique";
  EXPECT_EQ(drop(1, 4), Code::constraint_dependency) << "index";
  EXPECT_EQ(drop(1, 2), Code::constraint_dependency) << "view";
  EXPECT_EQ(drop(2, 2), Code::constraint_dependency) << "foreign key";
  EXPECT_EQ(drop(2, 3), Code::constraint_dependency) << "check over two columns";
  EXPECT_EQ(refused(catalog, RenameColumn{ObjectId{1}, ColumnId{2}, "x"}),
            Code::constraint_dependency);
  EXPECT_TRUE(catalog.check(DropColumn{ObjectId{2}, ColumnId{1}}));
  EXPECT_TRUE(catalog.check(RenameColumn{ObjectId{1}, ColumnId{4}, "town"}))
      << "the view does not name it";

  View outer{ObjectId{5}, "outer_view", {}, "SELECT * FROM adults", {ObjectId{4}}};
  ASSERT_TRUE(catalog.apply(CreateView{outer}, Position{5}));
  EXPECT_EQ(refused(catalog, DropView{ObjectId{4}}), Code::constraint_dependency);
  ASSERT_TRUE(catalog.apply(DropView{ObjectId{5}}, Position{6}));
  ASSERT_TRUE(catalog.apply(DropView{ObjectId{4}}, Position{7}));
  ASSERT_TRUE(catalog.apply(DropTable{ObjectId{2}}, Position{8}));
  EXPECT_TRUE(catalog.apply(DropTable{ObjectId{1}}, Position{9}));
}

TEST(Catalog, KeepsTheLastColumnAndTheSubject) {
  Catalog catalog;
  Table table = patients(1);
  table.primary_key.clear();
  table.uniques.clear();
  ASSERT_TRUE(catalog.apply(CreateTable{table}, Position{1}));
  EXPECT_EQ(refused(catalog, DropColumn{ObjectId{1}, ColumnId{1}}), Code::constraint_dependency);
  Table small;
  small.id = ObjectId{2};
  small.name = "small";
  small.columns = {column(1, "a")};
  ASSERT_TRUE(catalog.apply(CreateTable{small}, Position{2}));
  EXPECT_EQ(refused(catalog, DropColumn{ObjectId{2}, ColumnId{1}}), Code::constraint_dependency);
}

TEST(Catalog, NamesTheNearest) {
  const Catalog catalog = clinic();
  EXPECT_EQ(catalog.nearest_table("pateints"), "patients");
  EXPECT_EQ(catalog.nearest_table("PATIENT"), "patients");
  EXPECT_EQ(catalog.nearest_table("adult"), "adults");
  EXPECT_EQ(catalog.nearest_table("invoices"), "");
  EXPECT_EQ(catalog.nearest_table(""), "");
  EXPECT_EQ(catalog.nearest_table(std::string(100'000, 'p')), "");
  EXPECT_EQ(Catalog::nearest_column(*catalog.table("patients"), "ctiy"), "city");
  EXPECT_EQ(Catalog::nearest_column(*catalog.table("patients"), "zzz"), "");
}

TEST(Expression, TellsColumnsFromText) {
  EXPECT_TRUE(mentions("\"@12\" + 1", ColumnId{12}));
  EXPECT_FALSE(mentions("\"@12\" + 1", ColumnId{1}));
  EXPECT_FALSE(mentions("'\"@12\"'", ColumnId{12}));
  EXPECT_FALSE(mentions("'it''s \"@12\"'", ColumnId{12}));
  EXPECT_TRUE(mentions("'it''s' || \"@12\"", ColumnId{12}));
  EXPECT_FALSE(mentions("\"x\"\"@12\"", ColumnId{12}));
  EXPECT_FALSE(mentions("\"@12", ColumnId{1}));
  EXPECT_TRUE(mentions_other("\"@1\" < \"@2\"", ColumnId{1}));
  EXPECT_FALSE(mentions_other("\"@1\" < \"@1\"", ColumnId{1}));
  EXPECT_TRUE(might_name("SELECT Name FROM t", "name"));
  EXPECT_FALSE(might_name("SELECT surname FROM t", "name"));
  EXPECT_TRUE(might_name("SELECT * FROM t", "name"));
}

TEST(Catalog, RoundTripsAndAcceptsNoOtherBytes) {
  Catalog catalog = clinic();
  ASSERT_TRUE(catalog.apply(DropView{ObjectId{4}}, Position{10}));
  ASSERT_TRUE(catalog.apply(RenameTable{ObjectId{1}, "people"}, Position{20}));
  ASSERT_TRUE(catalog.apply(DropTable{ObjectId{2}}, Position{40}));
  const Buffer bytes = bytes_of_catalog(catalog);
  Reader from{bytes};
  const Result<Catalog> decoded = Catalog::decode(from);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_TRUE(from.finished());
  EXPECT_EQ(*decoded, catalog);

  std::size_t accepted = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const unsigned flip : {0x01U, 0x80U, 0xFFU}) {
      Buffer changed = bytes;
      changed[at] ^= static_cast<std::byte>(flip);
      Reader mutated{changed};
      const Result<Catalog> other = Catalog::decode(mutated);
      if (!other || !mutated.finished()) continue;
      ++accepted;
      ASSERT_EQ(bytes_of_catalog(*other), changed) << "byte " << at;
      ASSERT_NE(*other, catalog) << "byte " << at;
    }
  }
  EXPECT_LT(accepted, bytes.size() * 2) << "flips in names are other catalogs, most others none";
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Reader cut{Bytes{bytes}.first(size)};
    EXPECT_FALSE(Catalog::decode(cut).has_value()) << size;
  }
}

TEST(Change, RoundTripsAndAcceptsNoOtherBytes) {
  ForeignKey key;
  key.columns = {ColumnId{6}};
  key.parent = ObjectId{1};
  key.parent_columns = {ColumnId{1}};
  key.deferred = true;
  const std::vector<Change> changes = {
      CreateTable{patients(1)},
      CreateTable{visits(2, 1)},
      DropTable{ObjectId{7}},
      RenameTable{ObjectId{1}, "people"},
      AddColumn{ObjectId{1}, column(6, "x"), {{"c", "\"@6\" > 0"}}, {key}},
      DropColumn{ObjectId{1}, ColumnId{2}},
      RenameColumn{ObjectId{1}, ColumnId{2}, "y"},
      CreateIndex{by_city(3, 1)},
      DropIndex{ObjectId{3}},
      CreateView{adults(4, 1)},
      DropView{ObjectId{4}},
  };
  for (const Change& change : changes) {
    const Buffer bytes = encode_change(change);
    const Result<Change> decoded = decode_change(bytes);
    ASSERT_TRUE(decoded.has_value()) << verb(change);
    EXPECT_EQ(*decoded, change) << verb(change);
    Buffer longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(decode_change(longer).has_value()) << verb(change);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_change(Bytes{bytes}.first(size)).has_value()) << verb(change);
    }
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (unsigned flip = 1; flip < 256; ++flip) {
        Buffer changed = bytes;
        changed[at] ^= static_cast<std::byte>(flip);
        const Result<Change> other = decode_change(changed);
        if (other) {
          ASSERT_EQ(encode_change(*other), changed) << verb(change) << " byte " << at;
        }
      }
    }
  }
}

}  // namespace
}  // namespace kimberlite::catalog
