// Words of the scenarios' language that parser and runner share.
#pragma once

#include <array>
#include <string_view>
#include <vector>

namespace kimberlite::vopr {

inline constexpr std::array<std::string_view, 10> header_words{
    "name",   "story", "about",      "replicas", "standbys",
    "spares", "seed",  "checkpoint", "ring",     "peace"};

// Kinds of calls; a device's `done` is a write that has ended and was not yet seen.
inline constexpr std::array<std::string_view, 8> call_words{
    "write", "done", "read", "sync", "create", "rename", "truncate", "remove"};
inline constexpr std::array<std::string_view, 8> file_words{
    "journal", "superblock", "snapshot", "keystore", "segment", "offsets", "tiles", "projection"};
inline constexpr std::array<std::string_view, 6> state_words{
    "normal", "view_change", "recovering_head", "recovering_disk", "syncing", "failed"};

inline constexpr std::string_view state_frames = "state";    // of a state taken from a peer
inline constexpr std::string_view record_frames = "record";  // of a record taken from a peer
inline constexpr std::string_view every_frame = "frames";

// The names of the kinds of frames: those of consensus, by their number from 1, then the three
// above.
[[nodiscard]] const std::vector<std::string_view>& frame_kinds();

}  // namespace kimberlite::vopr
