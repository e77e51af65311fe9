// Any text: refused, or tokens that lie in it in order and mean the same when read alone.
#include <cstdlib>

#include "base/bytes.hpp"
#include "sql/token.hpp"

using namespace kimberlite;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(std::as_bytes(std::span{data, size}));
  const auto tokens = sql::tokenize(text);
  if (!tokens) {
    if (tokens.error().what().empty()) std::abort();
    return 0;
  }
  std::uint32_t end = 0;
  for (const sql::Token& token : *tokens) {
    if (token.offset < end || token.text.data() != text.data() + token.offset) std::abort();
    end = token.end_offset();
    if (token.kind == sql::TokenKind::end) continue;
    const auto alone = sql::tokenize(token.text);
    if (!alone || alone->size() != 2 || (*alone)[0].kind != token.kind) std::abort();
    if (token.is_name() && sql::name_of(token).find('\0') != std::string::npos) std::abort();
  }
  if (end != text.size()) std::abort();
  return 0;
}
