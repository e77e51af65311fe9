// Reading a projection: a connection of its own beside the writer's, at one position a query.
//
// A query sees the snapshot that was committed last when it began, whatever the writer does
// meanwhile. Statements are kept prepared by their text; a hit is not parsed, rewritten or prepared
// again. Thread rule: one thread at a time each, any thread; the engine pools them. A cursor
// borrows its reader, which has one open cursor at a time, and outlives it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "projection/log_source.hpp"
#include "projection/projection.hpp"

namespace kimberlite::projection {

// How a query is answered, beside its text.
struct ReadContext {
  std::optional<Position> as_of;  // SET AS OF, or the API's snapshot: every table without its own
  TimestampUs now;                // NOW()
  Budget budget;
};

// Rows of one query. Values of a row are valid until the next `next()`. Destroying it ends the
// query.
class Cursor {
 public:
  virtual ~Cursor() = default;
  [[nodiscard]] virtual std::span<const ResultColumn> columns() const = 0;
  // False: no more rows. `limit.rows`, `limit.memory`, `timeout.statement`, `interrupted.signal`.
  [[nodiscard]] virtual Result<bool> next() = 0;
  [[nodiscard]] virtual std::span<const ValueView> row() const = 0;
  // The position the answer is of (the context's `as_of`, else the snapshot's), and its record's
  // time.
  [[nodiscard]] virtual Result<At> answered() = 0;
  // The text, or a view in it, says as of when.
  [[nodiscard]] virtual bool reads_time() const = 0;
};

class Reader {
 public:
  // `log` may be null: then there is nothing to see in `__events`, and no reasons.
  [[nodiscard]] static Result<std::unique_ptr<Reader>> open(env::Env env, Location location,
                                                            LogSource* log);
  virtual ~Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Anything but a SELECT or VALUES is `sql.read_only`, unless it is only explained.
  [[nodiscard]] virtual Result<std::unique_ptr<Cursor>> query(const Query& query,
                                                              std::span<const ValueView> parameters,
                                                              const ReadContext& context) = 0;
  // Of the latest snapshot.
  [[nodiscard]] virtual Result<At> head() = 0;
  [[nodiscard]] virtual Result<Position> position_at(TimestampUs time) const = 0;
  // Which record holds the event, or the first after it; nothing beyond the stream's end.
  struct StreamPlace {
    Position position;
    Sequence first_sequence;
  };
  [[nodiscard]] virtual Result<std::vector<StreamPlace>> stream_places(StreamId stream,
                                                                       Sequence from,
                                                                       std::size_t limit) = 0;
  [[nodiscard]] virtual Result<std::optional<KnownStream>> find_stream(std::string_view name) = 0;
  // As of the latest snapshot.
  [[nodiscard]] virtual Result<std::shared_ptr<const catalog::Catalog>> catalog() = 0;

  // A table as of `at`, and every version superseded by then, held against `derived`: a projection
  // of the same log whose last record is `at`, with the changes of this table at least. Not beyond
  // the head.
  [[nodiscard]] virtual Result<TableCheck> check_table(ObjectId table, Position at,
                                                       Projection& derived,
                                                       const Budget& budget) = 0;
  // The projection's own tables held against those of `derived`, whose last record is this one's
  // too. Only those that differ.
  [[nodiscard]] virtual Result<std::vector<OwnTableCheck>> check_own_tables(
      Projection& derived, const Budget& budget) = 0;

 protected:
  Reader() = default;
};

}  // namespace kimberlite::projection
