// The projection's file of a tenant, and the id its pages are bound to.
#pragma once

#include <string>

#include "base/le.hpp"
#include "files.hpp"

namespace kimberlite::engine {

inline std::string projection_path(TenantId tenant) {
  return files::tenant(tenant) + "/projection.db";
}

inline Id128 projection_file_id(TenantId tenant) {
  Id128 id{};
  store_le(id.data(), tenant.value());
  return id;
}

}  // namespace kimberlite::engine
