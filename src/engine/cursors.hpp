// What a query gives its caller to read by. Thread rule: one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/database.hpp"
#include "projection/reader.hpp"
#include "tenant.hpp"

namespace kimberlite::engine {

// Rows of a reader's connection; gives the reader back when it ends.
class ReaderCursor final : public Cursor {
 public:
  ReaderCursor(Tenant& tenant, std::unique_ptr<projection::Reader> reader,
               std::unique_ptr<projection::Cursor> cursor, projection::At at,
               std::shared_ptr<const void> statement)
      : tenant_(tenant),
        statement_(std::move(statement)),
        reader_(std::move(reader)),
        cursor_(std::move(cursor)),
        at_(at) {
    for (const projection::ResultColumn& column : cursor_->columns()) {
      columns_.push_back({column.name, column.type});
    }
  }
  ~ReaderCursor() override {
    cursor_.reset();
    tenant_.give_reader(std::move(reader_));
  }
  const std::vector<ColumnInfo>& columns() const override { return columns_; }
  Result<bool> next() override { return cursor_->next(); }
  std::span<const ValueView> row() const override { return cursor_->row(); }
  Position position() const override { return at_.position; }
  TimestampUs timestamp() const override { return at_.now; }

 private:
  Tenant& tenant_;
  std::shared_ptr<const void> statement_;
  std::unique_ptr<projection::Reader> reader_;
  std::unique_ptr<projection::Cursor> cursor_;
  projection::At at_;
  std::vector<ColumnInfo> columns_;
};

// Rows that are all here already: a read inside a transaction, which is of no position, or what
// VERIFY TABLE says.
class RowsCursor final : public Cursor {
 public:
  explicit RowsCursor(projection::Evaluated&& evaluated, const projection::At& at = {})
      : rows_(std::move(evaluated.rows)), at_(at) {
    for (projection::ResultColumn& column : evaluated.columns) {
      columns_.push_back({std::move(column.name), column.type});
    }
  }
  const std::vector<ColumnInfo>& columns() const override { return columns_; }
  Result<bool> next() override {
    if (next_ == rows_.size()) return false;
    views_.clear();
    for (const Value& value : rows_[next_]) views_.push_back(view(value));
    ++next_;
    return true;
  }
  std::span<const ValueView> row() const override { return views_; }
  Position position() const override { return at_.position; }
  TimestampUs timestamp() const override { return at_.now; }

 private:
  std::vector<ColumnInfo> columns_;
  std::vector<Row> rows_;
  projection::At at_;
  std::vector<ValueView> views_;
  std::size_t next_ = 0;
};

}  // namespace kimberlite::engine
