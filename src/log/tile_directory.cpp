#include "log/tile_directory.hpp"

#include <fmt/format.h>

#include "record/signed_head.hpp"
#include "small_file.hpp"

namespace kimberlite::log {
namespace {

constexpr std::string_view checkpoint_name = "checkpoint";
constexpr std::string_view unfinished = ".unfinished";

// Durable under its name, and whole whenever it is there.
Status write_whole(env::Storage& storage, const std::string& path, Bytes bytes) {
  const std::string first = fmt::format("{}{}", path, unfinished);
  {
    KIMBERLITE_TRY(const auto file, storage.open(first, env::Open::create));
    KIMBERLITE_CHECK(file->truncate(0));
    KIMBERLITE_CHECK(file->write_at(0, bytes));
    KIMBERLITE_CHECK(file->sync());
  }
  return storage.rename(first, path);
}

// Keeps (T3).
Status check_former(env::Storage& storage, const std::string& path, const StoredHead& head,
                    TileSource& source) {
  KIMBERLITE_TRY(const std::optional<std::string> note,
                 read_small(storage, path, record::note_size_max));
  if (!note) return {};
  const auto placed = [&](const Error& error) {
    return Error{error}
        .where("{}", path)
        .next(
            "the checkpoint and the log are two histories: keep both, and find out which is true");
  };
  const auto parsed = record::SignedNote::parse(*note);
  const auto former = parsed ? record::parse_head(parsed->text) : parsed.error();
  if (!former) return placed(former.error());
  if (former->origin != record::origin_of(head.log_id)) {
    return Error{Code::integrity_foreign_file, "the checkpoint there is that of another log"}
        .where("{}", path)
        .why("it is of {}, and the log is {}", former->origin, record::origin_of(head.log_id))
        .next("publish into a directory of its own");
  }
  const auto sound = record::check_head(*note, head.verifier_key());
  if (!sound) return placed(sound.error());
  if (former->size > head.tree.size) {
    return placed(
        Error{Code::integrity_rollback, "the log has fewer records than a checkpoint published"}
            .why("it was published with {}, and ends at {}", former->size, head.tree.size));
  }
  KIMBERLITE_TRY(const Hash root, source.root_at(former->size));
  if (root != former->root) {
    return placed(
        Error{Code::integrity_consistency, "the log does not extend the checkpoint published"}.why(
            "of the first {} records root {} was published, and the log has {}", former->size,
            to_hex(former->root), to_hex(root)));
  }
  return {};
}

// True if it was not there. Keeps (T1).
Result<bool> write_tile(env::Storage& storage, const std::string& path, Bytes tile) {
  KIMBERLITE_TRY(const std::optional<std::string> there,
                 read_small(storage, path, record::tile_bytes));
  if (!there) {
    KIMBERLITE_CHECK(write_whole(storage, path, tile));
    return true;
  }
  if (equal(bytes_of(*there), tile)) return false;
  return Error{Code::integrity_tile, "a tile that was published is not that of the log"}
      .where("{}", path)
      .why("its {} bytes differ from the tile of the signed tree; nothing was written over it",
           there->size())
      .next("find out who changed it; remove that file alone, and publish again");
}

}  // namespace

Result<Published> publish(env::Storage& storage, std::string_view directory, const StoredHead& head,
                          TileSource& source) {
  const std::string checkpoint = fmt::format("{}/{}", directory, checkpoint_name);
  KIMBERLITE_CHECK(check_former(storage, checkpoint, head, source));
  Published published;
  KIMBERLITE_CHECK(
      record::for_each_tile(head.tree.size, [&](const record::TileName& name) -> Status {
        KIMBERLITE_TRY(const Buffer tile, source.tile(name, head.tree));
        KIMBERLITE_TRY(
            const bool written,
            write_tile(storage, fmt::format("{}/{}", directory, record::tile_path(name)), tile));
        ++published.tiles;
        if (written) ++published.written;
        return {};
      }));
  KIMBERLITE_CHECK(write_whole(storage, checkpoint, bytes_of(head.note())));
  return published;
}

}  // namespace kimberlite::log
