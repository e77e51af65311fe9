#include "cli/csv_reader.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/bytes.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::size_t piece_size = 256U << 10U;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

std::uint64_t line_ends_in(std::string_view text) {
  return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

// Characters, not bytes: what an editor shows.
std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

Result<CsvReader> CsvReader::open(ByteSource& source) {
  CsvReader reader{source};
  KIMBERLITE_CHECK(reader.read_header());
  return reader;
}

Status CsvReader::read_header() {
  while (filled_ < byte_order_mark.size() && !source_ended_) KIMBERLITE_CHECK(fill());
  if (std::string_view{buffer_.data(), filled_}.starts_with(byte_order_mark)) {
    position_ = byte_order_mark.size();
  }
  KIMBERLITE_TRY(const Scanned scanned, find_record());
  if (scanned.what == Scan::end_of_file) {
    return Error{Code::usage_csv, "the file has no header"}.next(
        "the first line of a CSV file names its columns");
  }
  if (scanned.what != Scan::record) return refuse(scanned);
  KIMBERLITE_CHECK(take_fields());
  std::unordered_set<std::string_view> seen;
  header_.reserve(fields_.size());
  for (const CsvField& field : fields_) {
    const std::size_t at = places_[header_.size()].begin;
    if (field.text.empty()) {
      return refuse(at, "a column has no name", "name every column in the first line");
    }
    header_.emplace_back(field.text);
    if (!seen.insert(field.text).second) {
      return refuse(at, fmt::format("column {} is named twice", header_.size()),
                    "give every column a name of its own");
    }
  }
  return {};
}

Result<bool> CsvReader::next() {
  KIMBERLITE_TRY(const Scanned scanned, find_record());
  if (scanned.what == Scan::end_of_file) return false;
  if (scanned.what != Scan::record) {
    Error error = refuse(scanned);
    KIMBERLITE_CHECK(skip_line_of(scanned.at));
    return error;
  }
  if (places_.size() != header_.size()) {
    const bool more = places_.size() > header_.size();
    const std::size_t at = more ? places_[header_.size()].begin : record_end_;
    return refuse(at,
                  fmt::format("this record has {} field{}, the header has {}", places_.size(),
                              places_.size() == 1 ? "" : "s", header_.size()),
                  "a field that holds a comma or a line end stands in double quotes");
  }
  KIMBERLITE_CHECK(take_fields());
  return true;
}

std::string_view CsvReader::raw() const {
  return {buffer_.data() + record_begin_, record_end_ - record_begin_};
}

// Scans from `position_`, reading on until a whole record is in the buffer.
Result<CsvReader::Scanned> CsvReader::find_record() {
  record_begin_ = position_;
  record_line_ = next_line_;
  while (true) {  // a piece a turn, up to the largest record
    const Scanned scanned = scan();
    const std::size_t end = scanned.what == Scan::record ? record_end_ : filled_;
    const bool unfinished = scanned.what == Scan::more_needed;
    if ((unfinished || scanned.what == Scan::record) && end - record_begin_ > record_size_max) {
      Error error = Error{Code::limit_row, "a record is larger than {} MiB", record_size_max >> 20U}
                        .where("line {}", record_line_)
                        .next("a quote that is never closed looks like this: check that line");
      KIMBERLITE_CHECK(skip_line_of(record_begin_));
      return error;
    }
    if (unfinished) {
      KIMBERLITE_CHECK(fill());
      continue;
    }
    if (scanned.what == Scan::record) {
      next_line_ += line_ends_in({buffer_.data() + record_begin_, position_ - record_begin_});
    }
    return scanned;
  }
}

// On `record`, `places_`, `record_end_` and `position_` are those of the record.
CsvReader::Scanned CsvReader::scan() {
  places_.clear();
  std::size_t at = record_begin_;
  if (at == filled_) return {source_ended_ ? Scan::end_of_file : Scan::more_needed, at};
  while (true) {  // a field a turn
    if (places_.size() == columns_max) return {Scan::too_many_fields, at};
    Place place;
    const bool quoted = at < filled_ && buffer_[at] == '"';
    const Scanned field = quoted ? scan_quoted(at, place) : scan_unquoted(at, place);
    if (field.what != Scan::record) return field;
    places_.push_back(place);
    if (at == filled_) {  // the file ends without a line end
      record_end_ = position_ = at;
      return {};
    }
    if (buffer_[at] == ',') {
      ++at;
      if (at == filled_ && !source_ended_) return {Scan::more_needed, at};
      continue;
    }
    record_end_ = at;
    position_ = at + (buffer_[at] == '\r' ? 2 : 1);
    return {};
  }
}

// From an opening quote to what follows the closing one: a comma, a line end or the end of the
// file.
CsvReader::Scanned CsvReader::scan_quoted(std::size_t& at, Place& place) const {
  const std::size_t opening = at;
  place.quoted = true;
  place.begin = ++at;
  while (true) {  // a quote a turn
    const void* quote = std::memchr(buffer_.data() + at, '"', filled_ - at);
    if (quote == nullptr) {
      return {source_ended_ ? Scan::quote_never_closed : Scan::more_needed, opening};
    }
    at = static_cast<std::size_t>(static_cast<const char*>(quote) - buffer_.data());
    if (at + 1 == filled_) {
      if (!source_ended_) return {Scan::more_needed, at};
      break;
    }
    if (buffer_[at + 1] != '"') break;
    place.doubled = true;
    at += 2;
  }
  place.end = at++;
  if (at == filled_ || buffer_[at] == ',' || buffer_[at] == '\n') return {};
  if (buffer_[at] != '\r') return {Scan::text_after_quote, at};
  if (at + 1 == filled_)
    return {source_ended_ ? Scan::lone_carriage_return : Scan::more_needed, at};
  return {buffer_[at + 1] == '\n' ? Scan::record : Scan::lone_carriage_return, at};
}

CsvReader::Scanned CsvReader::scan_unquoted(std::size_t& at, Place& place) const {
  place.begin = at;
  for (; at < filled_; ++at) {
    const char c = buffer_[at];
    if (c == ',' || c == '\n') break;
    if (c == '"') return {Scan::quote_in_field, at};
    if (c != '\r') continue;
    if (at + 1 < filled_ && buffer_[at + 1] == '\n') break;
    if (at + 1 == filled_ && !source_ended_) return {Scan::more_needed, at};
    return {Scan::lone_carriage_return, at};
  }
  place.end = at;
  if (at == filled_ && !source_ended_) return {Scan::more_needed, at};
  return {};
}

// Drops what lies before the record and reads one more piece behind what is there.
Status CsvReader::fill() {
  if (record_begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + record_begin_, filled_ - record_begin_);
    base_ += record_begin_;
    filled_ -= record_begin_;
    position_ -= record_begin_;
    record_begin_ = 0;
  }
  // A record longer than the buffer is scanned again after each read: doubling keeps that linear.
  const std::size_t wanted = std::max(piece_size, filled_ * 2);
  if (buffer_.size() < wanted) buffer_.resize(wanted);
  KIMBERLITE_TRY(const std::size_t size,
                 source_->read(std::as_writable_bytes(std::span{buffer_}.subspan(filled_))));
  filled_ += size;
  source_ended_ = size == 0;
  return {};
}

// The record's places as texts.
Status CsvReader::take_fields() {
  KIMBERLITE_CHECK(check_text());
  fields_.clear();
  unquoted_.clear();
  unquoted_.reserve(record_end_ - record_begin_);  // never grows below: views into it stay
  for (const Place& place : places_) {
    const std::string_view text{buffer_.data() + place.begin, place.end - place.begin};
    if (!place.doubled) {
      fields_.push_back({text, place.quoted});
      continue;
    }
    const std::size_t begin = unquoted_.size();
    for (std::size_t i = 0; i < text.size(); ++i) {
      unquoted_ += text[i];
      if (text[i] == '"') ++i;
    }
    fields_.push_back({std::string_view{unquoted_}.substr(begin), true});
  }
  return {};
}

Status CsvReader::check_text() const {
  if (is_utf8_text(raw())) return {};
  std::size_t good = 0;
  for (const Place& place : places_) {
    if (!is_utf8_text({buffer_.data() + place.begin, place.end - place.begin})) {
      good = place.begin;
      break;
    }
  }
  while (good < record_end_ && buffer_[good] != '\0') {
    std::size_t size = 1;
    while (size <= 4 && good + size <= record_end_ &&
           !is_utf8_text({buffer_.data() + good, size})) {
      ++size;
    }
    if (size > 4 || good + size > record_end_) break;
    good += size;
  }
  if (good < record_end_ && buffer_[good] == '\0') {
    return refuse(good, "a NUL byte in the text", "remove it: no text may hold one");
  }
  return refuse(good, "text that is not UTF-8",
                "convert the file, for example: iconv -f latin1 -t utf-8");
}

// Resumes behind the line in which the fault is; reads on if its end is not in the buffer yet.
Status CsvReader::skip_line_of(std::size_t at) {
  while (true) {  // a piece a turn, up to the largest record
    const std::string_view rest{buffer_.data() + at, filled_ - at};
    const std::size_t line_end = rest.find('\n');
    const bool found = line_end != std::string_view::npos;
    if (found || source_ended_ || filled_ - record_begin_ > record_size_max) {
      record_end_ = found ? at + line_end : filled_;
      position_ = found ? record_end_ + 1 : filled_;
      next_line_ =
          record_line_ + line_ends_in({buffer_.data() + record_begin_, position_ - record_begin_});
      return {};
    }
    at -= record_begin_;  // where `fill` moves it
    KIMBERLITE_CHECK(fill());
  }
}

Error CsvReader::refuse(std::size_t at, std::string what, std::string next) const {
  const std::string_view before{buffer_.data() + record_begin_, at - record_begin_};
  const std::size_t line_begin = before.rfind('\n') + 1;  // 0 if there is none
  return Error{Code::usage_csv, "{}", what}
      .where("line {}, column {}", record_line_ + line_ends_in(before),
             characters_in(before.substr(line_begin)) + 1)
      .next("{}", next);
}

Error CsvReader::refuse(const Scanned& scanned) const {
  switch (scanned.what) {
    case Scan::quote_in_field:
      return refuse(scanned.at, "a quote inside a field that does not begin with one",
                    "put the whole field in quotes and double the ones in it");
    case Scan::text_after_quote:
      return refuse(scanned.at, "text after a closing quote",
                    "a quote inside a quoted field is written twice");
    case Scan::quote_never_closed:
      return refuse(scanned.at, "this quote is never closed", "close it, or double it");
    case Scan::lone_carriage_return:
      return refuse(scanned.at, "a carriage return without a line feed",
                    "lines end in LF or CRLF; elsewhere it stands in a quoted field");
    case Scan::too_many_fields:
      return refuse(scanned.at, fmt::format("more than {} fields", columns_max),
                    fmt::format("a table has at most {} columns", columns_max));
    case Scan::record:
    case Scan::end_of_file:
    case Scan::more_needed:
      break;
  }
  return Error{Code::internal_bug, "a record that was read was also refused"};
}

}  // namespace kimberlite::cli
