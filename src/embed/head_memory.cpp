#include "kimberlite/head_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/bytes.hpp"
#include "record/entry.hpp"

namespace kimberlite {
namespace {

constexpr std::string_view keep_both =
    "keep this directory as it is and look for the copy that has those records; to go on with this "
    "one, and forget what was seen, remove the file";

constexpr std::string_view another_place =
    "another place, or off, can be named in KIMBERLITE_HEADS_FILE or the setting heads_file";

Error rolled_back(std::uint64_t has, std::uint64_t seen) {
  return Error{Code::integrity_rollback, "the log has {} records, and you have seen {}", has, seen}
      .why("an older copy of the directory was put in its place, or records were cut off")
      .next("{}", keep_both);
}

Error split_view(const record::TreeHead& known, std::string_view why) {
  return Error{Code::integrity_split_view,
               "the log does not go on from the {} records you have seen", known.size}
      .why("you have seen root {} of {} records; {}", to_hex(known.root), known.size, why)
      .next("{}", keep_both);
}

Error other_log(const record::TreeHead& known, const log::StoredHead& now) {
  return Error{Code::integrity_new_epoch, "another log stands where the one was that you have seen"}
      .why(
          "you have seen {} of {} with root {}; now it is {}, which has signed {} records: an "
          "epoch "
          "begun by a restore, or another log altogether",
          known.size, known.origin, to_hex(known.root), record::origin_of(now.log_id),
          now.tree.size)
      .next(
          "ask whoever keeps the database why, and compare its key line with the one he gives you: "
          "{}; kimberlite head trust shows where it goes on, and accepts it",
          now.verifier_key().to_text());
}

// The first record of the log's present id: those of one id stand together, the newest last.
Result<Position> first_of(engine::Session& session, const log::StoredHead& now) {
  std::uint64_t low = 1;
  std::uint64_t high = now.tree.size;
  while (low < high) {  // 63 times at most
    const std::uint64_t middle = low + (high - low) / 2;
    KIMBERLITE_TRY(const record::Receipt receipt, session.receipt(Position{middle}, {}));
    KIMBERLITE_TRY(const record::Entry entry, record::decode(receipt.recorded.entry));
    if (entry.log_id == now.log_id) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return Position{low};
}

Result<record::KnownHead> known_of(const log::StoredHead& head) {
  const record::VerifierKey key = head.verifier_key();
  KIMBERLITE_TRY(record::SignedHead checked, record::check_head(head.note(), key));
  return record::KnownHead{.key = key, .head = std::move(checked)};
}

// The whole file, or a little more than a memory may be.
Result<std::string> read(env::Storage& files, const std::string& path) {
  KIMBERLITE_TRY(const auto file, files.open(path, env::Open::read));
  KIMBERLITE_TRY(const std::uint64_t size, file->size());
  std::string text(std::min<std::uint64_t>(size, record::known_heads_size_max + 1), '\0');
  KIMBERLITE_TRY(const std::size_t got,
                 file->read_at(0, std::as_writable_bytes(std::span{text.data(), text.size()})));
  text.resize(got);
  return text;
}

}  // namespace

Error HeadMemory::about(std::string_view tenant, Error&& error) const {
  return std::move(error).where("tenant {}, remembered in {}", tenant, path_);
}

Result<record::KnownHeads> HeadMemory::load() {
  auto text = read(files_, path_);
  if (!text) {
    const Error& error = text.error();
    const bool absent =
        error.code() == Code::not_found_file || error.code() == Code::not_found_directory;
    if (absent) return record::KnownHeads{};
    return Error{error.code(), "what was remembered of the logs cannot be read"}
        .where("{}", path_)
        .why("{}{}{}", error.what(), error.why().empty() ? "" : ": ", error.why())
        .next("{}", another_place);
  }
  auto heads = record::KnownHeads::parse(*text);
  if (heads) return heads;
  Error error = std::move(heads.error()).where("{}", path_);
  if (error.code() != Code::integrity_head) return error;
  return std::move(error).next(
      "put back a copy of the file; or remove it, and nothing that happened to the log until now "
      "will be noticed");
}

// The name of the new file is its own: two processes may be at it.
Status HeadMemory::save(const record::KnownHeads& heads) {
  std::array<std::byte, 8> unique{};
  random_.fill(unique);
  const std::string fresh = fmt::format("{}.{}.new", path_, to_hex(unique));
  const auto write = [&]() -> Status {
    KIMBERLITE_TRY(const auto file, files_.open(fresh, env::Open::create));
    KIMBERLITE_CHECK(file->write_at(0, bytes_of(heads.to_text())));
    KIMBERLITE_CHECK(file->sync());
    return files_.rename(fresh, path_);
  };
  const Status written = write();
  if (written) return {};
  static_cast<void>(files_.remove(fresh).has_value());
  const Error& error = written.error();
  // Nothing is wrong with what the command was asked to do.
  const bool own = class_of(error.code()) == ErrorClass::unavailable;
  return Error{own ? error.code() : Code::unavailable_io,
               "the newest head of the log could not be remembered"}
      .where("{}", path_)
      .why("{}{}{}", error.what(), error.why().empty() ? "" : ": ", error.why())
      .next("what was written is in the log; {}", another_place);
}

// The head `now`, proven to extend the known one, or why it does not.
Result<record::SignedHead> HeadMemory::prove(engine::Session& session, std::string_view tenant,
                                             const record::KnownHead& known,
                                             const log::StoredHead& now) {
  const record::TreeHead& seen = known.head.tree();
  if (record::origin_of(now.log_id) != seen.origin) return about(tenant, other_log(seen, now));
  const std::string note = now.note();
  auto newer = record::check_head(note, known.key);
  if (!newer) {
    return about(tenant, split_view(seen, "what it shows now is not signed by the same key"));
  }
  const record::TreeHead& tree = newer->tree();
  if (tree.size < seen.size) return about(tenant, rolled_back(tree.size, seen.size));
  if (tree.size == seen.size) {
    if (tree.root == seen.root) return newer;
    return about(tenant, split_view(seen, fmt::format("now it is {}", to_hex(tree.root))));
  }
  // Of the answer nothing is taken but the hashes: the heads are those that were checked here.
  const std::string known_note = known.head.note().to_text();
  auto proof = session.consistency(known_note, note);
  if (!proof && class_of(proof.error().code()) != ErrorClass::integrity) return proof.error();
  if (proof) {
    proof->older = known_note;
    proof->newer = note;
  }
  if (!proof || !record::check_consistency(*proof, known.key)) {
    return about(tenant, split_view(seen, fmt::format("the {} it has now do not begin with them",
                                                      tree.size)));
  }
  return newer;
}

Status HeadMemory::check(engine::Session& session, std::string_view tenant) {
  const std::scoped_lock lock{mutex_};
  KIMBERLITE_TRY(const record::KnownHeads heads, load());
  KIMBERLITE_TRY(const std::optional<record::KnownHead> known, heads.find(cluster_, tenant));
  if (!known) return {};
  const std::uint64_t seen = known->head.tree().size;
  KIMBERLITE_TRY(const Position end, session.head());
  if (end.value() == 0) return about(tenant, rolled_back(0, seen));
  KIMBERLITE_TRY(const log::StoredHead any, session.signed_head(Position{1}));
  const bool same_log = record::origin_of(any.log_id) == known->head.tree().origin;
  if (!same_log) return about(tenant, other_log(known->head.tree(), any));
  if (end.value() < seen) return about(tenant, rolled_back(end.value(), seen));
  KIMBERLITE_TRY(const log::StoredHead now, session.signed_head(Position{seen}));
  KIMBERLITE_CHECK(prove(session, tenant, *known, now));
  return {};
}

Status HeadMemory::remember(engine::Session& session, std::string_view tenant) {
  KIMBERLITE_TRY(const Position end, session.head());
  if (end.value() == 0) return {};
  const std::scoped_lock lock{mutex_};
  KIMBERLITE_TRY(record::KnownHeads heads, load());
  KIMBERLITE_TRY(const std::optional<record::KnownHead> known, heads.find(cluster_, tenant));
  if (known && known->head.tree().size >= end.value()) return {};
  KIMBERLITE_TRY(const log::StoredHead now, session.signed_head(Position{}));
  if (known) {
    KIMBERLITE_TRY(record::SignedHead head, prove(session, tenant, *known, now));
    heads.put(cluster_, tenant, {.key = known->key, .head = std::move(head)});
  } else {
    KIMBERLITE_TRY(const record::KnownHead first, known_of(now));
    heads.put(cluster_, tenant, first);
  }
  return save(heads);
}

Error HeadMemory::explain(const Error& failed, std::string_view tenant) {
  if (failed.code() != Code::not_found_tenant) return failed;
  const std::scoped_lock lock{mutex_};
  const auto heads = load();
  if (!heads) return heads.error();
  const auto known = heads->find(cluster_, tenant);
  if (!known) return known.error();
  if (!*known) return failed;
  return about(tenant, rolled_back(0, (*known)->head.tree().size));
}

Result<std::optional<NewEpoch>> HeadMemory::new_epoch(engine::Session& session,
                                                      std::string_view tenant) {
  const Status goes_on = check(session, tenant);
  if (goes_on) return std::optional<NewEpoch>{};
  if (goes_on.error().code() != Code::integrity_new_epoch) return goes_on.error();
  const std::scoped_lock lock{mutex_};
  KIMBERLITE_TRY(const record::KnownHeads heads, load());
  KIMBERLITE_TRY(const std::optional<record::KnownHead> known, heads.find(cluster_, tenant));
  if (!known) return std::optional<NewEpoch>{};
  KIMBERLITE_TRY(const log::StoredHead now, session.signed_head(Position{}));
  KIMBERLITE_TRY(const Position begins, first_of(session, now));
  return std::optional{NewEpoch{.known = known->head.tree(), .now = now, .begins = begins}};
}

Status HeadMemory::trust(engine::Session& session, std::string_view tenant, const NewEpoch& shown) {
  const std::scoped_lock lock{mutex_};
  KIMBERLITE_TRY(record::KnownHeads heads, load());
  KIMBERLITE_TRY(const std::optional<record::KnownHead> known, heads.find(cluster_, tenant));
  KIMBERLITE_TRY(const log::StoredHead now, session.signed_head(Position{}));
  const bool as_shown =
      known && known->head.tree() == shown.known && now.verifier_key() == shown.now.verifier_key();
  if (!as_shown) {
    return about(tenant, Error{Code::unavailable_busy, "this is not what was shown any more"}.next(
                             "look at it again: kimberlite head trust"));
  }
  KIMBERLITE_TRY(const record::KnownHead accepted, known_of(now));
  heads.put(cluster_, tenant, accepted);
  return save(heads);
}

}  // namespace kimberlite
