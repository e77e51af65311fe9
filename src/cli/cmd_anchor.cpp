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

constexpr std::uint64_t service_ns = 30'000'000'000;  // unless --timeout says otherwise

const std::optional<Type> text_type = Type{TypeKind::text};
const std::optional<Type> integer_type = Type{TypeKind::bigint};
const std::optional<Type> timestamp_type = Type{TypeKind::timestamp};

Error usage(std::string_view what, std::string_view next) {
  return Error{Code::usage_option, "{}", what}.next("{}", next);
}

// One place at a time, and what belongs to it.
Status check_options(const AnchorOptions& options) {
  const int places = (options.file ? 1 : 0) + (options.directory ? 1 : 0) +
                     (options.timestamp ? 1 : 0) + (options.timestamp_request ? 1 : 0) +
                     (options.witness ? 1 : 0) + (options.witness_request ? 1 : 0);
  if (options.timestamp_response && !options.timestamp_request) {
    return usage("--timestamp-response needs --timestamp-request",
                 "name the file of the request that it answers");
  }
  if (options.witness_response && !options.witness_request) {
    return usage("--witness-response needs --witness-request",
                 "name the file of the request that it answers");
  }
  if (places != 1) {
    return usage(
        "say exactly one of --directory, --file, --timestamp, --witness, --timestamp-request, "
        "--witness-request",
        "kimberlite head anchor --help");
  }
  const bool stamped = options.timestamp || options.timestamp_response;
  if (stamped != options.timestamp_ca.has_value()) {
    return usage("--timestamp-ca belongs to --timestamp or --timestamp-response",
                 "give the root certificate that you believe the authority by, in PEM");
  }
  const bool witnessed = options.witness || options.witness_request;
  if (witnessed != options.witness_key.has_value()) {
    return usage("--witness-key belongs to --witness or --witness-request",
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
  KIMBERLITE_TRY(record::VerifierKey key, read_key(app, given));
  if (key.type == record::NoteKeyType::cosignature) return key;
  return Error{Code::usage_key, "this is the key of a log, not of a witness"}.next(
      "give the key line that the witness publishes");
}

Result<engine::Service> service_at(App& app, std::string_view url) {
  KIMBERLITE_TRY(const std::uint64_t timeout_ns, app.timeout_ns());
  return engine::Service{
      .http = app.http(), .url = url, .timeout_ns = timeout_ns == 0 ? service_ns : timeout_ns};
}

Result<int> timestamp(App& app, engine::Session& session, const AnchorOptions& options) {
  std::array<std::byte, 8> bytes{};
  app.random().fill(bytes);
  const auto nonce = load_le<std::uint64_t>(bytes.data());
  if (options.timestamp) {
    KIMBERLITE_TRY(const engine::Service service, service_at(app, *options.timestamp));
    KIMBERLITE_TRY(const log::Anchor anchor,
                   engine::anchor_at_authority(session, app.files(), service, *options.timestamp_ca,
                                               nonce, app.clock().realtime()));
    KIMBERLITE_CHECK(show(app, anchor));
    return 0;
  }
  if (!options.timestamp_response) {
    KIMBERLITE_TRY(
        const log::StoredHead head,
        engine::request_timestamp(session, app.files(), *options.timestamp_request, nonce));
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
  if (options.witness) {
    KIMBERLITE_TRY(const engine::Service service, service_at(app, *options.witness));
    KIMBERLITE_TRY(const log::Anchor anchor,
                   engine::anchor_at_witness(session, service, key, app.clock().realtime()));
    KIMBERLITE_CHECK(show(app, anchor));
    return 0;
  }
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
  if (options.timestamp || options.timestamp_request) return timestamp(app, session, options);
  if (options.witness || options.witness_request) return witness(app, session, options);
  const TimestampUs now = app.clock().realtime();
  KIMBERLITE_TRY(const log::Anchor anchor,
                 options.directory
                     ? engine::anchor_in_directory(session, app.files(), *options.directory, now)
                     : engine::anchor_in_file(session, app.files(), *options.file, now));
  KIMBERLITE_CHECK(show(app, anchor));
  return 0;
}

}  // namespace kimberlite::cli
