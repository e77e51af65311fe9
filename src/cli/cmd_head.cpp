// kimberlite head: signed heads of the tenant's log, and proofs that one extends another.
#include <fmt/format.h>

#include <charconv>

#include "app.hpp"
#include "log/tile_directory.hpp"
#include "record/signed_head.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

using catalog::Type;
using catalog::TypeKind;

const std::optional<Type> text_type = Type{TypeKind::text};
const std::optional<Type> integer_type = Type{TypeKind::bigint};
const std::optional<Type> timestamp_type = Type{TypeKind::timestamp};

Result<int> show(App& app, engine::Session& session, bool all) {
  std::vector<log::StoredHead> heads;
  if (all) {
    KIMBERLITE_TRY(heads, session.signed_heads(std::numeric_limits<std::size_t>::max()));
  } else {
    KIMBERLITE_TRY(const Position end, session.head());
    if (end.value() > 0) {
      KIMBERLITE_TRY(const log::StoredHead head, session.signed_head(Position{}));
      heads.push_back(head);
    }
  }
  if (heads.empty()) app.say("note: there is no signed head: an empty log is not signed");
  std::vector<Row> rows;
  rows.reserve(heads.size());
  for (const log::StoredHead& head : heads) {
    rows.push_back({record::origin_of(head.log_id), static_cast<std::int64_t>(head.tree.size),
                    to_hex(head.tree.root), timestamp_text(head.signed_at),
                    head.verifier_key().to_text()});
  }
  KIMBERLITE_CHECK(write_facts(app,
                               {{"origin", text_type},
                                {"size", integer_type},
                                {"root", text_type},
                                {"signed", timestamp_type},
                                {"log_key", text_type}},
                               rows));
  return 0;
}

// A size that was signed, or the file of a head; left out, the log as it is now.
Result<std::string> note_of(App& app, engine::Session& session,
                            const std::optional<std::string>& which) {
  if (!which) {
    KIMBERLITE_TRY(const log::StoredHead head, session.signed_head(Position{}));
    return head.note();
  }
  std::uint64_t size = 0;
  const char* const end = which->data() + which->size();
  if (const auto [at, failed] = std::from_chars(which->data(), end, size);
      failed == std::errc{} && at == end) {
    KIMBERLITE_TRY(const log::StoredHead head, session.signed_head_of_size(size));
    return head.note();
  }
  return read_text(app.files(), *which);
}

// The log of a session, as what its tiles are taken from.
class SessionTiles final : public log::TileSource {
 public:
  explicit SessionTiles(engine::Session& session) : session_(session) {}
  Result<Buffer> tile(const record::TileName& name, const log::Tree& in) override {
    return session_.tile(name, in);
  }
  Result<Hash> root_at(std::uint64_t size) override { return session_.root_at(size); }

 private:
  engine::Session& session_;
};

Status publish_tiles(App& app, engine::Session& session, const std::string& directory) {
  KIMBERLITE_TRY(const log::StoredHead head, session.signed_head(Position{}));
  SessionTiles source{session};
  KIMBERLITE_TRY(const log::Published published,
                 log::publish(app.files(), directory, head, source));
  return write_facts(
      app,
      {{"directory", text_type},
       {"size", integer_type},
       {"tiles", integer_type},
       {"written", integer_type}},
      {{directory, static_cast<std::int64_t>(head.tree.size),
        static_cast<std::int64_t>(published.tiles), static_cast<std::int64_t>(published.written)}});
}

}  // namespace

Result<std::optional<record::VerifierKey>> find_log_key(App& app,
                                                        const std::optional<std::string>& given) {
  std::optional<std::string> found = given;
  if (!found) {
    KIMBERLITE_TRY(const std::optional<Context> context, app.context());
    if (context) found = context->log_key;
  }
  if (!found) return std::optional<record::VerifierKey>{};
  KIMBERLITE_TRY(record::VerifierKey key, read_key(app, *found));
  return std::optional{std::move(key)};
}

Result<record::VerifierKey> read_key(App& app, const std::string& given) {
  std::string line = given;
  // A key line has its parts held together by '+', which no name of a file of keys need have.
  if (!line.contains('+')) {
    KIMBERLITE_TRY(line, read_text(app.files(), given));
    if (line.ends_with('\n')) line.pop_back();
  }
  return record::VerifierKey::parse(line);
}

Status write_proof(App& app, const std::optional<std::string>& output, std::string_view proof) {
  if (!output || *output == "-") return app.out().write(proof);
  return write_text(app.files(), *output, proof);
}

Result<int> run_head(App& app, const HeadOptions& options) {
  if (options.action == HeadAction::trust) return run_trust(app);
  KIMBERLITE_TRY(const auto opened, app.open());
  engine::Session& session = opened->session();
  switch (options.action) {
    case HeadAction::show:
      return show(app, session, options.all);
    case HeadAction::publish: {
      if (options.tiles) {
        if (app.invocation().dry_run) {
          return Error{Code::usage_option, "head publish --tiles has no --dry-run"}.next(
              "leave it out: nothing that is there is changed but the checkpoint");
        }
        KIMBERLITE_CHECK(publish_tiles(app, session, *options.tiles));
        if (!options.output) return 0;
      }
      KIMBERLITE_TRY(const std::string note, note_of(app, session, std::nullopt));
      KIMBERLITE_CHECK(write_proof(app, options.output, note));
      return 0;
    }
    case HeadAction::prove: {
      KIMBERLITE_TRY(const std::string older, note_of(app, session, options.older));
      KIMBERLITE_TRY(const std::string newer, note_of(app, session, options.newer));
      KIMBERLITE_TRY(const record::ConsistencyProof proof, session.consistency(older, newer));
      KIMBERLITE_CHECK(write_proof(app, options.output, proof.to_text()));
      return 0;
    }
    case HeadAction::trust:
      break;  // above
  }
  return 0;
}

}  // namespace kimberlite::cli
