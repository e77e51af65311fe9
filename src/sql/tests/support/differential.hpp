// Our tokenizer beside SQLite's, suffix by suffix: the same split, or a refusal of ours that the
// contract of token.hpp names.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "sql/token.hpp"
#include "tests/support/sqlite_oracle.hpp"

namespace kimberlite::sql::oracle {

// Where the two differ on the first token of `suffix`, in words; nothing if they agree.
inline std::optional<std::string> difference_at(Sqlite& sqlite, std::string_view suffix) {
  std::size_t offset = 0;
  Scanned ours = scan(suffix, offset);
  while (ours.scan == ScanKind::space || ours.scan == ScanKind::comment) {
    if (ours.length == 0) return "a token without length";
    offset += ours.length;
    ours = scan(suffix, offset);
  }
  const std::string_view text = suffix.substr(offset, ours.length);
  const FirstToken theirs = sqlite.first_token(suffix);
  const auto differs = [&](std::string_view why) {
    return fmt::format("{}: ours [{}] at {}, SQLite's [{}] at {}, in [{}]", why, text, offset,
                       theirs.text, theirs.offset, suffix);
  };
  const bool same_place = theirs.offset == offset;
  switch (ours.scan) {
    case ScanKind::end:
    case ScanKind::unclosed_comment:
      if (theirs.what != FirstToken::What::end) return differs("SQLite sees more");
      return std::nullopt;
    case ScanKind::unclosed_quote:
      if (theirs.what != FirstToken::What::illegal || !same_place)
        return differs("SQLite closes it");
      return std::nullopt;
    case ScanKind::illegal: {
      if (!same_place) return differs("another place");
      const bool variable = std::string_view{"$:@#"}.find(text[0]) != std::string_view::npos;
      if (theirs.what == FirstToken::What::illegal || variable) return std::nullopt;
      return differs("SQLite takes it");
    }
    case ScanKind::token:
      break;
    case ScanKind::space:
    case ScanKind::comment:
      return differs("not skipped");
  }
  if (ours.length == 0 || !same_place) return differs("another place");
  if (ours.kind == TokenKind::double_colon) return std::nullopt;
  const bool parameter =
      ours.kind == TokenKind::dollar_parameter || ours.kind == TokenKind::named_parameter;
  if (parameter && suffix.substr(offset + ours.length).starts_with("::")) {
    if (!theirs.text.starts_with(fmt::format("{}::", text))) return differs("no cast here");
    return std::nullopt;
  }
  const auto wanted =
      ours.kind == TokenKind::semicolon ? FirstToken::What::semicolon : FirstToken::What::token;
  if (theirs.what != wanted || theirs.text != text) return differs("another token");
  return std::nullopt;
}

// The same for every suffix of `text`, up to its first NUL, where SQLite stops reading.
inline std::optional<std::string> difference(Sqlite& sqlite, std::string_view text) {
  text = text.substr(0, text.find('\0'));
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (auto found = difference_at(sqlite, text.substr(i))) return found;
  }
  return std::nullopt;
}

}  // namespace kimberlite::sql::oracle
