// A prepare's body: a run of commands, each header · items · sidecar, and nothing else.
//
// `BodyBuilder` writes one straight into the block the journal will write, behind the 256 bytes of
// the frame's headers, so that a body byte is written once. `CommandReader` walks one; views it
// gives live as long as the bytes it walks. Thread rule: values of one thread.
//
// Source: design, storage.md "Commands"; the header's layout is in core/command_codec.hpp.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "consensus/block.hpp"
#include "consensus/core/command_codec.hpp"
#include "consensus/frame.hpp"

namespace kimberlite::consensus {

using core::command_header_size;

struct CommandHeader {
  std::uint16_t kind = 0;
  std::uint16_t lane = 0;
  std::uint32_t flags = 0;
  std::uint32_t item_count = 0;
  TenantId tenant;
  Position base;
  std::uint32_t access_version = 0;
  std::uint32_t body_size = 0;     // of the items
  std::uint32_t sidecar_size = 0;  // of the wrapped keys and verifiers
  Id128 actor{};
  Id128 session{};
  Id128 request_id{};
  Id128 correlation{};

  friend bool operator==(const CommandHeader&, const CommandHeader&) = default;
};

// Bytes of the whole command.
[[nodiscard]] constexpr std::uint64_t command_size(const CommandHeader& header) {
  return std::uint64_t{command_header_size} + header.body_size + header.sidecar_size;
}

struct CommandView {
  CommandHeader header;
  Bytes items;
  Bytes sidecar;
};

// The largest body a prepare can have.
inline constexpr std::uint64_t body_size_max = prepare_size_max - frame_header_size;

class BodyBuilder {
 public:
  // Reserves room for a body of `expected` bytes; it grows when more is added.
  BodyBuilder(BlockPool& pool, std::size_t expected);

  // Writes the header and gives the room for items and sidecar (`body_size` + `sidecar_size` bytes,
  // not initialised), which the caller must fill before the next call. Fails with `limit.command`
  // if the command is larger than a command may be or its item count cannot be right, and with
  // `limit.request` if it does not fit this prepare any more; nothing is added then.
  [[nodiscard]] Result<MutBytes> add(const CommandHeader& header);

  // True if a command of `size` bytes still fits this prepare.
  [[nodiscard]] bool fits(std::uint64_t size) const;
  [[nodiscard]] std::uint32_t commands() const { return commands_; }
  [[nodiscard]] std::size_t body_size() const;

  // The block for `Propose`: 256 free bytes, then the body. The builder is empty afterwards.
  [[nodiscard]] MutableBuffer take();

 private:
  BlockPool& pool_;
  MutableBuffer block_;
  std::uint32_t commands_ = 0;
};

class CommandReader {
 public:
  // `body` and `commands` as in the prepare.
  CommandReader(Bytes body, std::uint32_t commands) : left_(body), commands_(commands) {}

  // The next command; nothing after the last. Fails with `integrity.command` if a command does not
  // decode, or if bytes are left when all `commands` were read; every later call fails too.
  [[nodiscard]] Result<std::optional<CommandView>> next();

 private:
  Bytes left_;
  std::uint32_t commands_;
  std::uint32_t index_ = 0;
};

}  // namespace kimberlite::consensus
