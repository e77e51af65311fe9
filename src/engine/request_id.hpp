// Request ids: UUIDv7 when we make them, UUIDv8 when they are cut from a caller's text.
//
// Source: RFC 9562 §5.7, §5.8. An id of version 7 tells its age, so that one older than the window
// in which outcomes are remembered is never taken for new.
#pragma once

#include <optional>

#include "base/ids.hpp"
#include "env/env.hpp"

namespace kimberlite::engine {

inline constexpr std::uint64_t request_window_us = 7ULL * 24 * 3600 * 1'000'000;

[[nodiscard]] inline Id128 new_request_id(env::Clock& clock, env::Random& random) {
  Id128 id{};
  random.fill(id);
  const std::uint64_t milliseconds = clock.realtime().value() / 1000;
  for (std::size_t i = 0; i < 6; ++i) {
    id[i] = static_cast<std::byte>(milliseconds >> (8 * (5 - i)));
  }
  id[6] = (id[6] & std::byte{0x0F}) | std::byte{0x70};
  id[8] = (id[8] & std::byte{0x3F}) | std::byte{0x80};
  return id;
}

// When an id of version 7 was made, to the millisecond; nothing for other versions.
[[nodiscard]] inline std::optional<TimestampUs> made_at(const Id128& id) {
  if ((id[6] & std::byte{0xF0}) != std::byte{0x70}) return std::nullopt;
  std::uint64_t milliseconds = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    milliseconds = milliseconds << 8U | std::to_integer<std::uint64_t>(id[i]);
  }
  return TimestampUs{milliseconds * 1000};
}

}  // namespace kimberlite::engine
