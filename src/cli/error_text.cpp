#include "cli/error_text.hpp"

#include "cli/json.hpp"
#include "cli/terminal_text.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::string_view red = "\x1b[1;31m";
constexpr std::string_view plain = "\x1b[0m";

// Each line of `part` after the first starts where the first does.
void append_part(std::string& to, std::string_view label, std::string_view part) {
  if (part.empty()) return;
  to += "  ";
  to += label;
  std::size_t start = 0;
  while (true) {
    const std::size_t end = part.find('\n', start);
    to += printable(part.substr(start, end == std::string_view::npos ? end : end - start));
    to += '\n';
    if (end == std::string_view::npos || end + 1 == part.size()) return;
    to.append(2 + label.size(), ' ');
    start = end + 1;
  }
}

}  // namespace

std::string error_layout(const Error& error, std::string_view request, bool colour) {
  std::string text;
  if (colour) text += red;
  text += "error[";
  text += name(error.code());
  text += "]:";
  if (colour) text += plain;
  text += ' ';
  text += printable(error.what());
  text += '\n';
  append_part(text, "where: ", error.where());
  append_part(text, "why:   ", error.why());
  append_part(text, "next:  ", error.next());
  append_part(text, "request: ", request);
  return text;
}

void append_error_json(std::string& to, const Error& error, std::string_view request) {
  JsonObject object{to};
  object.text("code", name(error.code()));
  object.text("message", error.what());
  if (!error.where().empty()) object.text("where", error.where());
  if (!error.why().empty()) object.text("why", error.why());
  if (!error.next().empty()) object.text("next", error.next());
  if (!request.empty()) object.text("request", request);
  object.integer("exit", exit_status(class_of(error.code())));
}

}  // namespace kimberlite::cli
