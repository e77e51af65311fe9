// The command line as values: what was asked, checked as far as words alone can be.
//
// Options that are settings too (--target, --tenant, --format, ...) stay texts by the setting's
// name and go to `Configuration` as its topmost layer. Errors: `usage.command` (no such command,
// with the nearest), `usage.option` (everything else). Thread rule: pure functions. Source: the
// manual's page on the command.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace kimberlite::cli {

enum class OnError : std::uint8_t { stop, go_on };

// What a command that writes may say about the write.
struct WriteOptions {
  std::optional<std::string> reason;
  std::optional<std::string> correlation_id;   // a UUID
  std::optional<std::string> idempotency_key;  // any text
};

struct InitOptions {
  std::string directory;
  bool production = false;  // --profile production
};
struct SqlOptions {
  std::vector<std::string> statements;  // -c, in order
  std::optional<std::string> file;      // -f
  bool atomic = false;
  OnError on_error = OnError::stop;
  std::vector<std::pair<std::string, std::string>> parameters;  // --param name=value
  std::optional<std::string> as_of;                             // a position, a time, or `latest`
  std::optional<std::string> purpose;
  WriteOptions write;
};
struct ImportOptions {
  std::vector<std::string> files;
  std::optional<std::string> table;  // default: the file's name without its ending
  bool create = false;
  std::vector<std::string> primary_key;  // a,b
  std::optional<std::string> data_class;
  std::optional<std::string> subject;  // patient=id
  OnError on_error = OnError::stop;    // go_on: --on-error skip
  std::optional<std::string> rejects;
  bool atomic = false;
  WriteOptions write;
};
struct ExportOptions {
  std::optional<std::string> table;
  std::optional<std::string> statement;
  bool all = false;
  bool receipts = false;  // a package that proves its rows
  std::string output;
  std::optional<std::string> as_of;
};
struct LogOptions {
  std::optional<std::string> stream;
  std::optional<std::string> since;
  std::optional<std::string> until;
  bool follow = false;
};
struct HistoryOptions {
  std::string table;
  std::vector<std::string> key;  // a value a key column
  bool diff = false;
};
struct VerifyOptions {
  std::vector<std::string> since;      // files of signed heads
  std::optional<std::string> log_key;  // a key line, or the file of one
  bool projection = false;
};
struct AuditOptions {
  std::optional<std::string> actor;
  std::optional<std::string> data_class;
  std::optional<std::string> since;
  std::optional<std::string> until;
};
enum class HeadAction : std::uint8_t { show, publish, prove, trust };
struct HeadOptions {
  HeadAction action = HeadAction::show;
  bool all = false;                   // show: every head that was signed
  std::optional<std::string> output;  // publish, prove: a file; default stdout
  std::optional<std::string> tiles;   // publish: a directory for the head and its tiles
  std::string older;                  // prove: a size, or the file of a head
  std::optional<std::string> newer;   // the same; default the log as it is
};
struct AnchorOptions {
  std::optional<std::string> file;                // a head, written once
  std::optional<std::string> directory;           // heads of all sizes, each written once
  std::optional<std::string> timestamp;           // the URL of an authority, asked
  std::optional<std::string> timestamp_request;   // written; with a response, read
  std::optional<std::string> timestamp_response;  // of the authority
  std::optional<std::string> timestamp_ca;        // certificates that it is believed by, PEM
  std::optional<std::string> witness;             // the URL of a witness, asked
  std::optional<std::string> witness_request;     // written; with a response, read
  std::optional<std::string> witness_response;    // of the witness
  std::optional<std::string> witness_key;         // a key line, or the file of one
  std::optional<std::uint64_t> witness_size;      // what the witness says it has seen
};
struct InspectOptions {
  std::string file;
};
enum class ReceiptAction : std::uint8_t { get, check, show };
struct ReceiptOptions {
  ReceiptAction action = ReceiptAction::check;
  std::string file;                    // check, show
  std::string position;                // get
  std::optional<std::uint32_t> item;   // get: disclosed with it
  bool cose = false;                   // get
  std::optional<std::string> output;   // get: a file; default stdout
  std::optional<std::string> log_key;  // a key line, or the file of one
};
enum class TenantAction : std::uint8_t { create, list, show };
struct TenantOptions {
  TenantAction action = TenantAction::list;
  std::optional<std::string> name;
};
enum class BackupAction : std::uint8_t { create, list, verify, drill };
struct BackupOptions {
  BackupAction action = BackupAction::list;
  std::string repository;
  std::optional<std::uint64_t> backup;  // verify, drill; default the newest
  std::optional<std::string> log_key;   // verify: a key line, or the file of one
  std::optional<std::string> scratch;   // drill: a directory to restore below
};
struct RestoreOptions {
  std::string repository;
  std::string directory;
  std::string escrow;                   // file
  std::optional<std::uint64_t> backup;  // default the newest
  std::optional<std::string> until;     // a position or a time
  std::optional<std::string> reason;
};
enum class KeyAction : std::uint8_t { status, rotate, escrow };
struct KeyOptions {
  std::string output;  // escrow: a file
  KeyAction action = KeyAction::status;
};
struct StatusOptions {};
struct DoctorOptions {};
struct ConfigOptions {};  // config show
struct CompletionOptions {
  std::string shell;
};
struct VersionOptions {};
struct BenchOptions {
  std::uint64_t seconds = 5;  // a measurement
};

enum class VoprAction : std::uint8_t { run, repro, minimise, scenarios, stats };
struct VoprOptions {
  VoprAction action = VoprAction::run;
  std::uint64_t seed = 1;
  std::uint64_t count = 20;                   // run, stats: seeds from `seed` on
  std::optional<std::uint32_t> replicas;      // else each seed chooses
  bool beyond = false;                        // more is damaged than the redundancy covers
  bool require_probes = false;                // run
  std::optional<std::string> svg;             // run, repro, minimise: the timeline's file
  std::optional<std::string> steps;           // repro: only these of the plan, "0-4,7"
  std::optional<std::string> incidents;       // the same
  std::uint64_t lives = 2000;                 // minimise: tried at most
  std::vector<std::string> scenarios;         // run: files, told instead of lives
  std::string directory = "tests/scenarios";  // scenarios: where they are
};

using CommandOptions =
    std::variant<InitOptions, SqlOptions, ImportOptions, ExportOptions, LogOptions, HistoryOptions,
                 VerifyOptions, AuditOptions, HeadOptions, AnchorOptions, InspectOptions,
                 ReceiptOptions, TenantOptions, BackupOptions, RestoreOptions, KeyOptions,
                 StatusOptions, DoctorOptions, ConfigOptions, CompletionOptions, VersionOptions,
                 BenchOptions, VoprOptions>;

struct Invocation {
  std::string command;  // "sql", "head show"
  CommandOptions options;
  std::map<std::string, std::string> settings;  // target, tenant, key_file, timeout, output.format
  std::optional<std::string> config_file;
  bool quiet = false;
  bool dry_run = false;
  bool yes = false;
};

// A text to show instead of doing anything: --help, and nothing at all.
struct Help {
  std::string text;
};

// `arguments` without the program's name. `is_directory` says whether a word names a data
// directory: it tells a target from a table or file where both may stand.
[[nodiscard]] Result<std::variant<Invocation, Help>> parse_options(
    std::span<const std::string> arguments,
    const std::function<bool(std::string_view)>& is_directory);

// The script that makes `shell` (bash, zsh, fish) complete commands and options.
[[nodiscard]] Result<std::string> completion_script(std::string_view shell);

// "500ms", "30s", "5m", "2h", or seconds without a unit; in milliseconds. `usage.option`.
[[nodiscard]] Result<std::uint64_t> parse_duration_ms(std::string_view text);

// The candidate most like `word`, empty if none is near.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace kimberlite::cli
