#include "sql/script.hpp"

namespace kimberlite::sql {
namespace {

// The character without which the token at the start of `text` cannot be closed.
char closing_character(std::string_view text) {
  switch (text.front()) {
    case '/':
      return '/';
    case '[':
      return ']';
    case 'x':
    case 'X':
      return '\'';
    default:
      return text.front();
  }
}

Place advance(Place place, std::string_view text) {
  const Place moved = place_of(text, text.size());
  if (moved.line == 1) return {place.line, place.column + moved.column - 1};
  return {place.line + moved.line - 1, moved.column};
}

// True if later text may make the token at the start of `text` another one: it touches the end (a
// name, a number, `-` before another `-`), or one more byte decides (`/*`, `1e+`). A semicolon
// never changes, so that the shell need not wait for the next line.
bool may_change(const Scanned& scanned, std::string_view text) {
  if (scanned.scan == ScanKind::token && scanned.kind == TokenKind::semicolon) return false;
  if (scanned.length == text.size()) return true;
  if (scanned.length + 1 < text.size()) return false;
  const char next = text.back();
  if (scanned.kind == TokenKind::slash) return next == '*';
  return scanned.scan == ScanKind::illegal && (next == '+' || next == '-');
}

}  // namespace

void StatementReader::feed(std::string_view text) {
  drop_read();
  buffer_.append(text);
}

// What was read and belongs to no statement, or to one that is too long to keep, is let go.
void StatementReader::drop_read() {
  std::size_t unneeded = scanned_;
  if (start_ && !oversize_) unneeded = *start_;
  if (unneeded == 0) return;
  buffer_.erase(0, unneeded);
  scanned_ -= unneeded;
  searched_ = searched_ > unneeded ? searched_ - unneeded : 0;
  if (start_) {
    start_ = *start_ > unneeded ? *start_ - unneeded : 0;
    last_ = last_ > unneeded ? last_ - unneeded : 0;
  }
}

// The next token that later text cannot change any more.
std::optional<Scanned> StatementReader::scan_next() {
  const std::string_view text = std::string_view{buffer_}.substr(scanned_);
  if (text.empty()) return std::nullopt;
  if (finished_) return scan(text, 0);
  // Only its closing character can end what was open before.
  const std::size_t from = searched_ > scanned_ ? searched_ - scanned_ : 0;
  if (from > 0 && text.find(closing_character(text), from) == std::string_view::npos) {
    searched_ = buffer_.size();
    if (text.size() > statement_size_max) shrink_open_token();
    return std::nullopt;
  }
  Scanned scanned = scan(text, 0);
  if (scanned.scan == ScanKind::unclosed_comment || scanned.scan == ScanKind::unclosed_quote) {
    searched_ = buffer_.size();
    if (text.size() > statement_size_max) shrink_open_token();
    return std::nullopt;
  }
  if (!may_change(scanned, text)) return scanned;
  // White space need not be read again, but for the one character that decides what a vertical tab
  // after it is.
  if (scanned.scan == ScanKind::space && scanned.length > 1 && text.front() != '\xEF' &&
      text.back() != '\v') {
    --scanned.length;
    return scanned;
  }
  // Nor need what is too long for a statement anyway be kept whole.
  if (scanned.length > statement_size_max) return scanned;
  return std::nullopt;
}

// A quote or comment at the end of the buffer that is longer than a statement may be: its inside is
// let go, what opened it stays, so that its end will still be seen as that.
void StatementReader::shrink_open_token() {
  const std::string_view text = std::string_view{buffer_}.substr(scanned_);
  const bool comment = text.front() == '/';
  const bool blob = text.front() == 'x' || text.front() == 'X';
  const std::size_t kept = comment || blob ? 2 : 1;
  const std::size_t closing = comment && text.back() == '*' ? 1 : 0;
  if (!comment) {
    begin_statement();
    oversize_ = true;
  }
  const std::string_view gone = text.substr(kept, text.size() - kept - closing);
  // The position moves over what opened the token too, which is taken once more at its end.
  place_ = advance(place_, text.substr(0, kept + gone.size()));
  place_.column -= static_cast<std::uint32_t>(kept);
  offset_ += gone.size();
  buffer_.erase(scanned_ + kept, gone.size());
  searched_ = buffer_.size() - closing;
  if (oversize_) drop_read();
}

void StatementReader::begin_statement() {
  if (start_) return;
  start_ = scanned_;
  last_ = scanned_;
  start_place_ = place_;
  start_offset_ = offset_;
}

void StatementReader::take(const Scanned& scanned) {
  const std::string_view text = std::string_view{buffer_}.substr(scanned_, scanned.length);
  place_ = advance(place_, text);
  offset_ += scanned.length;
  scanned_ += scanned.length;
}

// The rules of sqlite3_complete(), with EXPLAIN QUERY PLAN known too.
bool StatementReader::ends_statement(const Scanned& token) {
  const bool semicolon = token.scan == ScanKind::token && token.kind == TokenKind::semicolon;
  Keyword keyword = Keyword::none;
  if (token.scan == ScanKind::token && token.kind == TokenKind::word) {
    keyword = keyword_of(std::string_view{buffer_}.substr(scanned_, token.length));
  }
  switch (trigger_) {
    case Trigger::none:
    case Trigger::explain:
      if (keyword == Keyword::explain && trigger_ == Trigger::none) {
        trigger_ = Trigger::explain;
      } else if (keyword == Keyword::create) {
        trigger_ = Trigger::create;
      } else if (trigger_ == Trigger::none ||
                 (keyword != Keyword::query && keyword != Keyword::plan)) {
        trigger_ = Trigger::other;
      }
      return semicolon;
    case Trigger::create:
    case Trigger::temporary:
      if (keyword == Keyword::trigger) {
        trigger_ = Trigger::body;
      } else if (keyword == Keyword::temp || keyword == Keyword::temporary) {
        trigger_ = Trigger::temporary;
      } else {
        trigger_ = Trigger::other;
      }
      return semicolon;
    case Trigger::body:
    case Trigger::semicolon:
    case Trigger::end:
      if (semicolon && trigger_ == Trigger::end) return true;
      if (semicolon) {
        trigger_ = Trigger::semicolon;
      } else {
        const bool end = keyword == Keyword::end && trigger_ == Trigger::semicolon;
        trigger_ = end ? Trigger::end : Trigger::body;
      }
      return false;
    case Trigger::other:
      return semicolon;
  }
  return semicolon;
}

Piece StatementReader::cut(bool terminated) {
  Piece piece{.text = {},
              .place = start_place_,
              .offset = start_offset_,
              .terminated = terminated,
              .oversize = oversize_};
  if (!oversize_) piece.text = buffer_.substr(*start_, last_ - *start_);
  start_.reset();
  oversize_ = false;
  trigger_ = Trigger::none;
  return piece;
}

std::optional<Piece> StatementReader::next() {
  while (const auto scanned = scan_next()) {
    if (scanned->scan == ScanKind::space || scanned->scan == ScanKind::comment) {
      take(*scanned);
      continue;
    }
    const bool semicolon =
        scanned->scan == ScanKind::token && scanned->kind == TokenKind::semicolon;
    if (!start_ && semicolon) {
      take(*scanned);
      continue;
    }
    begin_statement();
    const bool ends = ends_statement(*scanned);
    take(*scanned);
    if (ends) return cut(true);
    last_ = scanned_;
    if (last_ - *start_ > statement_size_max) oversize_ = true;
  }
  if (!finished_ || !start_) return std::nullopt;
  return cut(false);
}

bool StatementReader::incomplete() {
  if (start_) return true;
  // Nothing but white space, which later text may continue, is no statement.
  std::size_t at = scanned_;
  while (at < buffer_.size()) {
    const Scanned scanned = scan(buffer_, at);
    if (scanned.scan != ScanKind::space && scanned.scan != ScanKind::comment) return true;
    at += scanned.length;
  }
  return false;
}

std::vector<Piece> split(std::string_view text) {
  StatementReader reader;
  reader.feed(text);
  reader.finish();
  std::vector<Piece> pieces;
  while (auto piece = reader.next()) pieces.push_back(*std::move(piece));
  return pieces;
}

}  // namespace kimberlite::sql
