#include "cli/json_lines_reader.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

namespace kimberlite::cli {
namespace {

constexpr std::size_t piece_size = 256U << 10U;

// What the parser may read beyond a line's end.
constexpr std::size_t padding = simdjson::SIMDJSON_PADDING;

bool blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view{} : text.substr(begin, end - begin + 1);
}

// False if the parser finds what the judge did not.
bool take_value(simdjson::ondemand::value& value, JsonMember& member) {
  simdjson::ondemand::json_type type = simdjson::ondemand::json_type::null;
  if (value.type().get(type) != simdjson::SUCCESS) return false;
  std::string_view text;
  switch (type) {
    case simdjson::ondemand::json_type::null:
      member.kind = JsonKind::null;
      break;
    case simdjson::ondemand::json_type::boolean:
      member.kind = JsonKind::boolean;
      text = value.raw_json_token();
      break;
    case simdjson::ondemand::json_type::number:
      member.kind = JsonKind::number;
      text = value.raw_json_token();
      break;
    case simdjson::ondemand::json_type::string:
      member.kind = JsonKind::string;
      if (value.get_string().get(text) != simdjson::SUCCESS) return false;
      break;
    case simdjson::ondemand::json_type::array: {
      member.kind = JsonKind::nested;
      simdjson::ondemand::array array;
      if (value.get_array().get(array) != simdjson::SUCCESS ||
          array.raw_json().get(text) != simdjson::SUCCESS) {
        return false;
      }
      break;
    }
    case simdjson::ondemand::json_type::object: {
      member.kind = JsonKind::nested;
      simdjson::ondemand::object object;
      if (value.get_object().get(object) != simdjson::SUCCESS ||
          object.raw_json().get(text) != simdjson::SUCCESS) {
        return false;
      }
      break;
    }
  }
  member.text = type == simdjson::ondemand::json_type::string ? text : trimmed(text);
  return true;
}

}  // namespace

// The tree parser judges a line as a whole, the other gives spellings as they are: the tree's
// numbers are converted already.
struct JsonLinesReader::Parser {
  simdjson::dom::parser judge;
  simdjson::ondemand::parser spell;
};

JsonLinesReader::JsonLinesReader(ByteSource& source)
    : source_(source), parser_(std::make_unique<Parser>()), buffer_(piece_size + padding) {}

JsonLinesReader::~JsonLinesReader() = default;

std::string_view JsonLinesReader::raw() const {
  return {buffer_.data() + line_begin_, line_end_ - line_begin_};
}

Result<bool> JsonLinesReader::next() {
  member_count_ = 0;
  while (true) {  // a blank line a turn
    KIMBERLITE_TRY(const bool found, find_line());
    if (!found) return false;
    if (blank(raw())) continue;
    KIMBERLITE_CHECK(read_members());
    return true;
  }
}

Result<bool> JsonLinesReader::find_line() {
  line_begin_ = position_;
  std::size_t searched = position_;
  bool oversize = false;
  while (true) {  // a piece a turn
    const void* end = std::memchr(buffer_.data() + searched, '\n', filled_ - searched);
    if (end != nullptr || source_ended_) {
      if (end == nullptr && line_begin_ == filled_ && !oversize) return false;
      line_end_ = end == nullptr
                      ? filled_
                      : static_cast<std::size_t>(static_cast<const char*>(end) - buffer_.data());
      position_ = end == nullptr ? filled_ : line_end_ + 1;
      ++line_;
      break;
    }
    // Of a line that is refused anyway nothing is kept: the file may be one line of any size.
    if (filled_ - line_begin_ > line_size_max) {
      oversize = true;
      line_begin_ = filled_;
    }
    searched = filled_ - line_begin_;  // where `fill` moves it
    KIMBERLITE_CHECK(fill());
  }
  if (oversize || line_end_ - line_begin_ > line_size_max) {
    return Error{Code::limit_row, "a line is larger than {} MiB", line_size_max >> 20U}
        .where("line {}", line_)
        .next("NDJSON has one object a line; is this one JSON document?");
  }
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (line_ == 1 && raw().starts_with(byte_order_mark)) line_begin_ += byte_order_mark.size();
  return true;
}

// Drops what lies before the line and reads one more piece behind what is there.
Status JsonLinesReader::fill() {
  std::memmove(buffer_.data(), buffer_.data() + line_begin_, filled_ - line_begin_);
  base_ += line_begin_;
  filled_ -= line_begin_;
  line_begin_ = 0;
  const std::size_t wanted = std::max(piece_size, filled_ * 2) + padding;
  if (buffer_.size() < wanted) buffer_.resize(wanted);
  const std::span<char> room{buffer_.data() + filled_, buffer_.size() - padding - filled_};
  KIMBERLITE_TRY(const std::size_t size, source_.read(std::as_writable_bytes(room)));
  filled_ += size;
  source_ended_ = size == 0;
  return {};
}

Status JsonLinesReader::read_members() {
  const auto refused = [this](std::string_view what) {
    return Error{Code::usage_json, "{}", what}
        .where("line {}", line_)
        .next("NDJSON has one object a line: {{\"id\":1,\"name\":\"Ann\"}}");
  };
  simdjson::dom::element whole;
  if (const auto wrong = parser_->judge.parse(raw().data(), raw().size(), false).get(whole)) {
    return refused(fmt::format("this line is not JSON: {}", simdjson::error_message(wrong)));
  }
  if (!whole.is_object()) return refused("this line is not an object");

  simdjson::ondemand::document document;
  simdjson::ondemand::object object;
  const simdjson::padded_string_view padded{raw().data(), raw().size(), raw().size() + padding};
  if (parser_->spell.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.get_object().get(object) != simdjson::SUCCESS) {
    return refused("this line is not JSON");
  }
  for (auto field : object) {
    std::string_view name;
    simdjson::ondemand::value value;
    if (field.unescaped_key().get(name) != simdjson::SUCCESS ||
        field.value().get(value) != simdjson::SUCCESS) {
      return refused("this line is not JSON");
    }
    const auto known = members();
    if (std::ranges::find(known, name, &JsonMember::name) != known.end()) {
      return refused(fmt::format("member {} is named twice", member_count_ + 1));
    }
    if (member_count_ == members_.size()) members_.emplace_back();
    JsonMember& member = members_[member_count_++];
    member.name = name;
    if (!take_value(value, member)) return refused("this line is not JSON");
  }
  return {};
}

}  // namespace kimberlite::cli
