#include "vopr/live_apart.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

namespace kimberlite::vopr {
namespace {

constexpr int look_every_ms = 200;
// No sanitizer and no library ends a process with these.
constexpr int ended_well = 100;
constexpr int ended_refused = 101;
constexpr int ended_with_finding = 102;  // said behind the mark: its number, its text
constexpr char mark = '\x1e';

[[noreturn]] void be_the_child(const std::function<LifeReport()>& live, unsigned seconds) {
  const rlimit no_core{};
  setrlimit(RLIMIT_CORE, &no_core);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGABRT, SIG_DFL);
  std::signal(SIGALRM, SIG_DFL);
  alarm(seconds);
  const LifeReport life = live();
  if (!life.finding) _exit(life.refused ? ended_refused : ended_well);
  const std::string said =
      std::string{mark} + static_cast<char>(life.finding->invariant) + life.finding->text;
  for (std::size_t at = 0; at < said.size();) {
    const ssize_t written = write(STDERR_FILENO, said.data() + at, said.size() - at);
    if (written < 0) break;
    at += static_cast<std::size_t>(written);
  }
  _exit(ended_with_finding);
}

// What the child writes until it ends; nobody waits for one that nobody asks for any more.
std::string hear(int end, pid_t child, const std::function<bool()>& go_on) {
  std::string said;
  std::array<char, 4096> part{};
  while (true) {
    pollfd one{.fd = end, .events = POLLIN, .revents = 0};
    if (poll(&one, 1, look_every_ms) <= 0) {
      if (go_on && !go_on()) kill(child, SIGKILL);
      continue;
    }
    const ssize_t n = read(end, part.data(), part.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return said;
    said.append(part.data(), static_cast<std::size_t>(n));
  }
}

std::optional<Finding> finding_in(const std::string& said) {
  const std::size_t at = said.rfind(mark);
  if (at == std::string::npos || at + 1 == said.size()) return std::nullopt;
  const auto number = static_cast<unsigned char>(said[at + 1]);
  if (number >= invariants.size()) return std::nullopt;
  return Finding{static_cast<Invariant>(number), said.substr(at + 2)};
}

// How it died that lived no life to its end.
std::string died_of(int status, const std::string& said) {
  if (!WIFSIGNALED(status) || WTERMSIG(status) == SIGABRT) return said.substr(0, said.find('\n'));
  if (WTERMSIG(status) == SIGALRM) return std::string{endless};
  return fmt::format("the process ended by signal {}", WTERMSIG(status));
}

Error no_process(std::string_view why) {
  return Error{Code::unavailable_busy, "there is no process for a life of its own"}.why("{}", why);
}

}  // namespace

Result<LifeReport> live_apart(const std::function<LifeReport()>& live, unsigned seconds,
                              const std::function<bool()>& go_on) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return no_process("no pipe could be made");
  const pid_t child = fork();
  if (child < 0) {
    close(ends[0]);
    close(ends[1]);
    return no_process("none could be made");
  }
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    be_the_child(live, seconds);
  }
  close(ends[1]);
  const std::string said = hear(ends[0], child, go_on);
  close(ends[0]);
  int status = 0;
  pid_t ended = 0;
  do {
    ended = waitpid(child, &status, 0);
  } while (ended < 0 && errno == EINTR);

  LifeReport life;
  if (go_on && !go_on()) return life;
  const bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (ended < 0 || is_killed) return no_process("it was killed, or is not ours to wait for");
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  life.refused = code == ended_refused;
  if (code == ended_well || code == ended_refused) return life;
  if (code == ended_with_finding) life.finding = finding_in(said);
  if (!life.finding) {
    life.finding = Finding{Invariant::assertion, died_of(status, said)};
  }
  return life;
}

}  // namespace kimberlite::vopr
