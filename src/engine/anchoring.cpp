#include "engine/anchoring.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "crypto/sha256.hpp"
#include "crypto/timestamp.hpp"
#include "record/signed_head.hpp"
#include "record/witness.hpp"
#include "whole_file.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::string_view head_ending = ".head";
constexpr std::size_t size_digits = 20;
constexpr int witness_attempts = 2;  // as the anchors here know it, and as it says itself

constexpr unsigned http_ok = 200;
constexpr unsigned http_forbidden = 403;
constexpr unsigned http_not_found = 404;
constexpr unsigned http_conflict = 409;
constexpr unsigned http_unprocessable = 422;

// Of a file that came from elsewhere; nothing of ours is larger.
Result<std::string> read_text(env::Storage& files, std::string_view path) {
  KIMBERLITE_TRY(const auto file, files.open(path, env::Open::read));
  std::string text(2 * record::note_size_max, '\0');
  KIMBERLITE_TRY(const std::size_t got,
                 file->read_at(0, std::as_writable_bytes(std::span{text.data(), text.size()})));
  text.resize(got);
  return text;
}

// ---- Services -----------------------------------------------------------------------------------

Error refused(std::string_view url, const env::HttpReply& reply) {
  return Error{Code::unavailable_service, "the service refused: HTTP status {}", reply.status}
      .where("{}", url)
      .next("nothing was anchored; is this the service's URL?");
}

// Without parameters, in lower case.
std::string media_type(const env::HttpReply& reply) {
  std::string type = reply.content_type.substr(0, reply.content_type.find_first_of("; \t"));
  std::ranges::transform(type, type.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return type;
}

Error other_type(std::string_view url, const env::HttpReply& reply) {
  return Error{Code::unavailable_service, "the service answered with something else"}
      .where("{}", url)
      .why("its answer says that it is {}",
           reply.content_type.empty() ? "of no type" : media_type(reply))
      .next("nothing was anchored; is this the service's URL?");
}

Result<log::Anchor> store(Session& session, const log::StoredHead& head, log::AnchorKind kind,
                          TimestampUs now, log::Anchor rest) {
  rest.kind = kind;
  rest.log_id = head.log_id;
  rest.tree = head.tree;
  rest.stored_at = now;
  KIMBERLITE_CHECK(session.add_anchor(rest));
  return rest;
}

// ---- Files --------------------------------------------------------------------------------------

// The name says the size, so that the newest is the last.
std::optional<std::uint64_t> size_of_name(std::string_view name) {
  if (name.size() != size_digits + head_ending.size() || !name.ends_with(head_ending)) {
    return std::nullopt;
  }
  std::uint64_t size = 0;
  const std::string_view digits = name.substr(0, size_digits);
  const auto [at, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
  if (failed != std::errc{} || at != digits.data() + digits.size()) return std::nullopt;
  return size;
}

Error alarm(Error error, std::string_view path) {
  return std::move(error)
      .where("{}", path)
      .next("the log and this head are two histories: change nothing, and find out which is true");
}

// What a head that is out there says of the log as it is.
struct Seen {
  record::TreeHead tree;
  bool whole = false;  // else the beginning of one, as a crash leaves it
};

// The log must extend the head in `path`, which it signed once.
Result<Seen> look_at(Session& session, env::Storage& files, const std::string& path,
                     std::optional<std::uint64_t> size_named, const log::StoredHead& head) {
  KIMBERLITE_TRY(const std::string note, read_text(files, path));
  if (size_named) {
    const auto own = *size_named == head.tree.size ? Result<log::StoredHead>{head}
                                                   : session.signed_head_of_size(*size_named);
    const std::string whole = own ? own->note() : std::string{};
    if (note.size() < whole.size() && whole.starts_with(note)) {
      return Seen{{record::origin_of(own->log_id), own->tree.size, own->tree.root}, false};
    }
  }
  const auto checked = record::check_head(note, head.verifier_key());
  if (!checked) return alarm(checked.error(), path);
  const record::TreeHead& tree = checked->tree();
  if (size_named && *size_named != tree.size) {
    return alarm(Error{Code::integrity_head, "the head is not of the size its file names"}.why(
                     "it is of size {}", tree.size),
                 path);
  }
  if (tree.size > head.tree.size) {
    return alarm(
        Error{Code::integrity_rollback, "the log has fewer records than a head of it elsewhere"}
            .why("that head has {}, and the log ends at {}", tree.size, head.tree.size),
        path);
  }
  KIMBERLITE_TRY(const Hash root, session.root_at(tree.size));
  if (root != tree.root) {
    return alarm(
        Error{Code::integrity_consistency, "the log does not extend a head of it elsewhere"}.why(
            "of the first {} records root {} was signed there, and the log has {}", tree.size,
            to_hex(tree.root), to_hex(root)),
        path);
  }
  return Seen{tree, true};
}

// Goes on behind what a crash left of it, if it did: what stands there is never changed.
Status write_rest(env::File& file, std::string_view note) {
  KIMBERLITE_TRY(const std::uint64_t there, file.size());
  KIMBERLITE_CHECK(file.write_at(there, bytes_of(note.substr(there))));
  return file.sync();
}

// A file that must not be there yet.
Status write_once(env::Storage& files, const std::string& path, std::string_view note) {
  KIMBERLITE_TRY(const auto file, files.open(path, env::Open::create_new));
  return write_rest(*file, note);
}

}  // namespace

Result<log::Anchor> anchor_in_directory(Session& session, env::Storage& files,
                                        std::string_view directory, TimestampUs now) {
  KIMBERLITE_TRY(const log::StoredHead head, session.signed_head(Position{}));
  const std::string own = fmt::format("{}/{}", directory, to_hex(head.log_id));
  const auto names = files.list(own);
  if (!names && names.error().code() != Code::not_found_directory) return names.error();
  std::uint64_t newest = 0;
  if (names) {
    for (const std::string& name : *names)
      newest = std::max(newest, size_of_name(name).value_or(0));
  }
  const auto path_of = [&](std::uint64_t size) {
    return fmt::format("{}/{:020}{}", own, size, head_ending);
  };
  if (newest > 0) {
    KIMBERLITE_TRY(const Seen seen, look_at(session, files, path_of(newest), newest, head));
    if (!seen.whole) {
      KIMBERLITE_TRY(const auto file, files.open(path_of(newest), env::Open::write));
      KIMBERLITE_TRY(const log::StoredHead signed_then, session.signed_head_of_size(newest));
      KIMBERLITE_CHECK(write_rest(*file, signed_then.note()));
    }
  }
  if (newest != head.tree.size) {
    const std::string path = path_of(head.tree.size);
    const Status written = write_once(files, path, head.note());
    if (!written && written.error().code() == Code::constraint_exists) {
      // Made by another since it was listed: by this history, or by one that it must not agree
      // with.
      KIMBERLITE_CHECK(look_at(session, files, path, head.tree.size, head));
    } else if (!written) {
      return written.error();
    }
  }
  return store(session, head, log::AnchorKind::file, now, {.target = "directory"});
}

Result<log::Anchor> anchor_in_file(Session& session, env::Storage& files, std::string_view path,
                                   TimestampUs now) {
  KIMBERLITE_TRY(const log::StoredHead head, session.signed_head(Position{}));
  const std::string name{path};
  const Status written = write_once(files, name, head.note());
  if (!written) {
    if (written.error().code() != Code::constraint_exists) return written.error();
    KIMBERLITE_TRY(const std::string there, read_text(files, path));
    const std::string note = head.note();
    if (there.size() < note.size() && note.starts_with(there)) {
      KIMBERLITE_TRY(const auto file, files.open(path, env::Open::write));
      KIMBERLITE_CHECK(write_rest(*file, note));
      return store(session, head, log::AnchorKind::file, now, {.target = "file"});
    }
    KIMBERLITE_TRY(const Seen seen, look_at(session, files, name, std::nullopt, head));
    if (seen.tree.size != head.tree.size) {
      return Error{Code::constraint_exists, "the file holds an older head of this log"}
          .where("{}", path)
          .why("it is of size {}, and the log extends it to {}", seen.tree.size, head.tree.size)
          .next("name a new file, or a directory for all of them: --directory DIR");
    }
  }
  return store(session, head, log::AnchorKind::file, now, {.target = "file"});
}

// ---- Time stamp authorities ---------------------------------------------------------------------

Result<log::StoredHead> request_timestamp(Session& session, env::Storage& files,
                                          std::string_view request, std::uint64_t nonce) {
  KIMBERLITE_TRY(const log::StoredHead head, session.signed_head(Position{}));
  const std::string note = head.note();
  KIMBERLITE_CHECK(write_whole(files, fmt::format("{}{}", request, head_ending), bytes_of(note)));
  KIMBERLITE_CHECK(write_whole(files, request,
                               crypto::timestamp_request(crypto::sha256(bytes_of(note)), nonce)));
  return head;
}

namespace {

// The stored head that `note` is of.
Result<log::StoredHead> head_of_note(Session& session, std::string_view note,
                                     std::string_view path) {
  Result<log::StoredHead> own = [&]() -> Result<log::StoredHead> {
    KIMBERLITE_TRY(const record::SignedNote parsed, record::SignedNote::parse(note));
    KIMBERLITE_TRY(const record::TreeHead tree, record::parse_head(parsed.text));
    KIMBERLITE_TRY(const log::StoredHead head, session.signed_head_of_size(tree.size));
    if (head.note() == note) return head;
    return Error{Code::integrity_anchor, "the request is not of a head that this log signed"}.why(
        "it is another log, or another history of this one");
  }();
  if (own) return own;
  return Error{own.error()}.where("{}", path);
}

// Where a fault of each is to be looked for.
struct StampPlaces {
  std::string_view request;
  std::string_view response;
  std::string_view authority;
};

// The answer to `asked`, a request for `head`.
Result<log::Anchor> keep_timestamp(Session& session, const log::StoredHead& head,
                                   std::string_view asked, std::string_view answer,
                                   std::string_view trusted, TimestampUs now,
                                   const StampPlaces& places) {
  const auto stamp =
      crypto::check_timestamp(bytes_of(answer), bytes_of(asked), trusted, now.value() / 1'000'000);
  if (!stamp) {
    const bool key = stamp.error().code() == Code::usage_key;
    return Error{stamp.error()}.where("{}", key ? places.authority : places.response);
  }
  const std::string note = head.note();
  if (stamp->imprint != crypto::sha256(bytes_of(note))) {
    return Error{Code::integrity_anchor, "the request is not for the head beside it"}.where(
        "{}", places.request);
  }
  if (answer.size() > log::anchor_evidence_max) {
    return Error{Code::limit_request, "the answer has {} bytes; {} are kept at most", answer.size(),
                 log::anchor_evidence_max}
        .where("{}", places.response);
  }
  const Bytes evidence = bytes_of(answer);
  return store(session, head, log::AnchorKind::timestamp, now,
               {.attested_at = TimestampUs{stamp->time_us},
                .target = stamp->policy,
                .evidence = Buffer{evidence.begin(), evidence.end()}});
}

}  // namespace

Result<log::Anchor> take_timestamp(Session& session, env::Storage& files, std::string_view request,
                                   std::string_view response, std::string_view authority,
                                   TimestampUs now) {
  const std::string note_path = fmt::format("{}{}", request, head_ending);
  KIMBERLITE_TRY(const std::string note, read_text(files, note_path));
  KIMBERLITE_TRY(const log::StoredHead head, head_of_note(session, note, note_path));
  KIMBERLITE_TRY(const std::string asked, read_text(files, request));
  KIMBERLITE_TRY(const std::string answer, read_text(files, response));
  KIMBERLITE_TRY(const std::string trusted, read_text(files, authority));
  return keep_timestamp(session, head, asked, answer, trusted, now, {request, response, authority});
}

Result<log::Anchor> anchor_at_authority(Session& session, env::Storage& files,
                                        const Service& service, std::string_view authority,
                                        std::uint64_t nonce, TimestampUs now) {
  KIMBERLITE_TRY(const std::string trusted, read_text(files, authority));
  KIMBERLITE_TRY(const log::StoredHead head, session.signed_head(Position{}));
  const std::string note = head.note();
  const Buffer asked = crypto::timestamp_request(crypto::sha256(bytes_of(note)), nonce);
  KIMBERLITE_TRY(const env::HttpReply reply,
                 service.http.post({.url = service.url,
                                    .content_type = "application/timestamp-query",
                                    .body = asked,
                                    .reply_size_max = log::anchor_evidence_max,
                                    .timeout_ns = service.timeout_ns}));
  if (reply.status != http_ok) return refused(service.url, reply);
  if (media_type(reply) != "application/timestamp-reply") return other_type(service.url, reply);
  return keep_timestamp(session, head, text_of(asked), reply.body, trusted, now,
                        {service.url, service.url, authority});
}

// ---- Witnesses ----------------------------------------------------------------------------------

namespace {

Error seen_more(std::uint64_t seen, std::uint64_t size) {
  return Error{Code::integrity_rollback, "the witness has seen more records than the log has"}
      .why("it says that it cosigned a tree of {}, and the log ends at {}", seen, size)
      .next("change nothing: the log was rolled back, or this is another history of it");
}

struct Asked {
  log::StoredHead head;
  record::WitnessRequest request;
};

// For the present head, from the tree that the witness cosigned last.
Result<Asked> ask_witness(Session& session, std::uint64_t seen) {
  KIMBERLITE_TRY(const log::StoredHead head, session.signed_head(Position{}));
  if (seen > head.tree.size) return seen_more(seen, head.tree.size);
  record::WitnessRequest request{.old_size = seen, .path = {}, .head = head.note()};
  if (seen > 0) {
    KIMBERLITE_TRY(const Hash root, session.root_at(seen));
    KIMBERLITE_TRY(request.path, session.consistency_path({seen, root}, head.tree));
  }
  return Asked{head, std::move(request)};
}

// A refusal with 409 is a size, and a line of its own (tlog-witness, add-checkpoint).
std::optional<std::uint64_t> size_seen(std::string_view answer) {
  std::uint64_t seen = 0;
  if (!answer.ends_with('\n')) return std::nullopt;
  answer.remove_suffix(1);
  const auto [at, failed] = std::from_chars(answer.data(), answer.data() + answer.size(), seen);
  const bool whole = failed == std::errc{} && at == answer.data() + answer.size();
  return whole ? std::optional{seen} : std::nullopt;
}

// The answer of the witness for `head`; `from` says where it is from.
Result<log::Anchor> keep_cosignature(Session& session, const log::StoredHead& head,
                                     std::string_view answer, const record::VerifierKey& witness,
                                     TimestampUs now, std::string_view from) {
  const auto cosigned = record::find_cosignature(head.note(), answer, witness);
  if (!cosigned) {
    if (class_of(cosigned.error().code()) == ErrorClass::usage) return cosigned.error();
    return Error{cosigned.error()}.where("{}", from);
  }
  if (witness.name.size() > log::anchor_target_max) {
    return Error{Code::limit_name, "the name of a witness has at most {} bytes",
                 log::anchor_target_max};
  }
  const std::string evidence = fmt::format("{}\n{}", witness.to_text(), cosigned->line);
  const Bytes bytes = bytes_of(evidence);
  return store(session, head, log::AnchorKind::witness, now,
               {.attested_at = TimestampUs{cosigned->seconds * 1'000'000},
                .target = witness.name,
                .evidence = Buffer{bytes.begin(), bytes.end()}});
}

Error another_history(std::string_view from, std::string_view why) {
  return alarm(
      Error{Code::integrity_consistency, "the witness has seen another history of this log"}.why(
          "{}", why),
      from);
}

// What a witness answers that does not cosign, but for a size that was not known here.
Error not_cosigned(std::string_view url, const env::HttpReply& reply) {
  Error error = refused(url, reply);
  switch (reply.status) {
    case http_unprocessable:
      return another_history(url, "it says that the log does not extend the tree it cosigned");
    case http_not_found:
      return std::move(error).next("is this the witness's URL, and does it know this log?");
    case http_forbidden:
      return std::move(error).next("the witness must be given the log's key line");
    default:
      return error;
  }
}

}  // namespace

Result<log::StoredHead> request_cosignature(Session& session, env::Storage& files,
                                            std::string_view request,
                                            const record::VerifierKey& witness,
                                            std::optional<std::uint64_t> seen) {
  if (!seen) {
    KIMBERLITE_TRY(seen, session.witnessed(witness.name));
  }
  KIMBERLITE_TRY(const Asked asked, ask_witness(session, *seen));
  KIMBERLITE_CHECK(write_whole(files, request, bytes_of(asked.request.to_text())));
  return asked.head;
}

Result<log::Anchor> take_cosignature(Session& session, env::Storage& files,
                                     std::string_view request, std::string_view response,
                                     const record::VerifierKey& witness, TimestampUs now) {
  KIMBERLITE_TRY(const std::string sent, read_text(files, request));
  const auto asked = record::WitnessRequest::parse(sent);
  if (!asked) return Error{asked.error()}.where("{}", request);
  KIMBERLITE_TRY(const log::StoredHead head, head_of_note(session, asked->head, request));
  KIMBERLITE_TRY(const std::string answer, read_text(files, response));
  if (const auto seen = size_seen(answer)) {
    KIMBERLITE_TRY(const log::StoredHead newest, session.signed_head(Position{}));
    if (*seen > newest.tree.size) return seen_more(*seen, newest.tree.size);
    return Error{Code::conflict_position, "the witness has seen a tree of another size"}
        .where("{}", response)
        .why("it was asked to go on from {}, and stands at {}", asked->old_size, *seen)
        .next("make the request again with --witness-size {}", *seen);
  }
  return keep_cosignature(session, head, answer, witness, now, response);
}

Result<log::Anchor> anchor_at_witness(Session& session, const Service& service,
                                      const record::VerifierKey& witness, TimestampUs now) {
  std::string_view prefix = service.url;
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  const std::string url = fmt::format("{}/add-checkpoint", prefix);
  KIMBERLITE_TRY(std::uint64_t seen, session.witnessed(witness.name));
  for (int attempt = 0; attempt < witness_attempts; ++attempt) {
    KIMBERLITE_TRY(const Asked asked, ask_witness(session, seen));
    const std::string text = asked.request.to_text();
    KIMBERLITE_TRY(const env::HttpReply reply,
                   service.http.post({.url = url,
                                      .content_type = "text/plain; charset=utf-8",
                                      .body = bytes_of(text),
                                      .reply_size_max = record::note_size_max,
                                      .timeout_ns = service.timeout_ns}));
    if (reply.status == http_ok) {
      return keep_cosignature(session, asked.head, reply.body, witness, now, url);
    }
    if (reply.status != http_conflict) return not_cosigned(url, reply);
    if (media_type(reply) != "text/x.tlog.size") return other_type(url, reply);
    const auto stands = size_seen(reply.body);
    if (!stands) return refused(url, reply).why("its 409 names no size");
    if (*stands == seen) {
      return another_history(url,
                             fmt::format("of the first {} records it cosigned another root", seen));
    }
    seen = *stands;
  }
  return Error{Code::conflict_position, "the witness goes on while it is asked"}
      .where("{}", url)
      .why("each time it stood at another size")
      .next("does another machine anchor this log too? try again");
}

}  // namespace kimberlite::engine
