#include "support/world.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>

#include "sql/analyze.hpp"
#include "sql/statement.hpp"
#include "sql/types.hpp"

namespace kimberlite::projection::test {

std::vector<ValueView> views(const std::vector<Value>& values) {
  std::vector<ValueView> out;
  out.reserve(values.size());
  for (const Value& value : values) out.push_back(view(value));
  return out;
}

// ---- Log ------------------------------------------------------------------------------------

Result<OpenedRecord> Log::read(Position position) {
  if (position.value() == 0 || position.value() > records.size()) {
    return Error{Code::not_found_position, "beyond the head"};
  }
  ++reads;
  const Kept& kept = records[position.value() - 1];
  OpenedRecord record;
  record.entry = kept.entry;
  record.leaf = kept.leaf;
  record.storage.push_back(kept.plaintext);
  OpenedItem item;
  item.header = kept.header;
  if (erased.contains(position)) {
    item.erased = true;
    record.items.push_back(std::move(item));
    return record;
  }
  KIMBERLITE_TRY(item.plaintext, record::decode_plaintext(kept.header, record.storage.back()));
  record.items.push_back(std::move(item));
  return record;
}

Result<std::unique_ptr<Receipts>> Log::receipts(Position at_least) {
  class Texts final : public Receipts {
   public:
    explicit Texts(Position size) : size_(size) {}
    Result<std::string> of(Position position) override {
      return fmt::format("record {} of {}", position.value(), size_.value());
    }

   private:
    Position size_;
  };
  return std::make_unique<Texts>(at_least);
}

Result<std::unique_ptr<LogHeads>> Log::heads() {
  class Listed final : public LogHeads {
   public:
    explicit Listed(std::vector<LogHead> heads) : heads_(std::move(heads)) {}
    std::uint64_t count() const override { return heads_.size(); }
    Result<LogHead> read(std::uint64_t index) override { return heads_.at(index); }

   private:
    std::vector<LogHead> heads_;
  };
  return std::make_unique<Listed>(signed_heads);
}

std::string Log::actor_name(const Id128& /*actor*/) { return "alice"; }
std::string_view Log::kind_name(std::uint16_t kind) { return kind == 3 ? "ddl" : "write"; }

Result<std::optional<catalog::Change>> Log::schema_change(Bytes control) {
  KIMBERLITE_TRY(catalog::Change change, catalog::decode_change(control));
  return std::optional{std::move(change)};
}

// ---- Disk -----------------------------------------------------------------------------------

Disk::Disk() : env_(platform::ExecutorOptions{}) {
  const std::array<std::byte, crypto::Key256::size> key{std::byte{7}};
  auto made = Vfs::make(env_.env(), "projection.db", crypto::Key256{key}, Id128{});
  if (!made) {
    ADD_FAILURE() << to_string(made.error());
    std::abort();
  }
  vfs_ = *std::move(made);
}

// ---- Replay ---------------------------------------------------------------------------------

void replay(Projection& projection, const Log& log, std::size_t batch) {
  while (projection.applied().value() < log.records.size()) {
    ASSERT_TRUE(projection.begin_replay().has_value());
    const std::size_t from = projection.applied().value();
    const std::size_t to = std::min(from + batch, log.records.size());
    for (std::size_t i = from; i < to; ++i) {
      const Kept& kept = log.records[i];
      const auto plaintext = record::decode_plaintext(kept.header, kept.plaintext);
      ASSERT_TRUE(plaintext.has_value());
      StreamAdvance advance{kept.header.stream, kept.stream, kept.header.first_sequence,
                            kept.header.count};
      Opened opened;
      opened.ddl = kept.ddl ? &*kept.ddl : nullptr;
      opened.changes = plaintext->changes;
      if (kept.header.kind == record::ItemKind::events) opened.streams = {&advance, 1};
      const Status applied = projection.apply(kept.entry, opened);
      ASSERT_TRUE(applied.has_value()) << to_string(applied.error());
    }
    ASSERT_TRUE(projection.commit_replay().has_value());
  }
}

// ---- World ----------------------------------------------------------------------------------

World::World() { reopen(); }

void World::reopen() {
  reader_.reset();
  projection_.reset();
  auto opened = Projection::open(disk.env(), disk.location(), &log);
  if (!opened) {
    ADD_FAILURE() << to_string(opened.error());
    std::abort();
  }
  projection_ = *std::move(opened);
}

Reader& World::reader() {
  if (reader_ == nullptr) {
    auto opened = Reader::open(disk.env(), disk.location(), &log);
    if (!opened) {
      ADD_FAILURE() << to_string(opened.error());
      std::abort();
    }
    reader_ = *std::move(opened);
  }
  return *reader_;
}

const record::Entry& World::keep(std::span<const RowChange> changes,
                                 std::optional<catalog::Change> ddl, TimestampUs time) {
  Kept kept;
  kept.entry.position = Position{log.records.size() + 1};
  kept.entry.timestamp = time;
  kept.entry.kind = ddl ? 3 : 1;
  kept.entry.item_count = 1;
  kept.entry.catalog_version = projection_->catalog()->version();
  kept.entry.request_id[15] = static_cast<std::byte>(log.records.size());
  kept.entry.request_id[14] = static_cast<std::byte>(log.records.size() >> 8U);
  kept.entry.request_id[0] = std::byte{1};
  record::PlaintextWriter writer(ddl               ? record::ItemKind::control
                                 : changes.empty() ? record::ItemKind::meta
                                                   : record::ItemKind::rows);
  record::Meta meta;
  meta.reason = "because";
  meta.statement = ddl ? "DDL" : "DML";
  writer.meta(meta);
  for (const RowChange& change : changes) writer.change(change);
  if (ddl) {
    const Buffer encoded = catalog::encode_change(*ddl);
    writer.control(encoded);
  }
  kept.header.kind = writer.kind();
  kept.header.count = writer.count();
  kept.header.flags = writer.flags();
  kept.plaintext = std::move(writer).finish();
  kept.ddl = std::move(ddl);
  log.records.push_back(std::move(kept));
  return log.records.back().entry;
}

void World::after_commit() {
  if (!keep_dumps) return;
  auto text = projection_->dump(projection_->applied());
  ASSERT_TRUE(text.has_value()) << to_string(text.error());
  dumps_[projection_->applied().value()] = *std::move(text);
}

Result<std::size_t> World::attempt(const std::vector<std::string>& statements,
                                   const std::vector<Value>& parameters) {
  const std::vector<ValueView> given = views(parameters);
  const TimestampUs time = tick();
  KIMBERLITE_CHECK(projection_->begin_batch(projection_->applied()));
  Status done = projection_->begin_request({Position{projection_->applied().value() + 1}, time},
                                           statements.size() > 1);
  for (std::size_t i = 0; done && i < statements.size(); ++i) {
    const auto parsed = sql::parse(statements[i]);
    if (!parsed) {
      done = parsed.error();
    } else if (parsed->kind == sql::StatementKind::savepoint) {
      done = projection_->savepoint(parsed->name.name);
    } else if (parsed->kind == sql::StatementKind::release) {
      done = projection_->release(parsed->name.name);
    } else if (parsed->kind == sql::StatementKind::rollback_to) {
      done = projection_->rollback_to(parsed->name.name);
    } else if (auto result = projection_->evaluate(Query::of(*parsed), given, Budget{}); !result) {
      done = result.error();
    }
  }
  if (!done) {
    projection_->undo_request();
    projection_->rollback_batch();
    return done.error();
  }
  const auto changes = projection_->finish_request();
  if (!changes) {
    projection_->rollback_batch();
    return changes.error();
  }
  const std::size_t count = changes->size();
  if (count == 0) {
    projection_->rollback_batch();
    return count;
  }
  const Committed committed{&keep(*changes, std::nullopt, time), {}};
  KIMBERLITE_CHECK(projection_->commit_batch({&committed, 1}));
  after_commit();
  return count;
}

std::size_t World::run(std::string_view sql, const std::vector<Value>& parameters) {
  const auto done = attempt({std::string{sql}}, parameters);
  EXPECT_TRUE(done.has_value()) << sql << ": " << to_string(done.error());
  return done ? *done : 0;
}

std::size_t World::run_all(const std::vector<std::string>& statements) {
  const auto done = attempt(statements);
  EXPECT_TRUE(done.has_value()) << to_string(done.error());
  return done ? *done : 0;
}

Error World::refuse(std::string_view sql, const std::vector<Value>& parameters) {
  const auto done = attempt({std::string{sql}}, parameters);
  EXPECT_FALSE(done.has_value()) << sql;
  return done ? Error{Code::internal_bug, "not refused"} : done.error();
}

Status World::attempt_change(const catalog::Change& change) {
  const TimestampUs time = tick();
  KIMBERLITE_CHECK(projection_->begin_batch(projection_->applied()));
  Status done =
      projection_->begin_request({Position{projection_->applied().value() + 1}, time}, false);
  if (done) done = projection_->evaluate_ddl(change);
  if (!done) {
    projection_->undo_request();
    projection_->rollback_batch();
    return done;
  }
  const auto finished = projection_->finish_request();
  EXPECT_TRUE(finished.has_value() && finished->empty());
  const Committed committed{&keep({}, change, time), {}};
  KIMBERLITE_CHECK(projection_->commit_batch({&committed, 1}));
  after_commit();
  return {};
}

Status World::attempt_ddl(std::string_view sql) {
  KIMBERLITE_TRY(const sql::Statement statement, sql::parse(sql));
  KIMBERLITE_TRY(
      const sql::Resolved resolved,
      sql::resolve(statement, *projection_->catalog(), [](std::string_view) { return false; }));
  if (!resolved.change) return {};
  return attempt_change(*resolved.change);
}

void World::ddl(std::string_view sql) {
  const Status done = attempt_ddl(sql);
  EXPECT_TRUE(done.has_value()) << sql << ": " << to_string(done.error());
}

void World::append(const std::string& stream,
                   const std::vector<std::pair<std::string, std::string>>& events) {
  const bool fresh = !streams_.contains(stream);
  auto& [id, next] = streams_[stream];
  if (fresh) id = StreamId{streams_.size()};
  keep({}, std::nullopt, tick());
  Kept& kept = log.records.back();
  kept.entry.kind = 2;
  record::PlaintextWriter writer(record::ItemKind::events);
  for (const auto& [kind, payload] : events) {
    writer.event({kind, ValueView{std::string_view{payload}}});
  }
  kept.header.kind = writer.kind();
  kept.header.count = writer.count();
  kept.header.flags = writer.flags();
  kept.header.stream = id;
  kept.header.first_sequence = Sequence{next};
  kept.plaintext = std::move(writer).finish();
  kept.stream = fresh ? stream : "";
  next += events.size();
  replay(*projection_, log);
  after_commit();
}

Result<std::vector<std::string>> rows_of(Reader& reader, std::string_view sql,
                                         const std::vector<Value>& parameters,
                                         const ReadContext& context) {
  const std::vector<ValueView> given = views(parameters);
  KIMBERLITE_TRY(const sql::Statement statement, sql::parse(sql));
  KIMBERLITE_TRY(const auto cursor, reader.query(Query::of(statement), given, context));
  std::vector<std::string> rows;
  for (;;) {
    KIMBERLITE_TRY(const bool row, cursor->next());
    if (!row) return rows;
    std::string text;
    for (std::size_t i = 0; i < cursor->row().size(); ++i) {
      if (cursor->columns()[i].name.ends_with("__receipt")) continue;
      const ValueView value = cursor->row()[i];
      text += i == 0 ? "" : "|";
      text += is_null(value) ? "NULL" : sql::print(value);
    }
    rows.push_back(std::move(text));
  }
}

Result<std::string> World::try_query(std::string_view sql, const std::vector<Value>& parameters,
                                     std::optional<Position> as_of) {
  ReadContext context;
  context.as_of = as_of;
  context.now = TimestampUs{now_};
  KIMBERLITE_TRY(const auto rows, rows_of(reader(), sql, parameters, context));
  return fmt::format("{}", fmt::join(rows, ";"));
}

std::string World::query(std::string_view sql, const std::vector<Value>& parameters,
                         std::optional<Position> as_of) {
  auto rows = try_query(sql, parameters, as_of);
  EXPECT_TRUE(rows.has_value()) << sql << ": " << to_string(rows.error());
  return rows ? *rows : "ERROR";
}

}  // namespace kimberlite::projection::test
