#include "cli/abort.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <utility>

namespace kimberlite::cli {
namespace {

constexpr unsigned more_s = 20;

// Made before the signal, since a handler may not allocate. (`words_more` does, and may: a failed
// assertion raises its signal itself, between two statements of ordinary code.)
std::array<char, 64UL << 10> words;
std::size_t words_size = 0;
int words_status = 0;
LastWords words_more;

extern "C" void say_words(int /*signal*/) {
  for (std::size_t at = 0; at < words_size;) {
    const ssize_t written = write(STDERR_FILENO, words.data() + at, words_size - at);
    if (written <= 0) break;
    at += static_cast<std::size_t>(written);
  }
  _exit(words_status);
}

extern "C" void on_abort(int signal) {
  if (words_more) {
    for (const int end : {SIGALRM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
      std::signal(end, say_words);
    }
    sigset_t mine{};
    sigemptyset(&mine);
    sigaddset(&mine, signal);
    sigprocmask(SIG_UNBLOCK, &mine, nullptr);  // it may come once more
    alarm(more_s);
    if (words_more()) _exit(words_status);
  }
  say_words(signal);
}

}  // namespace

void say_at_abort(std::string_view text, int status, LastWords more) {
  words_size = std::min(text.size(), words.size());
  std::ranges::copy(text.substr(0, words_size), words.begin());
  words_status = status;
  words_more = std::move(more);
  std::signal(SIGABRT, on_abort);
}

void say_nothing_at_abort() {
  std::signal(SIGABRT, SIG_DFL);
  words_more = nullptr;
}

}  // namespace kimberlite::cli
