// A receipt: a clinic gives out one of its records, and somebody without the database checks it.
// docs/first-application.md explains it.
//
// usage: receipt DIRECTORY KEY_FILE
#include <fmt/core.h>

#include <cstdio>
#include <string>

#include "kimberlite/kimberlite.hpp"

namespace {

using namespace kimberlite;

// What leaves the clinic: the log's key line, long before, and then the receipt.
struct GivenOut {
  std::string key_line;
  std::string receipt;
};

Result<GivenOut> discharge(Session& session) {
  KIMBERLITE_TRY(const Commit commit,
                 session.append("discharges", Expect::any(), {{"discharged", "patient 7, well"}},
                                Write{.reason = "form 12"}));
  KIMBERLITE_TRY(const LogKey log_key, session.log_key());
  // The item is disclosed: whoever has the receipt can read it.
  KIMBERLITE_TRY(const Receipt receipt, session.receipt(commit.position, Disclose{0}));
  return GivenOut{log_key.to_text(), receipt.to_text()};
}

// Somewhere else, years later: no database, no network.
Status check(const GivenOut& given) {
  KIMBERLITE_TRY(const Receipt receipt, Receipt::parse(given.receipt));
  KIMBERLITE_TRY(const VerifiedRecord record, verify(receipt, LogKey::parse(given.key_line)));
  fmt::print("record {} is in the signed tree of {}\n", record.entry().position.value(),
             record.tree().size);
  const VerifiedItem& item = *record.opened();
  KIMBERLITE_TRY(const auto opened, record::decode_plaintext(item.header, item.plaintext));
  for (const auto& event : opened.events) fmt::print("it says: {}\n", event.kind);

  std::string changed = given.receipt;
  changed.replace(changed.find("\nindex "), 8, "\nindex 9");
  KIMBERLITE_TRY(const Receipt forged, Receipt::parse(changed));
  const auto refused = verify(forged, LogKey::parse(given.key_line));
  fmt::print("changed: {}\n", refused ? "accepted" : name(refused.error().code()));
  return {};
}

Status run(const char* directory, const char* key_file) {
  KIMBERLITE_TRY(const auto database,
                 Database::open(directory, {.create = true, .key = KeyFile{key_file}}));
  KIMBERLITE_TRY(const auto session, database->local_session());
  KIMBERLITE_TRY(const GivenOut given, discharge(*session));
  return check(given);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: receipt DIRECTORY KEY_FILE\n");
    return 2;
  }
  const Status done = run(argv[1], argv[2]);
  if (done) return 0;
  fmt::print(stderr, "{}\n", to_string(done.error()));
  return exit_status(class_of(done.error().code()));
}
