// Strong ids and fixed-size byte values shared by every layer.
//
// A `Strong` value is made only explicitly and opened only through `.value()`, so a position cannot
// be passed where an op number is wanted. Thread rule: values.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace kimberlite::base {

template <class Tag, class Rep = std::uint64_t>
class Strong {
 public:
  constexpr Strong() = default;
  constexpr explicit Strong(Rep value) : value_(value) {}
  [[nodiscard]] constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(Strong, Strong) = default;

 private:
  Rep value_{};
};

// Tenants are dense from 1 (`main`); 0 is the cluster's own log.
using TenantId = Strong<struct TenantTag>;
// 1-based, dense, one per record of a (tenant, lane); 0 means "before the first record".
using Position = Strong<struct PositionTag>;
// 1-based number of a prepare in the consensus log.
using OpNumber = Strong<struct OpTag>;
// Dense per tenant; 1 is the control key, 2 the pseudonym key, 3 on are data keys.
using KeyId = Strong<struct KeyTag>;
using StreamId = Strong<struct StreamTag>;
// Number of an event in its stream, from 0.
using Sequence = Strong<struct SequenceTag>;
// Microseconds since the Unix epoch, UTC.
using TimestampUs = Strong<struct TimeTag>;
// Table ids and column ids are dense per tenant and never used twice.
using ObjectId = Strong<struct ObjectTag, std::uint32_t>;
using ColumnId = Strong<struct ColumnTag, std::uint32_t>;

using Hash = std::array<std::byte, 32>;
using Id128 = std::array<std::byte, 16>;

}  // namespace kimberlite::base

template <class Tag, class Rep>
struct std::hash<kimberlite::base::Strong<Tag, Rep>> {
  std::size_t operator()(kimberlite::base::Strong<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};

namespace kimberlite {
using namespace base;
}
