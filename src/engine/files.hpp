// Names of the files of a data directory, relative to its root (storage.md).
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/ids.hpp"

namespace kimberlite::engine::files {

inline constexpr std::string_view superblock = "superblock";
inline constexpr std::string_view journal = "journal";
inline constexpr std::string_view lock = "lock";
inline constexpr std::string_view tenants = "tenants";

inline std::string snapshot(OpNumber op) { return fmt::format("snapshot-{}", op.value()); }
inline std::string keystore(OpNumber op) { return fmt::format("keystore-{}", op.value()); }
inline std::string tenant(TenantId id) { return fmt::format("tenants/{}", id.value()); }
inline std::string lane(TenantId id, std::string_view lane) {
  return fmt::format("tenants/{}/{}", id.value(), lane);
}

}  // namespace kimberlite::engine::files
