// Test support: a projection with the log that stands behind it, driven by SQL text.
//
// A `World` is a leader: it evaluates statements as the engine does, one request a batch unless
// told otherwise, keeps every record it made, and can bring them into another projection.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "platform/env.hpp"
#include "projection/projection.hpp"
#include "projection/reader.hpp"

namespace kimberlite::projection::test {

// A record as the log would hold it, opened.
struct Kept {
  record::Entry entry;
  Hash leaf{};
  std::optional<catalog::Change> ddl;
  Buffer plaintext;  // of the rows item
  record::ItemHeader header;
  std::string stream;  // of an append
  Sequence first_sequence;
  std::string reason;
};

class Log final : public LogSource {
 public:
  [[nodiscard]] Result<OpenedRecord> read(Position position) override;
  // There are no frames here to prove anything of.
  [[nodiscard]] Result<OpenedRecord> read_proved(Position position) override {
    return read(position);
  }
  // "record 3 of 7": there is no tree either.
  [[nodiscard]] Result<std::unique_ptr<Receipts>> receipts(Position at_least) override;
  [[nodiscard]] std::string actor_name(const Id128& actor) override;
  [[nodiscard]] std::string_view kind_name(std::uint16_t kind) override;
  [[nodiscard]] Result<std::optional<catalog::Change>> schema_change(Bytes control) override;

  [[nodiscard]] Result<std::unique_ptr<LogHeads>> heads() override;

  std::deque<Kept> records;  // of positions 1, 2, …
  std::vector<LogHead> signed_heads;
  std::uint64_t reads = 0;
  std::set<Position> erased;  // the key of their item is gone
};

// A sealed database of its own, in memory.
class Disk {
 public:
  Disk();
  [[nodiscard]] Location location() const { return Location::of(*vfs_); }
  [[nodiscard]] env::Env env() { return env_.env(); }

 private:
  platform::MemoryEnv env_;
  std::unique_ptr<Vfs> vfs_;
};

// Brings every record of `log` beyond `projection`'s into it, `batch` records a transaction.
void replay(Projection& projection, const Log& log, std::size_t batch = 7);

class World {
 public:
  World();

  // Fails the test unless the statements, one request, succeed; the number of row changes.
  std::size_t run(std::string_view sql, const std::vector<Value>& parameters = {});
  std::size_t run_all(const std::vector<std::string>& statements);
  // Fails the test unless they are refused.
  Error refuse(std::string_view sql, const std::vector<Value>& parameters = {});
  // One request of its own batch; commits what it changed.
  Result<std::size_t> attempt(const std::vector<std::string>& statements,
                              const std::vector<Value>& parameters = {});
  // DDL text, or a change made by hand.
  Status attempt_ddl(std::string_view sql);
  void ddl(std::string_view sql);
  Status attempt_change(const catalog::Change& change);
  void append(const std::string& stream,
              const std::vector<std::pair<std::string, std::string>>& events);

  // Rows of a query as text, "a|b;c|d"; NULL is "NULL".
  std::string query(std::string_view sql, const std::vector<Value>& parameters = {},
                    std::optional<Position> as_of = std::nullopt);
  Result<std::string> try_query(std::string_view sql, const std::vector<Value>& parameters = {},
                                std::optional<Position> as_of = std::nullopt);

  [[nodiscard]] Position head() const { return projection().applied(); }
  [[nodiscard]] Projection& projection() const { return *projection_; }
  [[nodiscard]] Reader& reader();
  [[nodiscard]] const std::string& dump_at(Position position) const {
    return dumps_.at(position.value());
  }
  // Closes and opens the projection again.
  void reopen();

  // Seals what a finished request changed into the log, for `commit_batch`.
  const record::Entry& keep(std::span<const RowChange> changes, std::optional<catalog::Change> ddl,
                            TimestampUs time);
  [[nodiscard]] TimestampUs tick() { return TimestampUs{now_ += 1000}; }

  Disk disk;
  Log log;
  bool keep_dumps = false;  // of every position, as it was current

 private:
  void after_commit();

  std::unique_ptr<Projection> projection_;
  std::unique_ptr<Reader> reader_;
  std::map<std::uint64_t, std::string> dumps_;
  std::map<std::string, std::pair<StreamId, std::uint64_t>> streams_;
  std::uint64_t now_ = 1'700'000'000'000'000;
};

// The rows of a query, each as text, NULL as "NULL"; receipts of a VERIFY SELECT are left out.
Result<std::vector<std::string>> rows_of(Reader& reader, std::string_view sql,
                                         const std::vector<Value>& parameters,
                                         const ReadContext& context);

// Parameters as views.
std::vector<ValueView> views(const std::vector<Value>& values);

}  // namespace kimberlite::projection::test
