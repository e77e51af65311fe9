// VERIFY TABLE: the table derived from the log again, and held against what the projection shows.
#include "session.hpp"
#include "sql/rewrite.hpp"
#include "sql/system_tables.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::uint64_t records_between_looks = 64;

// A reader that goes back to its tenant.
class Borrowed {
 public:
  Borrowed(Tenant& tenant, std::unique_ptr<projection::Reader> reader)
      : tenant_(tenant), reader_(std::move(reader)) {}
  ~Borrowed() { tenant_.give_reader(std::move(reader_)); }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  projection::Reader* operator->() { return reader_.get(); }
  projection::Reader& operator*() { return *reader_; }

 private:
  Tenant& tenant_;
  std::unique_ptr<projection::Reader> reader_;
};

Result<const catalog::Table*> find_table(const catalog::Catalog& catalog,
                                         const sql::Statement& statement, Position at) {
  const std::string& name = statement.name.name;
  const std::string place = sql::where(statement.text, statement.name.offset);
  if (const catalog::Table* table = catalog.table_at(name, at)) return table;
  const bool system = sql::system_table(name) != nullptr;
  if (system || catalog.view_at(name, at) != nullptr) {
    return Error{Code::sql_unsupported, "VERIFY TABLE of {} is not in the dialect",
                 system ? "a system table" : "a view"}
        .where("{}", place)
        .next("VERIFY TABLE of the tables it reads");
  }
  if (catalog.table(name) != nullptr || catalog.view(name) != nullptr) {
    return Error{Code::not_found_then, "{} did not exist at position {}", sql::display_name(name),
                 at.value()}
        .where("{}", place)
        .next("SELECT * FROM __schema_history shows when it came");
  }
  const std::string near = catalog.nearest_table(name);
  return Error{Code::not_found_table, "there is no table {}", sql::display_name(name)}
      .where("{}", place)
      .next("{}", near.empty() ? "SHOW TABLES lists them" : "did you mean " + near + "?");
}

Error differs(const std::string& table, const projection::TableCheck& check) {
  return Error{Code::integrity_projection, "{}", check.named.front().what}
      .where("table {}, {}", table, place_of(check.named.front()))
      .why("{} difference{}, this the first by key", check.differences,
           check.differences == 1 ? "" : "s")
      .next(
          "kimberlite verify --projection looks at all tables; the projection is derived: it can "
          "be deleted and is rebuilt from the log");
}

}  // namespace

Result<projection::At> LocalSession::verified_position(projection::Reader& reader,
                                                       const sql::Statement& statement,
                                                       std::span<const ValueView> parameters,
                                                       const AsOf& as_of, TimestampUs now) {
  KIMBERLITE_TRY(const projection::At head, reader.head());
  Position at = head.position;
  const sql::Token& first = statement.tokens.front();
  if (first.is(sql::TokenKind::end)) {
    if (const auto* position = std::get_if<Position>(&as_of)) at = *position;
    if (const auto* time = std::get_if<TimestampUs>(&as_of)) {
      KIMBERLITE_TRY(at, position_of(reader, *time));
    }
  } else if (!first.is(sql::Keyword::latest)) {
    KIMBERLITE_TRY(at, resolve(reader, statement, parameters, now));
  }
  if (at == head.position || at.value() == 0) return projection::At{at, head.now};
  KIMBERLITE_TRY(const projection::OpenedRecord record, tenant_.records().read(at));
  return projection::At{at, record.entry.timestamp};
}

// Each record is whole and holds the leaf of the one before it, so that the last one's place in the
// tree proves them all.
Status LocalSession::rebuild(Rebuilt& rebuilt, Position to, const projection::Budget& budget) {
  Hash previous{};
  for (std::uint64_t at = 1; at <= to.value(); ++at) {
    if (at % records_between_looks == 0) {
      KIMBERLITE_CHECK(projection::go_on(budget, core_.env().clock));
    }
    KIMBERLITE_TRY(const projection::OpenedRecord record,
                   tenant_.records().read_whole(Position{at}));
    if (record.entry.previous != previous) {
      return Error{Code::integrity_chain, "a record does not follow from the one before it"}
          .where("tenant {}, position {}", tenant_.id().value(), at)
          .why("it holds {}, the one before is {}", to_hex(record.entry.previous), to_hex(previous))
          .next("kimberlite verify says where the log differs; restore it from a backup");
    }
    previous = record.leaf;
    KIMBERLITE_CHECK(rebuilt.apply(record));
  }
  KIMBERLITE_CHECK(tenant_.records().prove(to, previous));
  return rebuilt.finish();
}

Result<projection::Evaluated> LocalSession::verify_table(const Parsed& parsed,
                                                         const Statement& statement,
                                                         const AsOf& as_of,
                                                         const ReadLimits& limits,
                                                         projection::At& answered) {
  KIMBERLITE_CHECK(core_.confirm_read());
  TimestampUs now = core_.wall_time();
  if (parsed.reads_time) {
    KIMBERLITE_TRY(now, settle_time());
  }
  KIMBERLITE_TRY(auto taken, tenant_.take_reader());
  Borrowed reader{tenant_, std::move(taken)};
  std::vector<ValueView> values;
  for (const Value& value : statement.parameters) values.push_back(view(value));
  KIMBERLITE_TRY(answered, verified_position(*reader, parsed.statement, values, as_of, now));
  KIMBERLITE_TRY(const auto catalog, reader->catalog());
  KIMBERLITE_TRY(const catalog::Table* table,
                 find_table(*catalog, parsed.statement, answered.position));

  const projection::Budget bounds = budget(limits);
  KIMBERLITE_TRY(const auto rebuilt, Rebuilt::make(tenant_.records(), table->id));
  KIMBERLITE_CHECK(rebuild(*rebuilt, answered.position, bounds));
  KIMBERLITE_TRY(const projection::TableCheck check,
                 reader->check_table(table->id, answered.position, rebuilt->projection(), bounds));
  if (check.differences > 0) return differs(table->name, check);

  const std::optional<catalog::Type> text{catalog::Type{catalog::TypeKind::text}};
  const std::optional<catalog::Type> number{catalog::Type{catalog::TypeKind::bigint}};
  projection::Evaluated verdict;
  verdict.columns = {{"table", text},
                     {"position", number},
                     {"rows", number},
                     {"records", number},
                     {"digest", text}};
  const auto position = static_cast<std::int64_t>(answered.position.value());
  // Every record up to the position was read: as many as the position says.
  verdict.rows.push_back({table->name, position, static_cast<std::int64_t>(check.rows), position,
                          to_hex(check.digest)});
  return verdict;
}

}  // namespace kimberlite::engine
