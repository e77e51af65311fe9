#include "app.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "kimberlite/local.hpp"

namespace kimberlite::cli {
namespace {

// A pool thread takes only what nobody came for, so that a waiting command makes no thread hop.
constexpr platform::ExecutorOptions executor_options{.threads = 1, .grace_ns = 5'000'000};

template <class Environment>
class OpenedIn final : public Opened {
 public:
  template <class... Args>
  explicit OpenedIn(Args&&... args) : environment_(std::forward<Args>(args)..., executor_options) {}
  ~OpenedIn() override {
    remember();
    session_.reset();
    database_.reset();
  }
  [[nodiscard]] env::Env env() { return environment_.env(); }

 private:
  Environment environment_;
};

bool is_set(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read only
  return value != nullptr && *value != '\0';
}

}  // namespace

Status StreamOutput::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return Error{Code::unavailable_io, "the output cannot be written"}.why(
          "{}", errno == EPIPE ? "its reader has gone" : "the device refused it");
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::string> InputSource::next() {
  std::string piece(64U << 10U, '\0');
  while (true) {
    const ssize_t size = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (size < 0 && errno == EINTR)
      return Error{Code::interrupted_signal, "reading the input was stopped"};
    if (size < 0) return Error{Code::unavailable_io, "the input cannot be read"};
    piece.resize(static_cast<std::size_t>(size));
    return piece;
  }
}

Terminal look_at_terminal() {
  Terminal terminal;
  terminal.input = isatty(STDIN_FILENO) == 1;
  terminal.output = isatty(STDOUT_FILENO) == 1;
  terminal.errors = isatty(STDERR_FILENO) == 1;
  terminal.colour = terminal.errors && !is_set("NO_COLOR");
  winsize size{};
  if (terminal.errors && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) terminal.width = size.ws_col;
  return terminal;
}

App::App(Invocation invocation, Configuration configuration)
    : invocation_(std::move(invocation)),
      configuration_(std::move(configuration)),
      terminal_(look_at_terminal()),
      format_(format_of(configuration_.get("output.format").value).value_or(Format::table)),
      out_(STDOUT_FILENO),
      messages_(STDERR_FILENO) {}

void App::say(std::string_view line) {
  if (invocation_.quiet) return;
  // Nobody is left to tell when stderr is gone.
  static_cast<void>(messages_.write(std::string{line} + "\n").has_value());
}

Result<std::optional<Context>> App::context() const {
  const std::string& target = configuration_.get("target").value;
  if (!target.starts_with('@')) return std::optional<Context>{};
  KIMBERLITE_TRY(Context found, configuration_.context(target.substr(1)));
  return std::optional{std::move(found)};
}

Result<std::string> App::directory() const {
  std::string target = configuration_.get("target").value;
  KIMBERLITE_TRY(const std::optional<Context> named, context());
  if (named) {
    if (!named->url) {
      return Error{Code::usage_target, "the context {} names no target", target}.where(
          "{}", named->place);
    }
    target = *named->url;
  }
  if (target.starts_with("kimberlite://")) {
    return Error{Code::usage_target,
                 "this version opens directories; it cannot connect to a server"}
        .next("name the data directory on this machine");
  }
  if (!target.empty()) return target;
  const platform::LinuxStorage here{"."};
  platform::LinuxStorage working{"."};
  if (engine::Database::cluster_of(working)) return std::string{"."};
  return Error{Code::usage_target, "no data directory is named, and the working directory is none"}
      .next(
          "name it after the command, with --target, KIMBERLITE_TARGET or in kimberlite.toml; "
          "kimberlite init DIR makes one");
}

std::string App::tenant() const {
  const SettingValue& set = configuration_.get("tenant");
  if (set.origin == Origin::option) return set.value;
  const Result<std::optional<Context>> named = context();
  if (named && *named && (*named)->tenant) return *(*named)->tenant;
  return set.value;
}

std::optional<std::string> App::asked_key() const {
  const SettingValue& set = configuration_.get("key_file");
  if (set.origin == Origin::option && !set.value.empty()) return set.value;
  const Result<std::optional<Context>> named = context();
  if (named && *named && (*named)->key_file) return (*named)->key_file;
  if (!set.value.empty()) return set.value;
  return std::nullopt;
}

Result<std::unique_ptr<keystore::MasterKey>> App::master_key(env::Storage& storage) const {
  KIMBERLITE_TRY(const Id128 cluster, engine::Database::cluster_of(storage));
  platform::LinuxStorage files{""};
  KIMBERLITE_TRY(FoundKey found, find_key(files, random_, asked_key(), cluster));
  return std::move(found.key);
}

std::string App::holder() const { return holder_text("kimberlite " + invocation_.command); }

void Opened::remember() {
  if (!held_) return;
  if (const Status done = memory_->remember(*session_, tenant_); !done) {
    app_->unremembered_ = done.error();
  }
}

std::unique_ptr<HeadMemory> App::head_memory(const Id128& cluster) {
  const std::string& set = configuration_.get("heads_file").value;
  if (set == "off") return nullptr;
  std::string path = set.empty() ? default_heads_path(cluster) : set;
  return std::make_unique<HeadMemory>(files_, random_, std::move(path), cluster);
}

Result<std::unique_ptr<Opened>> App::open() { return open_tenant(tenant()); }

Result<std::unique_ptr<Opened>> App::open_tenant(std::string_view tenant) {
  KIMBERLITE_TRY(std::unique_ptr<Opened> opened, open_unheld(tenant));
  if (HeadMemory* const memory = opened->memory()) {
    KIMBERLITE_CHECK(memory->check(opened->session(), tenant));
    opened->held_ = true;
  }
  return opened;
}

Result<std::unique_ptr<Opened>> App::open_unheld(std::string_view tenant) {
  KIMBERLITE_TRY(const std::string target, directory());
  engine::Options options;
  options.actor = local_actor();
  options.holder = holder();
  std::unique_ptr<Opened> opened;
  if (target == ":memory:") {
    auto memory = std::make_unique<OpenedIn<platform::MemoryEnv>>();
    options.free_bytes_reserve = 0;
    platform::MemoryStorage keys;
    KIMBERLITE_TRY(memory->key_, keystore::FileMasterKey::create(keys, "memory.key", random_));
    engine::CreateOptions create;
    create.actor = options.actor;
    create.free_bytes_reserve = 0;
    KIMBERLITE_CHECK(engine::Database::create(memory->env(), *memory->key_, create));
    KIMBERLITE_TRY(memory->database_,
                   engine::Database::open(memory->env(), *memory->key_, options));
    opened = std::move(memory);
  } else {
    auto on_disk = std::make_unique<OpenedIn<platform::LinuxEnv>>(target);
    KIMBERLITE_TRY(const Id128 cluster, engine::Database::cluster_of(on_disk->env().storage));
    KIMBERLITE_TRY(on_disk->key_, master_key(on_disk->env().storage));
    on_disk->memory_ = head_memory(cluster);
    KIMBERLITE_TRY(on_disk->database_,
                   engine::Database::open(on_disk->env(), *on_disk->key_, options));
    opened = std::move(on_disk);
  }
  opened->app_ = this;
  opened->tenant_ = tenant;
  auto session = opened->database_->session(tenant);
  if (!session) {
    return opened->memory_ ? opened->memory_->explain(session.error(), tenant) : session.error();
  }
  opened->session_ = *std::move(session);
  return opened;
}

WriterOptions App::writer_options() const {
  return {.format = format_,
          .command = invocation_.command,
          .style = {.width_max = terminal_.output ? std::size_t{60} : 0, .dim_null = false},
          .quiet = invocation_.quiet,
          .colour = terminal_.colour};
}

std::unique_ptr<ResultWriter> App::writer(std::string_view command) {
  WriterOptions options = writer_options();
  options.command = command;
  return make_result_writer(options, out_, messages_);
}

Result<std::uint64_t> App::timeout_ns() const {
  const std::string& text = configuration_.get("timeout").value;
  if (text.empty()) return std::uint64_t{0};
  KIMBERLITE_TRY(const std::uint64_t milliseconds, parse_duration_ms(text));
  return milliseconds * 1'000'000;
}

Status write_rows(ResultWriter& writer, const std::vector<Column>& columns,
                  const std::vector<Row>& rows, const Summary& summary) {
  KIMBERLITE_CHECK(writer.begin(columns));
  std::vector<ValueView> views;
  for (const Row& row : rows) {
    views.clear();
    for (const Value& value : row) views.push_back(view(value));
    KIMBERLITE_CHECK(writer.row(views));
  }
  return writer.end(summary);
}

std::string age_text(App& app, TimestampUs time) {
  struct Unit {
    std::uint64_t seconds;
    std::string_view name;
  };
  constexpr std::array units{Unit{86'400, "day"}, Unit{3'600, "hour"}, Unit{60, "minute"},
                             Unit{1, "second"}};
  const std::uint64_t now = app.clock().realtime().value();
  const std::uint64_t seconds = now > time.value() ? (now - time.value()) / 1'000'000 : 0;
  for (const Unit& unit : units) {
    const std::uint64_t count = seconds / unit.seconds;
    if (count > 0) return fmt::format("{} {}{}", count, unit.name, count == 1 ? "" : "s");
  }
  return "0 seconds";
}

Status write_facts(App& app, const std::vector<Column>& columns, const std::vector<Row>& rows,
                   const std::optional<Error>& error) {
  WriterOptions options = app.writer_options();
  options.quiet = true;  // there is no statement to sum up
  const auto writer = make_result_writer(options, app.out(), app.messages());
  KIMBERLITE_CHECK(write_rows(*writer, columns, rows, {.rows = rows.size()}));
  if (error) KIMBERLITE_CHECK(writer->fail(*error, ""));
  return writer->finish();
}

Status remove_tree(platform::LinuxStorage& storage) {
  // Directories in the order they are met, so that behind each stand only those below it.
  std::vector<std::string> directories{""};
  for (std::size_t i = 0; i < directories.size(); ++i) {
    const std::string next = directories[i];
    const auto names = storage.list(next);
    if (!names) continue;
    for (const std::string& name : *names) {
      const std::string path = next.empty() ? name : fmt::format("{}/{}", next, name);
      if (name.ends_with('/')) {
        directories.push_back(path.substr(0, path.size() - 1));
      } else {
        KIMBERLITE_CHECK(storage.remove(path));
      }
    }
  }
  for (std::size_t i = directories.size(); i-- > 1;) {
    KIMBERLITE_CHECK(storage.remove(directories[i]));
  }
  return {};
}

}  // namespace kimberlite::cli
