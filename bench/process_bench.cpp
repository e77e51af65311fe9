// What only a process of its own can show: opening after it was killed, and how much memory it
// took.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "database.hpp"
#include "plain.hpp"

namespace kimberlite::bench {
namespace {

Error process_error(std::string_view what) {
  return Error{Code::unavailable_io, "{}: {}", what, std::strerror(errno)};
}

// A child process, killed when this is destroyed unless it was waited for.
class Child {
 public:
  // `output`: where the child's standard output goes, or -1.
  static Result<Child> start(const std::vector<std::string>& words, int output) {
    std::vector<char*> arguments;
    for (const std::string& word : words)
      arguments.push_back(const_cast<char*>(word.c_str()));  // NOLINT
    arguments.push_back(nullptr);
    const pid_t id = ::fork();
    if (id < 0) return process_error("fork");
    if (id == 0) {
      if (output >= 0) ::dup2(output, STDOUT_FILENO);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    return Child{id};
  }
  explicit Child(pid_t id) : id_(id) {}
  Child(Child&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill(); }

  void kill() {
    if (id_ < 0) return;
    ::kill(id_, SIGKILL);
    ::waitpid(std::exchange(id_, -1), nullptr, 0);
  }
  // Its greatest resident set in bytes, once it has ended well.
  Result<std::uint64_t> peak_memory() && {
    int status = 0;
    rusage usage{};
    if (::wait4(std::exchange(id_, -1), &status, 0, &usage) < 0) return process_error("wait4");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      return Error{Code::internal_bug, "a child process failed, status {}", status};
    }
    return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  }

 private:
  pid_t id_;
};

std::string own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

// ---- open after a crash -------------------------------------------------------------------------

constexpr double ring_wanted = 0.45;  // a checkpoint comes at half the ring: shortly before it

// Seconds to read the live part of the journal and one snapshot, and do nothing with them.
Result<double> read_alone(const std::string& directory, std::uint64_t journal_bytes) {
  Buffer buffer(std::size_t{1} << 20);
  const auto read = [&](const std::string& path, std::uint64_t most) -> Status {
    const int file = ::open(path.c_str(), O_RDONLY);
    if (file < 0) return process_error(path);
    std::uint64_t done = 0;
    ssize_t got = 1;
    while (got > 0 && done < most) {
      got = ::read(file, buffer.data(), buffer.size());
      done += static_cast<std::uint64_t>(std::max<ssize_t>(got, 0));
    }
    ::close(file);
    if (got < 0) return process_error(path);
    return {};
  };
  const std::uint64_t begun = now_ns();
  KIMBERLITE_CHECK(read(directory + "/journal", journal_bytes));
  for (const auto& entry : std::filesystem::directory_iterator{directory}) {
    if (entry.path().filename().string().starts_with("snapshot-")) {
      KIMBERLITE_CHECK(read(entry.path(), UINT64_MAX));
    }
  }
  return seconds_since(begun);
}

struct Reopened {
  double open_s = 0;
  double first_answer_s = 0;
  double read_alone_s = 0;
  std::uint64_t records = 0;
};

Result<Reopened> crash_and_open(const std::string& directory, std::uint64_t records) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) return process_error("pipe");
  {
    KIMBERLITE_TRY(Child child, Child::start({own_program(), "--fill=" + directory,
                                              fmt::format("--records={}", records)},
                                             pipe[1]));
    ::close(pipe[1]);
    char ready = 0;
    const bool filled = ::read(pipe[0], &ready, 1) == 1;
    ::close(pipe[0]);
    child.kill();
    if (!filled) return Error{Code::internal_bug, "the child that fills a directory failed"};
  }
  Reopened reopened;
  KIMBERLITE_TRY(reopened.read_alone_s, read_alone(directory, journal_ring_embedded));
  std::uint64_t begun = now_ns();
  KIMBERLITE_TRY(const auto database,
                 Database::open(directory, {.key = KeyFile{directory + ".key"}}));
  reopened.open_s = seconds_since(begun);
  KIMBERLITE_TRY(const auto session, database->local_session());
  KIMBERLITE_TRY(const auto rows,
                 session->query<std::int64_t>("SELECT max(position) FROM __records"));
  reopened.first_answer_s = seconds_since(begun);
  reopened.records = static_cast<std::uint64_t>(std::get<0>(rows.at(0)));
  if (reopened.records < records) {
    return Error{Code::internal_bug, "of {} acknowledged records {} are there", records,
                 reopened.records};
  }
  return reopened;
}

Result<std::vector<Series>> open_after_crash(const Settings& settings) {
  Series open{{.name = "open_after_crash",
               .figure = "open after kill -9, the journal nearly half full",
               .limit = "2 s",
               .unit = "s",
               .bound = Bound::at_most,
               .target = 1}};
  Series answer{{.name = "open_after_crash/answer",
                 .figure = "open and the first SELECT of the tenant, likewise",
                 .limit = "2 s",
                 .unit = "s",
                 .bound = Bound::at_most,
                 .target = 1}};
  Series grown{{.name = "open_after_crash/growth",
                .figure = "open after kill -9 with all the records",
                .limit = "the same with a tenth of them",
                .unit = "s",
                .bound = Bound::at_most,
                .target = 1.5}};
  KIMBERLITE_TRY(const Reopened tenth,
                 crash_and_open(settings.scratch + "/crash-tenth", settings.records / 10));
  KIMBERLITE_TRY(const Reopened all, crash_and_open(settings.scratch + "/crash", settings.records));
  open.add(all.open_s, 2);
  answer.add(all.first_answer_s, 2);
  grown.add(all.open_s, tenth.open_s);
  for (Series* series : {&open, &answer, &grown}) {
    series->note("records", static_cast<double>(all.records));
    series->note("read_journal_and_snapshot_s", all.read_alone_s);
  }
  return std::vector{std::move(open), std::move(answer), std::move(grown)};
}

// ---- memory of an import ------------------------------------------------------------------------

Status write_csv(const std::string& path, std::uint64_t rows) {
  std::ofstream file{path};
  file << "id,name,city,weight,visits\n";
  for (std::uint64_t id = 1; id <= rows; ++id) {
    file << id << ",Patient number " << id << ",Boston," << 40 + id % 100 << ".5," << id % 7
         << "\n";
  }
  file.close();
  if (!file) return process_error(path);
  return {};
}

Result<std::uint64_t> import_once(const Settings& settings, const std::string& directory,
                                  const std::string& table) {
  KIMBERLITE_TRY(Child child,
                 Child::start({settings.kimberlite, "import", directory,
                               settings.scratch + "/rows.csv", "--create", "--table", table,
                               "--primary-key", "id", "--quiet", "--key-file", directory + ".key"},
                              STDERR_FILENO));
  return std::move(child).peak_memory();
}

Result<std::vector<Series>> import_memory(const Settings& settings) {
  constexpr double mebibyte = 1 << 20;
  Series peak{{.name = "import_memory",
               .figure = "greatest resident set of a CSV import into an empty directory",
               .limit = "256 MiB",
               .unit = "MiB",
               .bound = Bound::at_most,
               .target = 1}};
  Series grown{{.name = "import_memory/growth",
                .figure = "the same into a log that holds as many rows twice over",
                .limit = "into an empty one",
                .unit = "MiB",
                .bound = Bound::at_most,
                .target = 1.1}};
  const std::string directory = settings.scratch + "/import";
  KIMBERLITE_CHECK(write_csv(settings.scratch + "/rows.csv", settings.import_rows));
  {
    KIMBERLITE_TRY(const Opened made, open_database(directory));
    KIMBERLITE_CHECK(made.database->engine().close());
  }
  std::vector<double> peaks;
  for (const std::string table : {"a", "b", "c"}) {
    KIMBERLITE_TRY(const std::uint64_t bytes, import_once(settings, directory, table));
    peaks.push_back(static_cast<double>(bytes) / mebibyte);
  }
  peak.add(peaks[0], 256);
  grown.add(peaks[2], peaks[0]);
  for (Series* series : {&peak, &grown}) {
    series->note("rows", static_cast<double>(settings.import_rows));
  }
  return std::vector{std::move(peak), std::move(grown)};
}

}  // namespace

Status append_until(Database& database, std::uint64_t records) {
  constexpr std::size_t writers = 64;
  std::atomic<std::uint64_t> begun = 0;
  std::vector<Status> ends(writers);
  std::vector<std::thread> threads;
  threads.reserve(writers);
  for (std::size_t i = 0; i < writers; ++i) {
    threads.emplace_back([&, i] {
      ends[i] = [&]() -> Status {
        KIMBERLITE_TRY(const auto session, database.local_session());
        const std::vector<Event> events(1, Event{"reading", std::string(64, 'e')});
        const std::string stream = fmt::format("sensor-{}", i);
        while (begun.fetch_add(1) < records) {
          KIMBERLITE_TRY(const Commit done, session->append(stream, Expect::any(), events));
          static_cast<void>(done);
        }
        return {};
      }();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Status& end : ends) KIMBERLITE_CHECK(std::move(end));
  return {};
}

Status fill_and_wait(const std::string& directory, std::uint64_t records) {
  KIMBERLITE_TRY(Opened ours, open_database(directory));
  KIMBERLITE_CHECK(append_until(*ours.database, records));
  while (true) {
    KIMBERLITE_TRY(const engine::StatusReport status, ours.database->engine().status());
    if (static_cast<double>(status.ring_used) >=
        ring_wanted * static_cast<double>(status.ring_size)) {
      break;
    }
    KIMBERLITE_CHECK(append_until(*ours.database, 1000));
  }
  if (::write(STDOUT_FILENO, "f", 1) != 1) return process_error("telling the parent");
  while (true) ::pause();
}

std::vector<NamedCase> process_cases() {
  return {{"open_after_crash", open_after_crash}, {"import_memory", import_memory}};
}

}  // namespace kimberlite::bench
