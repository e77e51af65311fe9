// What no replica could read again is refused before it is kept.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>

#include "core.hpp"
#include "engine/backup.hpp"
#include "engine/database.hpp"
#include "kernel/command.hpp"
#include "platform/env.hpp"
#include "request_id.hpp"

namespace kimberlite::engine {
namespace {

using namespace std::string_view_literals;

constexpr std::array not_text{"a\0b"sv, "\xff"sv, "\xed\xa0\x80"sv};

class Unreadable : public ::testing::Test {
 protected:
  void SetUp() override {
    key_ = keystore::FileMasterKey::create(keys_, "key", world_.env().random).value();
    CreateOptions options;
    options.free_bytes_reserve = 0;
    ASSERT_TRUE(Database::create(world_.env(), *key_, options));
    open();
  }
  void TearDown() override { close(); }
  void open() {
    Options options;
    options.free_bytes_reserve = 0;
    auto opened = Database::open(world_.env(), *key_, options);
    ASSERT_TRUE(opened) << to_string(opened.error());
    database_ = *std::move(opened);
    session_ = database_->session("main").value();
  }
  void close() {
    session_.reset();
    const Status closed = database_->close();
    EXPECT_TRUE(closed) << to_string(closed.error());
    database_.reset();
  }
  Result<Outcome> execute(std::string_view sql, std::vector<Value> parameters = {},
                          const Why& why = {}) {
    const Statement statement{sql, parameters};
    return session_->execute(std::span{&statement, 1}, why);
  }
  Result<std::size_t> read(std::string_view sql, std::vector<Value> parameters = {}) {
    KIMBERLITE_TRY(const auto cursor, session_->query({sql, parameters}, {}, {}));
    std::size_t rows = 0;
    for (;; ++rows) {
      KIMBERLITE_TRY(const bool more, cursor->next());
      if (!more) return rows;
    }
  }
  // It takes writes, and opens again.
  void is_well() {
    EXPECT_TRUE(execute("CREATE TABLE IF NOT EXISTS well (id INTEGER PRIMARY KEY)"));
    EXPECT_TRUE(database_->create_tenant("well", {.reason = "a check"}) ||
                database_->create_tenant("well", {}).error().code() == Code::constraint_exists);
    close();
    open();
  }

  platform::MemoryEnv world_{platform::ExecutorOptions{}};
  platform::MemoryStorage keys_;
  std::unique_ptr<keystore::MasterKey> key_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Session> session_;
};

template <typename T>
Code code_of(const Result<T>& result) {
  return result ? Code::internal_bug : result.error().code();
}

TEST_F(Unreadable, TheReasonOfATenantOrAKey) {
  for (const std::string_view text : not_text) {
    EXPECT_EQ(code_of(database_->create_tenant("north", {.reason = text})), Code::type_encoding);
    EXPECT_EQ(code_of(database_->create_tenant("north", {.correlation = text})),
              Code::type_encoding);
    EXPECT_EQ(code_of(database_->rotate_data_key("main", {.reason = text})), Code::type_encoding);
    EXPECT_EQ(code_of(database_->rotate_data_key("main", {.correlation = text})),
              Code::type_encoding);
  }
  is_well();
}

TEST_F(Unreadable, TheReasonOfAWrite) {
  ASSERT_TRUE(execute("CREATE TABLE t (id INTEGER PRIMARY KEY)"));
  for (const std::string_view text : not_text) {
    EXPECT_EQ(code_of(execute("INSERT INTO t VALUES (1)", {}, {.reason = text})),
              Code::type_encoding);
    EXPECT_EQ(code_of(execute("INSERT INTO t VALUES (1)", {}, {.correlation = text})),
              Code::type_encoding);
    EXPECT_EQ(code_of(execute("INSERT INTO t VALUES (1) WITH REASON $1", {std::string{text}})),
              Code::type_encoding);
    EXPECT_FALSE(session_->begin({.reason = text}));
  }
  is_well();
}

TEST_F(Unreadable, AnActor) {
  const std::string long_name(256, 'a');
  for (const auto& [name, code] : {std::pair{"a\0b"sv, Code::type_encoding},
                                   {"\xff"sv, Code::type_encoding},
                                   {""sv, Code::limit_name},
                                   {std::string_view{long_name}, Code::limit_name}}) {
    Options options;
    options.actor = name;
    close();
    EXPECT_EQ(code_of(Database::open(world_.env(), *key_, options)), code);
    platform::MemoryEnv fresh{platform::ExecutorOptions{}};
    CreateOptions create;
    create.free_bytes_reserve = 0;
    create.actor = name;
    EXPECT_EQ(code_of(Database::create(fresh.env(), *key_, create)), code);
    create.actor = "os:ann";
    EXPECT_TRUE(Database::create(fresh.env(), *key_, create)) << "something was made before";
    open();
  }
  is_well();
}

TEST_F(Unreadable, TheReasonOfARestore) {
  platform::MemoryStorage repository;
  const auto backup = database_->back_up(repository);
  ASSERT_TRUE(backup) << to_string(backup.error());
  const Buffer escrow = database_->escrow().value();
  platform::MemoryEnv into{platform::ExecutorOptions{}};
  for (const std::string_view text : not_text) {
    RestoreOptions options;
    options.reason = text;
    EXPECT_EQ(code_of(restore(repository, backup->backup, into.env(), *key_, escrow, options)),
              Code::type_encoding);
    options.reason.clear();
    options.actor = text;
    EXPECT_EQ(code_of(restore(repository, backup->backup, into.env(), *key_, escrow, options)),
              Code::type_encoding);
  }
  EXPECT_TRUE(restore(repository, backup->backup, into.env(), *key_, escrow, {}));
}

TEST_F(Unreadable, WhatAStatementGivesBack) {
  ASSERT_TRUE(execute("CREATE TABLE t (id INTEGER PRIMARY KEY)"));
  for (const std::string_view text : {"char(0)", "char(55296)", "char(65, 0) || 'b'"}) {
    const std::string insert = fmt::format("INSERT INTO t VALUES (1) RETURNING {}", text);
    EXPECT_EQ(code_of(execute(insert, {}, {.idempotency_key = text})), Code::type_encoding) << text;
    EXPECT_EQ(code_of(read(fmt::format("SELECT {}", text))), Code::type_encoding) << text;
  }
  EXPECT_EQ(read("SELECT * FROM t").value(), 0U);
  is_well();
}

TEST_F(Unreadable, AParameterThatIsTooLong) {
  ASSERT_TRUE(execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BYTES)"));
  const std::vector<Value> values{std::string((16U << 20U) + 1, 'a'), Buffer((16U << 20U) + 1)};
  for (const Value& value : values) {
    EXPECT_EQ(code_of(read("SELECT $1 IS NULL", {value})), Code::limit_row);
    for (const bool in_transaction : {false, true}) {
      if (in_transaction) {
        ASSERT_TRUE(session_->begin({}));
      }
      const std::vector<Value> parameters{value};
      for (const std::string_view sql : {"INSERT INTO t (id, name) VALUES (1, $1)",
                                         "INSERT INTO t (id) SELECT 2 WHERE $1 IS NULL"}) {
        const auto reply = session_->run({sql, parameters}, {}, {});
        EXPECT_FALSE(reply) << sql << in_transaction;
      }
      if (in_transaction) {
        ASSERT_TRUE(session_->commit());
      }
    }
  }
  EXPECT_EQ(read("SELECT * FROM t").value(), 0U);
  is_well();
}

// Should one be proposed all the same, every replica refuses it, and goes on.
TEST_F(Unreadable, AControlThatWasProposed) {
  const TenantId tenant{1};
  is_well();  // and knows the actor
  for (const std::string_view reason : {"a check"sv, "\xff"sv}) {
    close();
    {
      Options options;
      options.free_bytes_reserve = 0;
      auto core = Core::open(world_.env(), *key_, options).value();
      const auto view = core->view(tenant);
      const Position head = core->state().tenant(tenant)->lane(kernel::Lane::data).head.position;
      Batch batch{.tenant = tenant, .commands = {}, .done = {}};
      SealedCommand& command = batch.commands.emplace_back();
      command.header.kind = std::to_underlying(kernel::Kind::rotate_key);
      command.header.tenant = tenant;
      command.header.base = head;
      command.header.access_version = view.access_version;
      command.header.actor = core->state().tenant(tenant)->actors.begin()->first;
      command.header.session[0] = std::byte{1};
      command.header.request_id = new_request_id(world_.env().clock, world_.env().random);
      record::PlaintextWriter plaintext{record::ItemKind::control};
      plaintext.meta({.reason = reason, .request_digest = Bytes{Hash{}}});
      plaintext.control(kernel::encode_control(kernel::RotateKey{kernel::KeyScope::data}));
      const auto key = core->keys().item_key(tenant, kernel::control_key).value();
      seal_item(command, *key, view.log_id, std::move(plaintext), {}, {}, world_.env().random);
      ASSERT_TRUE(finish(command, core->command_bytes_max()));
      Signal signal;
      std::optional<Result<BatchResult>> result;
      batch.done = [&](Result<BatchResult> done) {
        result = std::move(done);
        core->driver().set(signal);
      };
      core->submit(std::move(batch));
      core->driver().wait(signal);
      ASSERT_TRUE(*result) << to_string(result->error());
      EXPECT_EQ((*result)->commands.at(0).refusal,
                reason == "\xff" ? kernel::Refusal::malformed : kernel::Refusal::none);
      EXPECT_EQ(core->state().tenant(tenant)->lane(kernel::Lane::data).head.position,
                Position{head.value() + (reason == "\xff" ? 0 : 1)});
      EXPECT_TRUE(core->close());
    }
    open();
    is_well();
  }
}

}  // namespace
}  // namespace kimberlite::engine
