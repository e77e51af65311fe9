// A small clinic: admits two patients, moves one of them with a reason, and asks what was known
// before. docs/first-application.md explains it line by line.
//
// usage: clinic DIRECTORY KEY_FILE
#include <fmt/core.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "kimberlite/kimberlite.hpp"

namespace {

using namespace kimberlite;

Status admit(Session& session) {
  KIMBERLITE_CHECK(session.execute(Write{.reason = "opening"},
                                   "CREATE TABLE patients (id BIGINT PRIMARY KEY, name TEXT NOT "
                                   "NULL, city TEXT) WITH (class = phi)"));
  KIMBERLITE_TRY(Transaction admission, session.transaction(Write{.reason = "admission"}));
  KIMBERLITE_CHECK(
      admission.execute("INSERT INTO patients VALUES ($1, $2, $3)", 1, "Ann Berg", "Boston"));
  KIMBERLITE_CHECK(
      admission.execute("INSERT INTO patients VALUES ($1, $2, $3)", 7, "Maynard Moss", "Boston"));
  KIMBERLITE_TRY(const Commit commit, std::move(admission).commit());
  fmt::print("admitted, position {}\n", commit.position.value());
  return {};
}

Status move(Session& session) {
  KIMBERLITE_TRY(const Position before, session.engine().head());
  KIMBERLITE_CHECK(session.execute(Write{.reason = "moved, form 88", .expected_position = before},
                                   "UPDATE patients SET city = $1 WHERE id = $2", "Salem", 7));
  KIMBERLITE_TRY(const auto then, session.as_of(before).query<std::string, std::string>(
                                      "SELECT name, city FROM patients WHERE id = $1", 7));
  KIMBERLITE_TRY(const auto now, session.query<std::string, std::string>(
                                     "SELECT name, city FROM patients WHERE id = $1", 7));
  for (const auto& [name, city] : then) fmt::print("then: {}, {}\n", name, city);
  for (const auto& [name, city] : now) fmt::print("now:  {}, {}\n", name, city);
  return {};
}

Status visit(Session& session) {
  KIMBERLITE_CHECK(session.append("visits", Expect::sequence(0),
                                  {{"arrived", "patient 7"}, {"left", "patient 7"}}));
  KIMBERLITE_TRY(const auto events, session.read("visits", From{Sequence{0}}));
  for (const StoredEvent& event : events) {
    fmt::print("visits {}: {}\n", event.sequence.value(), event.kind);
  }
  return {};
}

Status run(const char* directory, const char* key_file) {
  KIMBERLITE_TRY(const auto database,
                 Database::open(directory, {.create = true, .key = KeyFile{key_file}}));
  KIMBERLITE_TRY(const auto session, database->local_session());
  KIMBERLITE_CHECK(admit(*session));
  KIMBERLITE_CHECK(move(*session));
  return visit(*session);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: clinic DIRECTORY KEY_FILE\n");
    return 2;
  }
  const Status done = run(argv[1], argv[2]);
  if (done) return 0;
  fmt::print(stderr, "{}\n", to_string(done.error()));
  return exit_status(class_of(done.error().code()));
}
