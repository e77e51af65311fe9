// Any bytes: the reader ends, says the same whatever pieces they come in, and what it accepts reads
// back the same once written again.
#include <cstdlib>
#include <optional>

#include "cli/csv_reader.hpp"
#include "cli/csv_text.hpp"

namespace {

using namespace kimberlite;
using Record = std::vector<std::optional<std::string>>;

void demand(bool holds) {
  if (!holds) std::abort();
}

struct Read {
  std::vector<std::string> header;
  std::vector<Record> records;
  std::size_t errors = 0;
  bool operator==(const Read&) const = default;
};

std::optional<Read> read(std::string_view text, std::size_t piece) {
  cli::TextSource source{text, piece};
  auto reader = cli::CsvReader::open(source);
  if (!reader) return std::nullopt;
  Read read{.header = reader->header(), .records = {}};
  for (std::size_t turn = 0; turn <= text.size(); ++turn) {
    auto more = reader->next();
    if (!more) {
      ++read.errors;
      continue;
    }
    if (!*more) return read;
    Record record;
    for (const cli::CsvField& field : reader->fields()) {
      record.push_back(field.null() ? std::nullopt : std::optional{std::string{field.text}});
    }
    read.records.push_back(std::move(record));
  }
  demand(false);  // more records than bytes
  return read;
}

// With a byte order mark, or a first name that begins with one would lose it.
std::string written(const Read& read) {
  std::string text = "\xEF\xBB\xBF";
  for (std::size_t i = 0; i < read.header.size(); ++i) {
    if (i > 0) text += ',';
    cli::append_csv_text(text, read.header[i]);
  }
  text += '\n';
  for (const Record& record : read.records) {
    for (std::size_t i = 0; i < record.size(); ++i) {
      if (i > 0) text += ',';
      if (record[i]) cli::append_csv_text(text, *record[i]);
    }
    text += '\n';
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto whole = read(text, SIZE_MAX);
  demand(whole == read(text, 1 + size % 13));
  if (!whole) return 0;
  auto again = read(written(*whole), SIZE_MAX);
  demand(again.has_value() && again->errors == 0);
  demand(again->header == whole->header);
  demand(again->records == whole->records);
  return 0;
}
