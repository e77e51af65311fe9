// kimberlite head anchor: the present head put where whoever controls the directory does not.
#include <fmt/format.h>

#include <array>

#include "app.hpp"
#include "base/le.hpp"
#include "engine/anchoring.hpp"
#include "record/signed_head.hpp"
#include "whole_text.hpp"

namespace kimberlite::cli {
namespace {

using catalog::Type;
using catalog::TypeKind;

const std::optional<Type> text_type = Type{TypeKind::text};
const std::optional<Type> integer_type = Type{TypeKind::bigint};
const std::optional<Type> timestamp_type = Type{TypeKind::timestamp};

Error usage(std::string_view what, std::string_view next) {
  return Error{Code::usage_option, "{}", what}.next("{}", next);
}

// One place at a time, and what belongs to it.
Status check_options(const AnchorOptions& options) {
  const int places = (options.file ? 1 : 0) + (options.directory ? 1 : 0) +
                     (options.timestamp_request ? 1 : 0) + (options.witness_request ? 1 : 0);
  if (options.timestamp_response && !options.timestamp_request) {
    return usage("--timestamp-response needs --timestamp-request",
                 "name the file of the request that it answers");
  }
  if (options.witness_response && !options.witness_request) {
    return usage("--witness-response needs --witness-request",
                 "name the file of the request that it answers");
  }
  if (places != 1) {
    return usage("say exactly one of --directory, --file, --timestamp-request, --witness-request",
                 "kimberlite head anchor --help");
  }
  if (options.timestamp_response.has_value() != options.timestamp_ca.has_value()) {
    return usage("--timestamp-response and --timestamp-ca belong together",
                 "give the root certificate that you believe the authority by, in PEM");
  }
  if (options.witness_request.has_value() != options.witness_key.has_value()) {
    return usage("--witness-request and --witness-key belong together",
                 "give the key line that the witness publishes, or its file");
  }
  if (options.witness_size && (!options.witness_request || options.witness_response)) {
    return usage("--witness-size is for a request to a witness", "kimberlite head anchor --help");
  }
  return {};
}

Status show(App& app, const log::Anchor& anchor) {
  const Value attested = anchor.attested_at == TimestampUs{}
                             ? Value{Null{}}
                             : Value{timestamp_text(anchor.attested_at)};
  return write_facts(
      app,
      {{"origin", text_type},
       {"size", integer_type},
       {"root", text_type},
       {"kind", text_type},
       {"target", text_type},
       {"attested", timestamp_type}},
      {{record::origin_of(anchor.log_id), static_cast<std::int64_t>(anchor.tree.size),
        to_hex(anchor.tree.root), std::string{log::name(anchor.kind)}, anchor.target, attested}});
}

Result<record::VerifierKey> witness_key(App& app, const std::string& given) {
  KIMBERLITE_TRY(const std::optional<record::VerifierKey> key, find_log_key(app, given));
  if (key->type == record::NoteKeyType::cosignature) return *key;
  return Error{Code::usage_key, "this is the key of a log, not of a witness"}.next(
      "give the key line that the witness publishes");
}

Result<int> timestamp(App& app, engine::Session& session, const AnchorOptions& options) {
  if (!options.timestamp_response) {
    std::array<std::byte, 8> nonce{};
    app.random().fill(nonce);
    KIMBERLITE_TRY(const log::StoredHead head,
                   engine::request_timestamp(session, app.files(), *options.timestamp_request,
                                             load_le<std::uint64_t>(nonce.data())));
    app.say(
        fmt::format("wrote {0} and {0}.head, of the head of {1} records; nothing is anchored "
                    "before the answer is here",
                    *options.timestamp_request, head.tree.size));
    return 0;
  }
  KIMBERLITE_TRY(const log::Anchor anchor,
                 engine::take_timestamp(session, app.files(), *options.timestamp_request,
                                        *options.timestamp_response, *options.timestamp_ca,
                                        app.clock().realtime()));
  KIMBERLITE_CHECK(show(app, anchor));
  return 0;
}

Result<int> witness(App& app, engine::Session& session, const AnchorOptions& options) {
  KIMBERLITE_TRY(const record::VerifierKey key, witness_key(app, *options.witness_key));
  if (!options.witness_response) {
    KIMBERLITE_TRY(const log::StoredHead head,
                   engine::request_cosignature(session, app.files(), *options.witness_request, key,
                                               options.witness_size));
    app.say(fmt::format(
        "wrote {}, of the head of {} records; nothing is anchored before the answer is here",
        *options.witness_request, head.tree.size));
    return 0;
  }
  KIMBERLITE_TRY(const log::Anchor anchor,
                 engine::take_cosignature(session, app.files(), *options.witness_request,
                                          *options.witness_response, key, app.clock().realtime()));
  KIMBERLITE_CHECK(show(app, anchor));
  return 0;
}

}  // namespace

Result<int> run_anchor(App& app, const AnchorOptions& options) {
  KIMBERLITE_CHECK(check_options(options));
  if (app.invocation().dry_run) {
    return usage("head anchor has no --dry-run",
                 "kimberlite verify --since HEAD checks and writes nothing");
  }
  KIMBERLITE_TRY(const auto opened, app.open());
  engine::Session& session = opened->session();
  if (options.timestamp_request) return timestamp(app, session, options);
  if (options.witness_request) return witness(app, session, options);
  const TimestampUs now = app.clock().realtime();
  KIMBERLITE_TRY(const log::Anchor anchor,
                 options.directory
                     ? engine::anchor_in_directory(session, app.files(), *options.directory, now)
                     : engine::anchor_in_file(session, app.files(), *options.file, now));
  KIMBERLITE_CHECK(show(app, anchor));
  return 0;
}

}  // namespace kimberlite::cli
