#include "support/script.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/assert.hpp"
#include "base/le.hpp"
#include "vopr/prng.hpp"

namespace kimberlite::engine::test {
namespace {

constexpr std::array<std::string_view, 3> tenants{"main", "second", "third"};

// What the writer of the script believes there is; it may be wrong, and is then refused.
struct Table {
  std::string name;
  bool keyed = true;
  std::vector<std::string> texts;  // columns of type TEXT
};

struct Schema {
  std::vector<Table> tables;
  int made = 0;
  int columns = 0;
  int indexes = 0;
};

class Writer {
 public:
  Writer(std::uint64_t seed) : prng_(seed, 77) {}

  std::vector<Step> write(std::size_t count) {
    std::vector<Step> script;
    script.reserve(count);
    for (std::size_t i = 1; i < tenants.size(); ++i) {
      script.push_back({.kind = StepKind::create_tenant, .tenant = std::string{tenants[i]}});
    }
    for (const std::string_view tenant : tenants) {
      for (int i = 0; i < 2; ++i) {
        script.push_back(
            statement(std::string{tenant}, create_table(schemas_[std::string{tenant}])));
      }
    }
    while (script.size() < count) script.push_back(step());
    return script;
  }

 private:
  static Step statement(std::string tenant, std::string text) {
    Step step{.tenant = std::move(tenant)};
    step.texts.push_back(std::move(text));
    return step;
  }

  std::uint64_t below(std::uint64_t bound) { return prng_.below(bound); }

  Step step() {
    const std::string tenant{tenants[below(tenants.size())]};
    Schema& schema = schemas_[tenant];
    const std::uint64_t roll = below(100);
    if (roll < 62) return statement(tenant, change(schema));
    if (roll < 72) return append(tenant);
    if (roll < 80) return transaction(tenant, schema);
    if (roll < 85) return list(tenant, schema);
    if (roll < 92) return statement(tenant, definition(schema));
    if (roll < 95) return statement(tenant, mistake(schema));
    if (roll < 96) return Step{.kind = StepKind::read_now, .tenant = tenant};
    if (roll < 97) return Step{.kind = StepKind::sign, .tenant = tenant};
    if (roll < 98) return Step{.kind = StepKind::rotate_key, .tenant = tenant};
    return Step{.kind = StepKind::reopen};
  }

  Step append(const std::string& tenant) {
    Step step{.kind = StepKind::append, .tenant = tenant, .stream = fmt::format("s{}", below(3))};
    const std::uint64_t events = 1 + below(3);
    for (std::uint64_t i = 0; i < events; ++i) step.texts.push_back(word(1 + below(200)));
    if (below(4) == 0) step.expected = below(12);  // mostly wrong
    return step;
  }

  Step transaction(const std::string& tenant, Schema& schema) {
    Step step{.kind = StepKind::transaction, .tenant = tenant, .rolled_back = below(5) == 0};
    step.texts.push_back(change(schema));
    step.texts.emplace_back("SAVEPOINT a");
    step.texts.push_back(change(schema));
    if (below(2) == 0) step.texts.emplace_back("ROLLBACK TO a");
    step.texts.push_back(change(schema));
    return step;
  }

  Step list(const std::string& tenant, Schema& schema) {
    Step step{.kind = StepKind::list, .tenant = tenant};
    for (std::uint64_t i = 0; i < 2 + below(3); ++i) step.texts.push_back(change(schema));
    return step;
  }

  std::string word(std::size_t size) {
    std::string text;
    while (text.size() < size) text += static_cast<char>('a' + below(26));
    return text;
  }

  Table& pick(Schema& schema) { return schema.tables[below(schema.tables.size())]; }

  std::string row(const Table& table) {
    std::string row = table.keyed ? fmt::format("{}, ", below(40)) : std::string{};
    row += fmt::format("{}, {}.{:02}", below(1000), below(1000), below(100));
    for (std::size_t i = 0; i < table.texts.size(); ++i) {
      row += fmt::format(", '{}'", word(below(30) == 0 ? 3000 + below(30000) : 1 + below(40)));
    }
    return "(" + row + ")";
  }

  std::string change(Schema& schema) {
    const Table& table = pick(schema);
    std::string columns = table.keyed ? "id, b, c" : "b, c";
    for (const std::string& column : table.texts) columns += ", " + column;
    const std::string which =
        table.keyed ? fmt::format("id % 7 = {}", below(7)) : fmt::format("b % 7 = {}", below(7));
    const std::string reason =
        below(3) == 0 ? fmt::format(" WITH REASON '{}'", word(12)) : std::string{};
    switch (below(8)) {
      case 0:
      case 1:
        return fmt::format("INSERT INTO {} ({}) VALUES {}{}", table.name, columns, row(table),
                           reason);
      case 2:
        return fmt::format("INSERT OR REPLACE INTO {} ({}) VALUES {}, {}{}", table.name, columns,
                           row(table), row(table), reason);
      case 3:
        if (!table.keyed) break;
        return fmt::format(
            "INSERT INTO {} ({}) VALUES {}, {} ON CONFLICT (id) DO UPDATE SET b = b + 1{}",
            table.name, columns, row(table), row(table), reason);
      case 4:
      case 5:
        return fmt::format("UPDATE {} SET b = b + {}, c = c + 0.01 WHERE {}{}", table.name,
                           below(5), which, reason);
      case 6:
        if (table.texts.empty()) break;
        return fmt::format("UPDATE {} SET {} = '{}' WHERE {}{}", table.name, table.texts.front(),
                           word(20), which, reason);
      default:
        break;
    }
    return fmt::format("DELETE FROM {} WHERE {} AND b % 3 = {}{}", table.name, which, below(3),
                       reason);
  }

  std::string create_table(Schema& schema) {
    Table table{.name = fmt::format("t{}", ++schema.made), .keyed = schema.made % 3 != 0};
    table.texts.push_back(fmt::format("x{}", ++schema.columns));
    const std::string text =
        fmt::format("CREATE TABLE {} ({}b INTEGER{}, c DECIMAL(10,2) NOT NULL, {} TEXT)",
                    table.name, table.keyed ? "id INTEGER PRIMARY KEY, " : "",
                    schema.made % 4 == 0 ? " UNIQUE" : "", table.texts.front());
    schema.tables.push_back(std::move(table));
    return text;
  }

  std::string definition(Schema& schema) {
    Table& table = pick(schema);
    switch (below(7)) {
      case 0:
        return create_table(schema);
      case 1:
        table.texts.push_back(fmt::format("x{}", ++schema.columns));
        return fmt::format("ALTER TABLE {} ADD COLUMN {} TEXT DEFAULT 'none'", table.name,
                           table.texts.back());
      case 2: {
        if (table.texts.empty()) break;
        const std::string old = table.texts.front();
        table.texts.front() = fmt::format("x{}", ++schema.columns);
        return fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", table.name, old,
                           table.texts.front());
      }
      case 3: {
        if (table.texts.size() < 2) break;
        const std::string gone = table.texts.back();
        table.texts.pop_back();
        return fmt::format("ALTER TABLE {} DROP COLUMN {}", table.name, gone);
      }
      case 4: {
        const std::string old = table.name;
        table.name = fmt::format("t{}", ++schema.made);
        return fmt::format("ALTER TABLE {} RENAME TO {}", old, table.name);
      }
      case 5: {
        if (schema.tables.size() < 4) break;
        const std::string gone = table.name;
        std::erase_if(schema.tables, [&](const Table& each) { return each.name == gone; });
        return "DROP TABLE " + gone;
      }
      default:
        break;
    }
    return fmt::format("CREATE INDEX i{} ON {} (b)", ++schema.indexes, table.name);
  }

  std::string mistake(Schema& schema) {
    switch (below(4)) {
      case 0:
        return "UPDATE nothing SET b = 1";
      case 1:
        return "SELEC 1";
      case 2:
        return fmt::format("INSERT INTO {} (b) VALUES ('x')", pick(schema).name);
      default:
        return fmt::format("INSERT INTO {} (b, c) VALUES (1, NULL)", pick(schema).name);
    }
  }

  vopr::Prng prng_;
  std::map<std::string, Schema> schemas_;
};

}  // namespace

std::vector<Step> make_script(std::uint64_t seed, std::size_t steps) {
  return Writer{seed}.write(steps);
}

namespace {

// What the master key wraps with; begun anew by each machine, so that its bytes follow from a seed.
vopr::SimRandom& key_random() {
  static vopr::SimRandom random{1};
  return random;
}

}  // namespace

keystore::MasterKey& master_key() {
  static platform::MemoryStorage keys;
  static const std::unique_ptr<keystore::MasterKey> key = [] {
    auto made = keystore::FileMasterKey::create(keys, "key", key_random());
    KIMBERLITE_ASSERT(made);
    return *std::move(made);
  }();
  return *key;
}

CreateOptions create_options() {
  CreateOptions options;
  options.actor = "os:ann";
  options.free_bytes_reserve = 0;
  options.simulated = true;
  return options;
}

Options open_options() {
  Options options;
  options.actor = "os:ann";
  options.free_bytes_reserve = 0;
  options.simulated = true;
  options.checkpoint_commands = 37;  // so that some begin in the middle of the work
  return options;
}

vopr::DiskImage fresh_disk(std::uint64_t seed) {
  keystore::MasterKey& master = master_key();
  key_random() = vopr::SimRandom{seed};
  vopr::SimEnv world{seed};
  const auto made = Database::create(world.env(), master, create_options());
  EXPECT_TRUE(made) << to_string(made.error());
  return world.storage().image();
}

std::uint64_t option(std::string_view name, std::uint64_t otherwise) {
  for (const std::string& argument : ::testing::internal::GetArgvs()) {
    if (argument.starts_with(name)) {
      return std::strtoull(argument.c_str() + name.size(), nullptr, 10);
    }
  }
  return otherwise;
}

Id128 request_id(std::size_t step) {
  Id128 id{};
  store_le(id.data() + 9, static_cast<std::uint32_t>(step));
  id[6] = std::byte{0x80};  // version 8: made from something, and of no age
  id[8] = std::byte{0x80};
  return id;
}

Machine::Machine(std::uint64_t seed, const vopr::DiskImage& image, vopr::Faults faults)
    : world_(std::make_unique<vopr::SimEnv>(seed, image, std::move(faults))) {
  static_cast<void>(master_key());
  key_random() = vopr::SimRandom{seed};
}

Machine::~Machine() { static_cast<void>(close().has_value()); }

Status Machine::open() {
  KIMBERLITE_TRY(database_, Database::open(world_->env(), master_key(), open_options()));
  return {};
}

Status Machine::close() {
  sessions_.clear();
  if (database_ == nullptr) return {};
  Status closed = database_->close();
  database_.reset();
  return closed;
}

Result<Session*> Machine::session(const std::string& tenant) {
  auto& slot = sessions_[tenant];
  if (slot == nullptr) {
    auto made = database_->session(tenant);
    if (!made) return made.error();
    slot = *std::move(made);
  }
  return slot.get();
}

StepResult Machine::run(const Step& step, std::size_t number) {
  Result<Outcome> outcome = perform(step, {.request_id = request_id(number)});
  if (!outcome) return {.refused = outcome.error().code(), .error = to_string(outcome.error())};
  return {.position = outcome->position, .leaf = outcome->leaf};
}

Result<Outcome> Machine::transaction(Session& session, const Step& step, const Why& why) {
  KIMBERLITE_CHECK(session.begin(why));
  for (const std::string& text : step.texts) {
    // A statement that is refused is undone alone; the transaction goes on without it.
    const auto reply = session.run({text, {}}, {}, {});
    if (!session.in_transaction()) return reply ? Result<Outcome>{Outcome{}} : reply.error();
  }
  if (!step.rolled_back) return session.commit();
  KIMBERLITE_CHECK(session.rollback());
  return Outcome{};
}

Result<Outcome> Machine::perform(const Step& step, const Why& why) {
  if (step.kind == StepKind::reopen || database_ == nullptr) {
    KIMBERLITE_CHECK(close());
    KIMBERLITE_CHECK(open());
    if (step.kind == StepKind::reopen) return Outcome{};
  }
  if (step.kind == StepKind::create_tenant) {
    KIMBERLITE_TRY(const TenantInfo made, database_->create_tenant(step.tenant, why));
    static_cast<void>(made);
    return Outcome{};
  }
  if (step.kind == StepKind::rotate_key) return database_->rotate_data_key(step.tenant, why);
  KIMBERLITE_TRY(Session * session, this->session(step.tenant));
  switch (step.kind) {
    case StepKind::transaction:
      return transaction(*session, step, why);
    case StepKind::read_now: {
      KIMBERLITE_TRY(
          const auto cursor,
          session->query({"SELECT count(*) FROM __records AS OF TIMESTAMP NOW()", {}}, {}, {}));
      KIMBERLITE_TRY(const bool any, cursor->next());
      static_cast<void>(any);
      return Outcome{};
    }
    case StepKind::sign: {
      KIMBERLITE_TRY(const log::StoredHead head, session->signed_head(Position{}));
      KIMBERLITE_TRY(const record::Receipt receipt, session->receipt(Position{head.tree.size}, 0));
      KIMBERLITE_TRY(const record::VerifiedRecord checked,
                     record::verify(receipt, head.verifier_key()));
      static_cast<void>(checked);
      return Outcome{};
    }
    case StepKind::append: {
      std::vector<Event> events;
      events.reserve(step.texts.size());
      for (const std::string& text : step.texts) events.push_back({"Noted", bytes_of(text)});
      std::optional<Sequence> expected;
      if (step.expected) expected = Sequence{*step.expected};
      return session->append(step.stream, expected, events, why);
    }
    default: {
      std::vector<Statement> statements;
      statements.reserve(step.texts.size());
      for (const std::string& text : step.texts) statements.push_back({text, {}});
      return session->execute(statements, why);
    }
  }
}

}  // namespace kimberlite::engine::test
