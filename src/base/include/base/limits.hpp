// The product's fixed limits, in bytes unless the name says otherwise. Source: storage.md, Limits.
#pragma once

#include <cstdint>

namespace kimberlite::base {

inline constexpr std::uint64_t sector_size = 4096;
inline constexpr std::uint64_t prepare_size_max = 8ULL << 20;  // with its headers
inline constexpr std::uint64_t command_size_max = 6ULL << 20;
inline constexpr std::uint64_t request_size_max = 4ULL << 20;
inline constexpr std::uint64_t row_size_max = 1ULL << 20;    // a row's image
inline constexpr std::uint64_t event_size_max = 1ULL << 20;  // an event's payload
inline constexpr std::uint64_t segment_size_max = 64ULL << 20;
inline constexpr std::uint64_t journal_ring_min = 256ULL << 10;  // under 64 MiB: smaller requests
inline constexpr std::uint64_t journal_ring_embedded = 64ULL << 20;
inline constexpr std::uint64_t journal_ring_server = 1ULL << 30;
inline constexpr std::uint64_t statement_memory_max = 512ULL << 20;  // what a statement may gather
inline constexpr std::uint64_t reply_size_max = 64ULL << 10;         // RETURNING kept in a record
inline constexpr std::uint64_t batch_changes_max = 1ULL
                                                   << 20;  // an executor batch, before its last
inline constexpr std::uint32_t batch_requests_max = 256;

static_assert(journal_ring_embedded >= 8 * prepare_size_max);
static_assert(command_size_max + batch_changes_max <= prepare_size_max);
static_assert(request_size_max < command_size_max);

}  // namespace kimberlite::base

namespace kimberlite {
using namespace base;
}
