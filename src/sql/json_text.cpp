#include "json_text.hpp"

#include <array>
#include <bitset>

namespace kimberlite::sql {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  [[nodiscard]] char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  [[nodiscard]] bool done() const { return at_ == text_.size(); }
  bool take(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void blanks() {
    while (take(' ') || take('\t') || take('\n') || take('\r')) {
    }
  }
  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }
  bool digits() {
    const std::size_t begin = at_;
    while (is_digit(next())) ++at_;
    return at_ > begin;
  }
  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (!take('e') && !take('E')) return true;
    if (!take('+')) take('-');
    return digits();
  }
  bool string() {
    if (!take('"')) return false;
    while (!done()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') continue;
      const char escaped = next();
      ++at_;
      if (escaped == 'u') {
        for (int i = 0; i < 4; ++i, ++at_) {
          if (!is_hex(next())) return false;
        }
      } else if (std::string_view{"\"\\/bfnrt"}.find(escaped) == std::string_view::npos ||
                 escaped == '\0') {
        return false;
      }
    }
    return false;
  }
  // A value that holds no other.
  bool scalar() {
    switch (next()) {
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

bool is_json(std::string_view text) {
  Scanner scan{text};
  std::bitset<json_depth_max> object;  // at each depth: an object, else an array
  std::size_t depth = 0;
  for (;;) {
    // A value begins here.
    scan.blanks();
    const bool opens_object = scan.next() == '{';
    if (scan.take('{') || scan.take('[')) {
      if (depth == json_depth_max) return false;
      object[depth++] = opens_object;
      scan.blanks();
      if (!scan.take(opens_object ? '}' : ']')) {
        if (!opens_object) continue;
        if (!scan.string()) return false;
        scan.blanks();
        if (!scan.take(':')) return false;
        continue;
      }
      --depth;
    } else if (!scan.scalar()) {
      return false;
    }
    // A value ended: close what ends with it, or go on to the next member.
    for (;;) {
      scan.blanks();
      if (depth == 0) return scan.done();
      if (scan.take(object[depth - 1] ? '}' : ']')) {
        --depth;
        continue;
      }
      if (!scan.take(',')) return false;
      if (!object[depth - 1]) break;
      scan.blanks();
      if (!scan.string()) return false;
      scan.blanks();
      if (!scan.take(':')) return false;
      break;
    }
  }
}

}  // namespace kimberlite::sql
