// Any text as a statement: refused with an error that has its parts, or read; DDL that resolves is
// applied, and what is rendered of it parses and resolves to the same change.
#include <cstdio>
#include <cstdlib>

#include "base/bytes.hpp"
#include "sql/analyze.hpp"
#include "sql/script.hpp"

using namespace kimberlite;

namespace {

bool no_streams(std::string_view) { return false; }

void require(bool condition, std::string_view what, std::string_view text) {
  if (condition) return;
  std::fprintf(stderr, "%.*s: [%.*s]\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(text.size()), text.data());
  std::abort();
}

const catalog::Catalog& clinic() {
  static const catalog::Catalog made = [] {
    catalog::Catalog catalog;
    std::uint64_t position = 0;
    for (const std::string_view text :
         {"CREATE TABLE p (id BIGINT PRIMARY KEY, a TEXT UNIQUE, b DECIMAL(10,2), c DATE)",
          "CREATE TABLE v (id BIGINT PRIMARY KEY, p BIGINT REFERENCES p, d TEXT CHECK (d <> ''))",
          "CREATE INDEX i ON v (p)", "CREATE VIEW w AS SELECT a FROM p"}) {
      const auto statement = sql::parse(text);
      require(statement.has_value(), "parse", text);
      const auto resolved = sql::resolve(*statement, catalog, no_streams);
      require(resolved && resolved->change, "resolve", text);
      require(catalog.apply(*resolved->change, Position{++position}).has_value(), "apply", text);
    }
    return catalog;
  }();
  return made;
}

void check_ddl(std::string_view text, const sql::Statement& statement) {
  const catalog::Catalog& before = clinic();
  const auto resolved = sql::resolve(statement, before, no_streams);
  if (!resolved) {
    require(!resolved.error().where().empty(), "an error without place", text);
    return;
  }
  if (!resolved->change) return;
  catalog::Catalog after = before;
  const Position at{100};
  require(after.apply(*resolved->change, at).has_value(), "the catalog refuses", text);
  const std::string rendered = sql::render(*resolved->change, after, at);
  const auto again = sql::parse(rendered);
  require(again.has_value(), "rendered text does not parse", rendered);
  const auto same = sql::resolve(*again, before, no_streams);
  require(same && same->change, "rendered text does not resolve", rendered);
  require(*same->change == *resolved->change, "rendered text says something else", rendered);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(std::as_bytes(std::span{data, size}));
  for (const sql::Piece& piece : sql::split(text)) {
    require(text.substr(piece.offset, piece.text.size()) == piece.text, "a piece elsewhere", text);
  }
  const auto statement = sql::parse(text);
  if (!statement) {
    require(!statement.error().what().empty() && !statement.error().next().empty(),
            "an error without parts", text);
    return 0;
  }
  require(sql::without_literals(text).has_value(), "literals", text);
  if (statement->ddl) check_ddl(text, *statement);
  return 0;
}
