#include "row_source.hpp"

#include <algorithm>
#include <map>

#include "cli/byte_source.hpp"

namespace kimberlite::cli {
namespace {

class CsvRows final : public RowSource {
 public:
  explicit CsvRows(env::File& file) : source_(file) {}
  Status open() {
    KIMBERLITE_TRY(CsvReader reader, CsvReader::open(source_));
    reader_ = std::make_unique<CsvReader>(std::move(reader));
    return {};
  }

  const std::vector<std::string>& columns() const override { return reader_->header(); }
  Result<bool> next() override {
    KIMBERLITE_TRY(const bool more, reader_->next());
    cells_.clear();
    if (more) {
      for (const CsvField& field : reader_->fields()) cells_.push_back({field.text, field.null()});
    }
    return more;
  }
  std::span<const Cell> cells() const override { return cells_; }
  std::string_view raw() const override { return reader_->raw(); }
  std::uint64_t line() const override { return reader_->line(); }
  std::uint64_t offset() const override { return reader_->offset(); }
  std::uint64_t end_offset() const override { return reader_->end_offset(); }

 private:
  FileSource source_;
  std::unique_ptr<CsvReader> reader_;
  std::vector<Cell> cells_;
};

class JsonRows final : public RowSource {
 public:
  explicit JsonRows(env::File& file) : file_(file) {}
  // The columns are all members of all lines, in the order they are first seen.
  Status open() {
    FileSource first{file_};
    JsonLinesReader reader{first};
    while (true) {
      const Result<bool> more = reader.next();
      if (!more) continue;  // said again, with its line, when the row is read
      if (!*more) break;
      for (const JsonMember& member : reader.members()) {
        if (places_.emplace(member.name, columns_.size()).second) columns_.push_back(member.name);
      }
    }
    source_ = std::make_unique<FileSource>(file_);
    reader_ = std::make_unique<JsonLinesReader>(*source_);
    return {};
  }

  const std::vector<std::string>& columns() const override { return columns_; }
  Result<bool> next() override {
    KIMBERLITE_TRY(const bool more, reader_->next());
    cells_.assign(columns_.size(), {{}, true});
    if (more) {
      for (const JsonMember& member : reader_->members()) {
        cells_[places_.find(member.name)->second] = {member.text, member.kind == JsonKind::null};
      }
    }
    return more;
  }
  std::span<const Cell> cells() const override { return cells_; }
  std::string_view raw() const override { return reader_->raw(); }
  std::uint64_t line() const override { return reader_->line(); }
  std::uint64_t offset() const override { return reader_->offset(); }
  std::uint64_t end_offset() const override { return reader_->end_offset(); }

 private:
  env::File& file_;
  std::unique_ptr<FileSource> source_;
  std::unique_ptr<JsonLinesReader> reader_;
  std::vector<std::string> columns_;
  std::map<std::string, std::size_t, std::less<>> places_;
  std::vector<Cell> cells_;
};

}  // namespace

bool is_json_lines(std::string_view path) {
  return path.ends_with(".ndjson") || path.ends_with(".jsonl");
}

Result<std::unique_ptr<RowSource>> open_rows(env::File& file, std::string_view path) {
  if (is_json_lines(path)) {
    auto rows = std::make_unique<JsonRows>(file);
    KIMBERLITE_CHECK(rows->open());
    return rows;
  }
  auto rows = std::make_unique<CsvRows>(file);
  KIMBERLITE_CHECK(rows->open());
  return rows;
}

}  // namespace kimberlite::cli
