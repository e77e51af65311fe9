#include "cli/abort.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>

namespace kimberlite::cli {
namespace {

// Made before the signal, since a handler may not allocate.
std::array<char, 64UL << 10> words;
std::size_t words_size = 0;
int words_status = 0;

extern "C" void on_abort(int /*signal*/) {
  for (std::size_t at = 0; at < words_size;) {
    const ssize_t written = write(STDERR_FILENO, words.data() + at, words_size - at);
    if (written <= 0) break;
    at += static_cast<std::size_t>(written);
  }
  _exit(words_status);
}

}  // namespace

void say_at_abort(std::string_view text, int status) {
  words_size = std::min(text.size(), words.size());
  std::ranges::copy(text.substr(0, words_size), words.begin());
  words_status = status;
  std::signal(SIGABRT, on_abort);
}

void say_nothing_at_abort() { std::signal(SIGABRT, SIG_DFL); }

}  // namespace kimberlite::cli
