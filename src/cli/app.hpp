// What every command works with: the invocation, settings, the terminal, files, the opened
// database.
//
// Data goes to stdout, everything else to stderr. Commands are functions `Result<int> run_…(App&,
// options)` that give the exit status; an error is laid out by `main`. Thread rule: one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/configuration.hpp"
#include "cli/options.hpp"
#include "cli/result_writer.hpp"
#include "engine/database.hpp"
#include "engine/verify.hpp"
#include "kimberlite/head_memory.hpp"
#include "platform/env.hpp"
#include "platform/http_client.hpp"

namespace kimberlite::cli {

inline constexpr std::string_view version_text = "0.1.0";

// A file descriptor of ours; a reader that went away is an error of the write.
class StreamOutput final : public Output {
 public:
  explicit StreamOutput(int descriptor) : descriptor_(descriptor) {}
  Status write(std::string_view text) override;

 private:
  int descriptor_;
};

// The standard input, read to its end.
class InputSource final {
 public:
  // The next piece, empty at the end.
  [[nodiscard]] static Result<std::string> next();
};

struct Terminal {
  bool input = false;   // stdin is one
  bool output = false;  // stdout is one
  bool errors = false;  // stderr is one
  bool colour = false;
  std::size_t width = 0;  // of stderr, for progress; 0: none
};
[[nodiscard]] Terminal look_at_terminal();

class App;

// A database and all it stands on, in the order they depend on each other. When it ends, the newest
// head of the tenant's log is remembered.
class Opened {
 public:
  virtual ~Opened() = default;
  [[nodiscard]] engine::Database& database() { return *database_; }
  [[nodiscard]] engine::Session& session() { return *session_; }
  // None: nothing is remembered.
  [[nodiscard]] HeadMemory* memory() { return memory_.get(); }

 protected:
  // Before the session ends.
  void remember();

  App* app_ = nullptr;
  std::unique_ptr<HeadMemory> memory_;
  std::string tenant_;
  bool held_ = false;  // the log was held against the memory, and goes on from it
  std::unique_ptr<keystore::MasterKey> key_;
  std::unique_ptr<engine::Database> database_;
  std::unique_ptr<engine::Session> session_;
  friend class App;
};

class App {
 public:
  App(Invocation invocation, Configuration configuration);

  [[nodiscard]] const Invocation& invocation() const { return invocation_; }
  [[nodiscard]] const Configuration& configuration() const { return configuration_; }
  [[nodiscard]] const Terminal& terminal() const { return terminal_; }
  [[nodiscard]] Format format() const { return format_; }
  [[nodiscard]] Output& out() { return out_; }
  [[nodiscard]] Output& messages() { return messages_; }
  [[nodiscard]] platform::LinuxStorage& files() { return files_; }
  [[nodiscard]] env::Random& random() { return random_; }
  [[nodiscard]] env::Clock& clock() { return clock_; }
  [[nodiscard]] env::HttpClient& http() { return http_; }

  // A line on stderr, unless --quiet.
  void say(std::string_view line);
  // The data directory that is meant: option, setting, context, or the working directory if it is
  // one.
  [[nodiscard]] Result<std::string> directory() const;
  [[nodiscard]] std::string tenant() const;
  // What the configuration says of the target @name; nothing of another target.
  [[nodiscard]] Result<std::optional<Context>> context() const;
  // The master key of the directory's cluster, where it was found.
  [[nodiscard]] Result<std::unique_ptr<keystore::MasterKey>> master_key(
      env::Storage& storage) const;
  // Opens database and session; `tenant` may differ from the setting.
  [[nodiscard]] Result<std::unique_ptr<Opened>> open();
  [[nodiscard]] Result<std::unique_ptr<Opened>> open_tenant(std::string_view tenant);
  // The same, but the log is not held against what is remembered of it, nor remembered.
  [[nodiscard]] Result<std::unique_ptr<Opened>> open_unheld(std::string_view tenant);
  // Why the newest head of a log that was opened could not be remembered, if it could not.
  [[nodiscard]] const std::optional<Error>& unremembered() const { return unremembered_; }
  [[nodiscard]] std::unique_ptr<ResultWriter> writer(std::string_view command);
  [[nodiscard]] WriterOptions writer_options() const;
  // Of --timeout; 0: none.
  [[nodiscard]] Result<std::uint64_t> timeout_ns() const;
  // "pid 4711, kimberlite sql": what a second opener is told.
  [[nodiscard]] std::string holder() const;

 private:
  friend class Opened;
  [[nodiscard]] std::optional<std::string> asked_key() const;
  [[nodiscard]] std::unique_ptr<HeadMemory> head_memory(const Id128& cluster);

  Invocation invocation_;
  Configuration configuration_;
  Terminal terminal_;
  Format format_ = Format::table;
  StreamOutput out_;
  StreamOutput messages_;
  platform::LinuxStorage files_{""};
  mutable platform::SystemRandom random_;
  platform::SystemClock clock_;
  platform::SystemHttpClient http_;
  std::optional<Error> unremembered_;
};

// Rows of a result through its writer.
[[nodiscard]] Status write_rows(ResultWriter& writer, const std::vector<Column>& columns,
                                const std::vector<Row>& rows, const Summary& summary);
// All that a command which only shows facts writes: they are no statement's, so none is summed up.
// With `error` they are those of a command that fails.
[[nodiscard]] Status write_facts(App& app, const std::vector<Column>& columns,
                                 const std::vector<Row>& rows,
                                 const std::optional<Error>& error = {});

// How long ago it was, for people: "3 hours", "2 days".
[[nodiscard]] std::string age_text(App& app, TimestampUs time);

// The log's public key: `given`, a key line or the file of one, else that of the target's context;
// nothing if there is neither.
[[nodiscard]] Result<std::optional<record::VerifierKey>> find_log_key(
    App& app, const std::optional<std::string>& given);
// A key line, or the file of one.
[[nodiscard]] Result<record::VerifierKey> read_key(App& app, const std::string& given);
// A proof to the file that was asked for, else to stdout.
[[nodiscard]] Status write_proof(App& app, const std::optional<std::string>& output,
                                 std::string_view proof);

// Where the key line of a directory's log is put: beside it, under its name.
[[nodiscard]] std::string vkey_path(std::string_view directory);
// `usage.not_empty` if there is such a file: what the heads of an older database of this name are
// checked with is not to be lost.
[[nodiscard]] Status check_vkey(App& app, const std::string& path);
// Removes everything below a directory of ours.
[[nodiscard]] Status remove_tree(platform::LinuxStorage& storage);
// The findings of a report, as errors on stderr; `root` is put before their files.
[[nodiscard]] Status print_findings(App& app, const engine::VerifyReport& report,
                                    std::string_view root);
// Verifies what is no data directory: a file that stands by itself, or a directory of backups or of
// an export. The exit status; nothing if the target is something else.
[[nodiscard]] Result<std::optional<int>> verify_other(App& app, const std::string& target,
                                                      const VerifyOptions& options);
// Runs a verification with a progress line, and reports it; the exit status. `how` gets the rest of
// its options.
[[nodiscard]] Result<int> verify_with_progress(
    App& app, std::string_view root, engine::VerifyOptions how,
    const std::function<Result<engine::VerifyReport>(const engine::VerifyOptions&)>& run);

// The commands, one file each.
[[nodiscard]] Result<int> run_init(App& app, const InitOptions& options);
[[nodiscard]] Result<int> run_sql(App& app, const SqlOptions& options);
[[nodiscard]] Result<int> run_import(App& app, const ImportOptions& options);
[[nodiscard]] Result<int> run_export(App& app, const ExportOptions& options);
[[nodiscard]] Result<int> run_log(App& app, const LogOptions& options);
[[nodiscard]] Result<int> run_history(App& app, const HistoryOptions& options);
[[nodiscard]] Result<int> run_verify(App& app, const VerifyOptions& options);
[[nodiscard]] Result<int> run_audit(App& app, const AuditOptions& options);
[[nodiscard]] Result<int> run_backup(App& app, const BackupOptions& options);
[[nodiscard]] Result<int> run_restore(App& app, const RestoreOptions& options);
[[nodiscard]] Result<int> run_escrow(App& app, const KeyOptions& options);
[[nodiscard]] Result<int> run_head(App& app, const HeadOptions& options);
[[nodiscard]] Result<int> run_trust(App& app);
[[nodiscard]] Result<int> run_anchor(App& app, const AnchorOptions& options);
[[nodiscard]] Result<int> run_inspect(App& app, const InspectOptions& options);
[[nodiscard]] Result<int> run_receipt(App& app, const ReceiptOptions& options);
[[nodiscard]] Result<int> run_tenant(App& app, const TenantOptions& options);
[[nodiscard]] Result<int> run_key(App& app, const KeyOptions& options);
[[nodiscard]] Result<int> run_status(App& app, const StatusOptions& options);
[[nodiscard]] Result<int> run_doctor(App& app, const DoctorOptions& options);
[[nodiscard]] Result<int> run_config(App& app, const ConfigOptions& options);
[[nodiscard]] Result<int> run_completion(App& app, const CompletionOptions& options);
[[nodiscard]] Result<int> run_version(App& app, const VersionOptions& options);
[[nodiscard]] Result<int> run_bench(App& app, const BenchOptions& options);
[[nodiscard]] Result<int> run_vopr(App& app, const VoprOptions& options);
// Its parts that tell stories, or list them.
[[nodiscard]] Result<int> tell_stories(App& app, const VoprOptions& options);
[[nodiscard]] Result<int> list_stories(App& app, const VoprOptions& options);

}  // namespace kimberlite::cli
