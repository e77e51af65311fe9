#include "command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>

namespace kimberlite::cli {
namespace {

constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();

const std::map<std::string, OnError> sql_on_error{{"stop", OnError::stop},
                                                  {"continue", OnError::go_on}};
const std::map<std::string, OnError> import_on_error{{"stop", OnError::stop},
                                                     {"skip", OnError::go_on}};

std::string name_value(const std::string& text) {
  return text.find('=') > 0 && text.find('=') != std::string::npos ? "" : "name=value is wanted";
}

// A whole number from `least` on: CLI11 alone takes -1, and as the largest what is larger.
std::function<std::string(const std::string&)> whole_number(std::uint64_t least) {
  return [least](const std::string& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_one = error == std::errc{} && end == text.data() + text.size();
    if (is_one && number >= least) return std::string{};
    return fmt::format("{} is no whole number from {} to 2^64 - 1", text, least);
  };
}

// "head show", without the program's name.
std::string path_of(const CLI::App* app) {
  std::string names;
  for (; app->get_parent() != nullptr; app = app->get_parent()) {
    names = names.empty() ? app->get_name() : fmt::format("{} {}", app->get_name(), names);
  }
  return names;
}

// Help that shows a command's words as they are meant, not as one list.
class HelpFormatter final : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::function<std::string_view(const CLI::App*)> usage)
      : usage_(std::move(usage)) {
    column_width(34);
  }

  // NOLINTNEXTLINE(readability-identifier-naming): CLI11's name.
  std::string make_usage(const CLI::App* app, std::string /*name*/) const override {
    std::string text = "Usage: kimberlite";
    const auto add = [&text](std::string_view part) {
      if (!part.empty()) text += fmt::format(" {}", part);
    };
    const bool is_group = app->get_require_subcommand_min() > 0;
    add(path_of(app));
    add(is_group ? "COMMAND" : usage_(app));
    add(is_group ? "" : "[options]");
    return text + "\n";
  }
  std::string make_positionals(const CLI::App* /*app*/) const override { return {}; }

 private:
  std::function<std::string_view(const CLI::App*)> usage_;
};

}  // namespace

CommandLine::CommandLine()
    : app_("A compliance-first database: an immutable log, and views of it.") {
  app_.name("kimberlite");
  app_.require_subcommand(1);
  app_.formatter(std::make_shared<HelpFormatter>([this](const CLI::App* app) {
    const auto found = std::ranges::find(leaves_, app, &Leaf::app);
    return found == leaves_.end() ? std::string_view{} : found->shape.usage;
  }));
  add_export_and_init();
  add_sql();
  add_import();
  add_evidence();
  add_operation();
  // Last: a command made after it would take it over.
  app_.footer(
      "A TARGET is a data directory (./clinic), :memory:, or @name from the configuration. Left "
      "out:\n"
      "KIMBERLITE_TARGET, the configuration, then the current directory if it is a data "
      "directory.\n\n"
      "  kimberlite init clinic\n"
      "  kimberlite import clinic patients.csv --create --primary-key id\n"
      "  kimberlite sql clinic -c \"SELECT * FROM patients AS OF POSITION 3\"\n\n"
      "kimberlite COMMAND --help shows a command's options, with examples.");
}

template <class Options>
Options& CommandLine::add(CLI::App& parent, const std::string& name, const std::string& summary,
                          Shape shape) {
  CLI::App* app = parent.add_subcommand(name, summary);
  leaves_.push_back({app, shape, std::make_unique<CommandOptions>(Options{})});
  app->add_option("words", parsed_.words);  // shown by `HelpFormatter`
  common();
  return std::get<Options>(*leaves_.back().options);
}

void CommandLine::examples(const std::string& text) { last().footer(text); }

void CommandLine::setting(const std::string& option, const std::string& name,
                          const std::string& help) {
  last()
      .add_option_function<std::string>(
          option,
          [this, name](const std::string& value) { parsed_.invocation.settings[name] = value; },
          help)
      ->group("Everywhere");
}

void CommandLine::common() {
  Invocation& invocation = parsed_.invocation;
  setting("--target", "target", "data directory, :memory: or @name");
  setting("--tenant", "tenant", "the tenant to work in (default: main)");
  setting("--key-file", "key_file", "the master key's file");
  setting("--format", "output.format", "table, json, jsonl or csv");
  setting("--timeout", "timeout", "give up after this long: 500ms, 30s, 5m");
  last()
      .add_option("--config", invocation.config_file, "use this configuration file")
      ->group("Everywhere");
  last()
      .add_flag("--quiet", invocation.quiet, "no messages, only data and errors")
      ->group("Everywhere");
  last().add_flag("--dry-run", invocation.dry_run, "say what would be done")->group("Everywhere");
  last().add_flag("--yes", invocation.yes, "do not ask")->group("Everywhere");
}

void CommandLine::write(WriteOptions& options) {
  last().add_option("--reason", options.reason, "why: it is recorded with the write");
  last().add_option("--correlation-id", options.correlation_id,
                    "a UUID that ties records together");
  last().add_option("--idempotency-key", options.idempotency_key,
                    "same key and request, same answer: safe to run again");
}

void CommandLine::add_export_and_init() {
  auto& init = add<InitOptions>(app_, "init", "DIR: make a data directory, a cluster of one",
                                {1, 1, "DIR", "the directory to make"});
  last()
      .add_option_function<std::string>(
          "--profile", [&init](const std::string& name) { init.production = name == "production"; },
          "dev or production")
      ->check(CLI::IsMember({"dev", "production"}));
  examples(
      "The master key is written outside DIR: copy it somewhere safe, without it there is no "
      "data.\n\n"
      "  kimberlite init clinic\n"
      "  kimberlite init clinic --key-file /media/stick/clinic.key");

  auto& chosen = add<ExportOptions>(app_, "export", "write a table, a query or all tables to files",
                                    {0, 0, "[TARGET]", ""});
  last().add_option("--table", chosen.table, "this table");
  last().add_option("-c", chosen.statement, "the rows of this SELECT");
  last().add_flag("--all", chosen.all, "every table: -o is then a directory");
  last().add_option("-o,--output", chosen.output, "file (.csv, .jsonl) or directory")->required();
  last().add_option("--as-of", chosen.as_of, "as it was at this position or time");
  last().add_flag("--receipts", chosen.receipts,
                  "a directory that proves each row: it discloses the records they are from");
  examples(
      "  kimberlite export clinic --table patients -o patients.csv\n"
      "  kimberlite export clinic --all -o everything --as-of 1200\n"
      "  kimberlite export clinic -c \"SELECT id, city FROM patients\" -o cities.jsonl\n"
      "  kimberlite export clinic --table patients --receipts -o patients-proved\n"
      "  kimberlite_verify.py export patients-proved --log-key clinic.vkey");
}

void CommandLine::add_sql() {
  auto& sql =
      add<SqlOptions>(app_, "sql", "run SQL; on a terminal, a shell", {0, 0, "[TARGET]", ""});
  last().add_option("-c", sql.statements, "a statement; may be repeated")->allow_extra_args(false);
  last().add_option("-f,--file", sql.file, "a script; - is standard input");
  last().add_flag("--atomic", sql.atomic, "all statements or none: one record");
  last()
      .add_option("--on-error", sql.on_error, "stop (default) or continue with the next statement")
      ->transform(CLI::CheckedTransformer(sql_on_error).description(""))
      ->option_text("stop|continue");
  last()
      .add_option_function<std::vector<std::string>>(
          "--param",
          [&sql](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              const std::size_t split = text.find('=');
              sql.parameters.emplace_back(text.substr(0, split), text.substr(split + 1));
            }
          },
          "name=value for $name; may be repeated")
      ->allow_extra_args(false)
      ->check(CLI::Validator{[](std::string& text) { return name_value(text); }, ""})
      ->option_text("NAME=VALUE");
  last().add_option("--as-of", sql.as_of, "read as of this position or time");
  last().add_option("--purpose", sql.purpose, "what the reading is for");
  write(sql.write);
  examples(
      "  kimberlite sql clinic\n"
      "  kimberlite sql clinic -c \"SELECT count(*) FROM patients\" --format csv\n"
      "  kimberlite sql clinic -c \"UPDATE patients SET city = 'Salem' WHERE id = 7\" --reason "
      "moved\n"
      "  kimberlite sql clinic -f schema.sql --atomic");
}

void CommandLine::add_import() {
  auto& import = add<ImportOptions>(app_, "import", "FILE...: load CSV or NDJSON files into tables",
                                    {1, any_number, "[TARGET] FILE...", "the file to import"});
  last().add_option("--table", import.table, "into this table (default: the file's name)");
  last().add_flag("--create", import.create, "make the table; types are taken from the values");
  last()
      .add_option("--primary-key", import.primary_key, "with --create: its column or columns")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->option_text("C[,C]");
  last().add_option("--class", import.data_class, "with --create: phi, pii, pci, ...");
  last().add_option("--subject", import.subject, "with --create: whom a row is about, patient=C");
  last()
      .add_option("--on-error", import.on_error, "stop (default) or skip the record")
      ->transform(CLI::CheckedTransformer(import_on_error).description(""))
      ->option_text("stop|skip");
  last().add_option("--rejects", import.rejects, "write skipped records here");
  last().add_flag("--atomic", import.atomic, "all records or none: one record of the log");
  write(import.write);
  examples(
      "An interrupted import goes on where it stopped: run it again.\n\n"
      "  kimberlite import clinic patients.csv --create --primary-key id --class phi --subject "
      "patient=id\n"
      "  kimberlite import clinic visits.csv --on-error skip --rejects bad.csv");
}

void CommandLine::add_evidence() {
  auto& log = add<LogOptions>(app_, "log", "records of the log", {0, 0, "[TARGET]", ""});
  last().add_option("--stream", log.stream, "of this stream or table");
  last().add_option("--since", log.since, "from this position or time on");
  last().add_option("--until", log.until, "up to this position or time");
  last().add_flag("--follow", log.follow, "go on as records are added");
  examples("  kimberlite log clinic --since 100\n  kimberlite log clinic --stream orders --follow");

  auto& history = add<HistoryOptions>(app_, "history", "TABLE [KEY]: every version of a row",
                                      {1, any_number, "[TARGET] TABLE [KEY]...", "the table"});
  last().add_flag("--diff", history.diff, "only what changed from version to version");
  examples("  kimberlite history clinic patients 7\n  kimberlite history clinic patients 7 --diff");

  auto& verify = add<VerifyOptions>(app_, "verify", "check every byte, hash and tree; needs no key",
                                    {0, 0, "[TARGET]", ""});
  last().add_option("--log-key", verify.log_key,
                    "the log's public key, that its heads must be signed by: a line or its file");
  last().add_option("--since", verify.since,
                    "the file of a signed head: go on from it, and check that the log extends it");
  last().add_flag("--projection", verify.projection,
                  "also that all rows, past ones too, are what the log says");
  examples(
      "Exits 0 only if all of it was checked and is right.\n\n"
      "  kimberlite verify clinic --log-key clinic.vkey\n"
      "  kimberlite verify clinic --projection\n"
      "  kimberlite verify clinic --log-key clinic.vkey --since yesterday.head");

  auto& audit = add<AuditOptions>(app_, "audit", "who did what, and why", {0, 0, "[TARGET]", ""});
  last().add_option("--actor", audit.actor, "only this actor, os:ann");
  last().add_option("--class", audit.data_class, "only this class of action");
  last().add_option("--since", audit.since, "from this position or time on");
  last().add_option("--until", audit.until, "up to this position or time");
  examples("  kimberlite audit clinic --actor os:ann --since 2026-11-01");

  add_proofs();
}

void CommandLine::add_proofs() {
  CLI::App* head = app_.add_subcommand("head", "signed heads: how large the log is, and its root");
  head->require_subcommand(1);
  auto& shown =
      add<HeadOptions>(*head, "show", "the log as it is now, signed", {0, 0, "[TARGET]", ""});
  last().add_flag("--all", shown.all, "every head that was signed, the newest first");
  examples("  kimberlite head show clinic");
  auto& published = add<HeadOptions>(*head, "publish", "the signed head as a file for others",
                                     {0, 0, "[TARGET]", ""});
  published.action = HeadAction::publish;
  last().add_option("-o,--output", published.output, "the file (default: stdout)");
  last().add_option("--tiles", published.tiles,
                    "a directory for the head and all hashes of the tree: never records");
  examples(
      "Whoever keeps it will notice a log that was rolled back or rewritten.\n\n"
      "  kimberlite head publish clinic -o monday.head\n"
      "  kimberlite head publish clinic --tiles public");
  auto& proved = add<HeadOptions>(*head, "prove", "A [B]: that head B extends head A",
                                  {1, 2, "[TARGET] A [B]", "the older head"});
  proved.action = HeadAction::prove;
  last().add_option("-o,--output", proved.output, "the file (default: stdout)");
  examples(
      "A and B are files of heads, or sizes of heads that were signed; B is the log as it is now,\n"
      "if it is left out.\n\n  kimberlite head prove clinic monday.head -o since-monday.proof");
  add<HeadOptions>(*head, "trust", "accept the log that stands where a remembered one was",
                   {0, 0, "[TARGET]", ""})
      .action = HeadAction::trust;
  examples(
      "After integrity.new_epoch, if a restore is the reason: shows both logs, and asks.\n\n"
      "  kimberlite head trust clinic");

  add_anchor(*head);

  CLI::App* receipt =
      app_.add_subcommand("receipt", "a record and the proof that it is in the log");
  receipt->require_subcommand(1);
  auto& get = add<ReceiptOptions>(*receipt, "get", "POSITION: the receipt of a record",
                                  {1, 1, "[TARGET] POSITION", "the record's position"});
  get.action = ReceiptAction::get;
  last().add_option("-o,--output", get.output, "the file (default: stdout)");
  last().add_option(
      "--item", get.item,
      "disclose this item of the record, from 0: whoever has the receipt can read it");
  last().add_flag("--cose", get.cose, "as COSE (RFC 9942) instead of text");
  examples(
      "Without --item it proves that the record is in the log, and shows nothing that was "
      "written.\n\n"
      "  kimberlite receipt get clinic 4 --item 0 -o moved.receipt");
  auto& check = add<ReceiptOptions>(*receipt, "check", "FILE: whether it holds; offline",
                                    {1, 1, "FILE --log-key KEY", "the file of the receipt"});
  check.action = ReceiptAction::check;
  last().add_option("--log-key", check.log_key,
                    "the log's public key: a line like kimberlite/<log id>+..., or its file");
  examples(
      "Needs no database, only the key, which must have come another way than the receipt.\n\n"
      "  kimberlite receipt check moved.receipt --log-key clinic.vkey");
  add<ReceiptOptions>(*receipt, "show", "FILE: what it says, unchecked",
                      {1, 1, "FILE", "the file of the receipt"})
      .action = ReceiptAction::show;

  add<InspectOptions>(app_, "inspect", "FILE: decode any file of a data directory, byte by byte",
                      {1, 1, "FILE", "the file to inspect"});
  examples("Opens nothing for writing.\n\n  kimberlite inspect clinic/journal");
}

void CommandLine::add_anchor(CLI::App& head) {
  auto& anchor =
      add<AnchorOptions>(head, "anchor", "put the head where you could not change it, and remember",
                         {0, 0, "[TARGET]", ""});
  last().add_option("--directory", anchor.directory,
                    "a directory of another: a file a head, never written twice");
  last().add_option("--file", anchor.file, "one file of another, never written twice");
  last().add_option("--timestamp", anchor.timestamp, "URL: ask a time stamp authority (RFC 3161)");
  last().add_option("--timestamp-request", anchor.timestamp_request,
                    "instead: write what a time stamp authority (RFC 3161) is to be sent");
  last().add_option("--timestamp-response", anchor.timestamp_response,
                    "with the request: what it answered");
  last().add_option("--timestamp-ca", anchor.timestamp_ca,
                    "with an answer: the certificates you believe it by, PEM");
  last().add_option("--witness", anchor.witness,
                    "URL: ask a witness (C2SP tlog-witness), at URL/add-checkpoint");
  last().add_option("--witness-request", anchor.witness_request,
                    "instead: write what a witness (C2SP tlog-witness) is to be sent");
  last().add_option("--witness-response", anchor.witness_response,
                    "with the request: what it answered");
  last().add_option("--witness-key", anchor.witness_key, "its public key: a line or its file");
  last()
      .add_option("--witness-size", anchor.witness_size,
                  "the size it says it has seen, if it answered 409")
      ->check(CLI::NonNegativeNumber);
  examples(
      "A log that was rewritten whole, with its own key, verifies; a head of it that is elsewhere\n"
      "tells. Run it every day. Exits 3 if the place has seen another history.\n\n"
      "  kimberlite head anchor clinic --directory /mnt/auditor\n"
      "  kimberlite head anchor clinic --timestamp https://tsa.example/ --timestamp-ca tsa.pem\n"
      "  kimberlite head anchor clinic --witness https://witness.example/w1 --witness-key "
      "w1.vkey\n\n"
      "Where this machine has no network, what is to be sent is written to a file:\n\n"
      "  kimberlite head anchor clinic --timestamp-request now.tsq\n"
      "  kimberlite head anchor clinic --timestamp-request now.tsq --timestamp-response now.tsr "
      "\\\n"
      "      --timestamp-ca tsa.pem");
}

void CommandLine::add_operation() {
  CLI::App* tenant = app_.add_subcommand("tenant", "tenants: own logs, tables and keys");
  tenant->require_subcommand(1);
  add<TenantOptions>(*tenant, "create", "NAME: a new tenant", {0, 1, "[TARGET] NAME", ""}).action =
      TenantAction::create;
  examples("  kimberlite tenant create clinic north");
  add<TenantOptions>(*tenant, "list", "all tenants", {0, 0, "[TARGET]", ""}).action =
      TenantAction::list;
  add<TenantOptions>(*tenant, "show", "NAME: one tenant", {0, 1, "[TARGET] NAME", ""}).action =
      TenantAction::show;

  add_backups();

  CLI::App* key = app_.add_subcommand("key", "encryption keys: never their material");
  key->require_subcommand(1);
  add<KeyOptions>(*key, "status", "keys, their age and use", {0, 0, "[TARGET]", ""}).action =
      KeyAction::status;
  add<KeyOptions>(*key, "rotate", "a new data key for what is written from now on",
                  {0, 0, "[TARGET]", ""})
      .action = KeyAction::rotate;
  examples("  kimberlite key rotate clinic");
  auto& escrow = add<KeyOptions>(*key, "escrow", "all keys, sealed to the master key, as a file",
                                 {0, 0, "[TARGET]", ""});
  escrow.action = KeyAction::escrow;
  last().add_option("-o,--output", escrow.output, "the file; replaced")->required();
  examples(
      "A restore needs it beside the backup and the master key.\n\n"
      "  kimberlite key escrow clinic -o /safe/clinic.escrow");

  add<StatusOptions>(app_, "status", "tenants, heads, sizes, keys", {0, 0, "[TARGET]", ""});
  add<DoctorOptions>(app_, "doctor", "look for what is wrong, and say what to do",
                     {0, 0, "[TARGET]", ""});

  CLI::App* config = app_.add_subcommand("config", "the configuration");
  config->require_subcommand(1);
  add<ConfigOptions>(*config, "show", "every setting, and where its value comes from",
                     {0, 0, "[TARGET]", ""});

  add<CompletionOptions>(app_, "completion", "SHELL: a completion script for bash, zsh or fish",
                         {1, 1, "SHELL", "the shell: bash, zsh or fish"});
  examples("  kimberlite completion bash > /etc/bash_completion.d/kimberlite");

  add<VersionOptions>(app_, "version", "the version, and what it is built of",
                      {0, 0, "[TARGET]", ""});

  auto& bench = add<BenchOptions>(app_, "bench", "measure this machine: writes, reads, verify",
                                  {0, 0, "[TARGET]", ""});
  last()
      .add_option("--seconds", bench.seconds, "for each measurement (default: 5)")
      ->check(CLI::Range(1, 600));
  examples("Works in a directory of its own below the target, removed afterwards.");

  add_vopr();
}

void CommandLine::add_vopr() {
  CLI::App* vopr = app_.add_subcommand("vopr", "groups of this database in a simulator");
  vopr->require_subcommand(1);
  const auto add_action = [&](const std::string& name, const std::string& summary,
                              VoprAction action) -> VoprOptions& {
    auto& options = add<VoprOptions>(*vopr, name, summary, {0, 0, "", ""});
    options.action = action;
    last()
        .add_option("--seed", options.seed, "what all of a life follows from (default: 1)")
        ->check(whole_number(0));
    last()
        .add_option("--replicas", options.replicas, "3 or 5 (default: the seed chooses)")
        ->check(CLI::IsMember({3, 5}));
    last().add_flag("--beyond", options.beyond,
                    "damage more than the redundancy covers: it may refuse, and must not guess");
    return options;
  };
  auto& run =
      add_action("run", "lives of many seeds, each with faults of its own", VoprAction::run);
  last().add_option("--count", run.count, "so many seeds (default: 20)")->check(whole_number(1));
  CLI::Option* scenario = last().add_option(
      "--scenario", run.scenarios, "a story from this file instead; may be given several times");
  last().add_option("--svg", run.svg, "where the timeline of a life with a finding goes");
  last().add_flag("--require-probes", run.require_probes,
                  "also fail if a rare branch of the code was never taken");
  for (const char* of_lives :
       {"--seed", "--replicas", "--beyond", "--count", "--svg", "--require-probes"}) {
    scenario->excludes(last().get_option(of_lives));
  }
  examples(
      "Needs no database. Exits 3 when an invariant does not hold, and says how to see it again.\n"
      "The same seeds give the same digest on every machine.\n\n"
      "  kimberlite vopr run --count 100\n"
      "  kimberlite vopr run --scenario tests/scenarios/the-primary-dies.scn\n"
      "  kimberlite vopr run --seed 5000 --count 1000 --replicas 5 --format jsonl");
  auto& repro = add_action("repro", "the life of one seed, told event by event", VoprAction::repro);
  last().add_option("--svg", repro.svg, "a picture of it: who was primary, down, cut off, when");
  last().add_option("--steps", repro.steps, "only these steps of the clients: 0-4,7");
  last().add_option("--incidents", repro.incidents, "only these incidents: 3,9-11, or none");
  examples("  kimberlite vopr repro --seed 7 --replicas 3 --svg seed-7.svg");
  auto& minimise = add_action("minimise", "the smallest part of a life that ends the same way",
                              VoprAction::minimise);
  last().add_option("--svg", minimise.svg, "a picture of what is left");
  last()
      .add_option("--lives", minimise.lives, "try at most so many (default: 2000)")
      ->check(whole_number(1));
  examples("  kimberlite vopr minimise --seed 7 --replicas 3");
  auto& scenarios = add<VoprOptions>(
      *vopr, "scenarios", "the stories of a directory, and what each shows", {0, 0, "", ""});
  scenarios.action = VoprAction::scenarios;
  last().add_option("--directory", scenarios.directory,
                    "where they are (default: tests/scenarios)");
  examples(
      "  kimberlite vopr scenarios\n"
      "  kimberlite vopr run --scenario tests/scenarios/the-primary-dies.scn");
  auto& stats =
      add_action("stats", "how often each rare branch of the code was taken", VoprAction::stats);
  last()
      .add_option("--count", stats.count, "in the lives of so many seeds (default: 20)")
      ->check(whole_number(1));
  examples("  kimberlite vopr stats --count 100 --format csv");
}

void CommandLine::add_backups() {
  CLI::App* backup = app_.add_subcommand("backup", "backups: taken, listed, checked, tried");
  backup->require_subcommand(1);
  add<BackupOptions>(*backup, "create", "REPOSITORY: what is new, into a directory of backups",
                     {1, 1, "[TARGET] REPOSITORY", "the directory of the backups"})
      .action = BackupAction::create;
  examples("  kimberlite backup create clinic /mnt/backups/clinic");
  add<BackupOptions>(*backup, "list", "REPOSITORY: the backups there are",
                     {1, 1, "REPOSITORY", "the directory of the backups"})
      .action = BackupAction::list;
  auto& verify = add<BackupOptions>(*backup, "verify", "REPOSITORY: every byte; needs no key",
                                    {1, 1, "REPOSITORY", "the directory of the backups"});
  verify.action = BackupAction::verify;
  last().add_option("--backup", verify.backup, "this one of the list (default: the newest)");
  last().add_option("--log-key", verify.log_key,
                    "the log's public key, that its heads must be signed by: a line or its file");
  auto& drill = add<BackupOptions>(*backup, "drill",
                                   "REPOSITORY: restore to a scratch directory, and compare",
                                   {1, 1, "[TARGET] REPOSITORY", "the directory of the backups"});
  drill.action = BackupAction::drill;
  last().add_option("--backup", drill.backup, "this one of the list (default: the newest)");
  last().add_option("--scratch", drill.scratch,
                    "restore below this directory (default: beside the data directory)");
  examples("  kimberlite backup drill clinic /mnt/backups/clinic");

  auto& restore =
      add<RestoreOptions>(app_, "restore", "REPOSITORY DIR: a backup into a new directory",
                          {2, 2, "REPOSITORY DIR", "the backups, or the new directory"});
  last()
      .add_option("--escrow", restore.escrow, "the file of the keys: kimberlite key escrow")
      ->required();
  last().add_option("--backup", restore.backup, "this one of the list (default: the newest)");
  last().add_option("--until", restore.until, "only up to this position of --tenant, or this time");
  last().add_option("--reason", restore.reason, "why; it stands in the log");
  examples(
      "The restored logs go on under new names and keys, and say so in their first new record.\n\n"
      "  kimberlite restore /mnt/backups/clinic clinic2 --escrow /safe/clinic.escrow\n"
      "  kimberlite restore /mnt/backups/clinic before --escrow /safe/clinic.escrow --until 4711");
}

const CLI::App* CommandLine::deepest() const {
  const CLI::App* app = &app_;
  while (true) {  // two levels at most
    const std::vector<CLI::App*> chosen = app->get_subcommands();
    if (chosen.empty()) return app;
    app = chosen.front();
  }
}

const CommandLine::Leaf* CommandLine::leaf() const {
  const auto found = std::ranges::find(leaves_, deepest(), &Leaf::app);
  return found == leaves_.end() ? nullptr : &*found;
}

std::string CommandLine::chosen() const { return path_of(deepest()); }

Parsed& CommandLine::take() {
  if (const Leaf* chosen_leaf = leaf()) parsed_.invocation.options = *chosen_leaf->options;
  parsed_.invocation.command = chosen();
  return parsed_;
}

Shape CommandLine::shape() const {
  const Leaf* chosen_leaf = leaf();
  return chosen_leaf == nullptr ? Shape{} : chosen_leaf->shape;
}

std::string CommandLine::help() const {
  const CLI::App* app = deepest();
  return app->help();
}

std::vector<std::string> CommandLine::command_names() const {
  std::vector<std::string> names;
  for (const CLI::App* app : app_.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(app->get_name());
  }
  return names;
}

}  // namespace kimberlite::cli
