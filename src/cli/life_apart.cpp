#include "cli/life_apart.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include "base/error.hpp"

namespace kimberlite::cli {
namespace {

// No sanitizer and no library ends a process with these.
constexpr int ended_well = 100;
constexpr int ended_refused = 101;
constexpr int ended_with_finding = 102;  // its number and text are written

[[noreturn]] void be_the_child(const std::function<vopr::LifeReport()>& live, unsigned seconds) {
  std::signal(SIGABRT, SIG_DFL);
  std::signal(SIGALRM, SIG_DFL);
  alarm(seconds);
  const vopr::LifeReport life = live();
  if (!life.finding) _exit(life.refused ? ended_refused : ended_well);
  std::string said{static_cast<char>(life.finding->invariant)};
  said += life.finding->text;
  for (std::size_t at = 0; at < said.size();) {
    const ssize_t written = write(STDERR_FILENO, said.data() + at, said.size() - at);
    if (written < 0) break;
    at += static_cast<std::size_t>(written);
  }
  _exit(ended_with_finding);
}

std::string read_all(int end) {
  std::string said;
  std::array<char, 4096> part{};
  while (true) {
    const ssize_t n = read(end, part.data(), part.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return said;
    said.append(part.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace

Result<vopr::LifeReport> live_apart(const std::function<vopr::LifeReport()>& live,
                                    unsigned seconds) {
  const Error none{Code::unavailable_busy, "there is no process for a life of its own"};
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return none;
  const pid_t child = fork();
  if (child < 0) {
    close(ends[0]);
    close(ends[1]);
    return none;
  }
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    be_the_child(live, seconds);
  }
  close(ends[1]);
  const std::string said = read_all(ends[0]);
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;

  vopr::LifeReport life;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (code == ended_well) return life;
  if (code == ended_refused) {
    life.refused = true;
    return life;
  }
  if (code == ended_with_finding && !said.empty()) {
    life.finding = vopr::Finding{static_cast<vopr::Invariant>(said[0]), said.substr(1)};
    return life;
  }
  const bool is_endless = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
  life.finding =
      vopr::Finding{vopr::Invariant::assertion,
                    is_endless ? "the life does not end" : said.substr(0, said.find('\n'))};
  return life;
}

}  // namespace kimberlite::cli
