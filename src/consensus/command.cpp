#include "consensus/command.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/assert.hpp"
#include "base/checked.hpp"

namespace kimberlite::consensus {
namespace {

static_assert(core::command_bytes_max == command_size_max);
static_assert(core::command_ids_at + 4 * sizeof(Id128) == command_header_size);

core::CommandWords words_of(const CommandHeader& header) {
  return {.size = static_cast<std::uint32_t>(command_size(header)),
          .kind = header.kind,
          .lane = header.lane,
          .flags = header.flags,
          .item_count = header.item_count,
          .tenant = header.tenant.value(),
          .base = header.base.value(),
          .access_version = header.access_version,
          .body_size = header.body_size,
          .sidecar_size = header.sidecar_size};
}

void store_header(const CommandHeader& header, std::byte* to) {
  core::store_command_words(to, words_of(header));
  std::byte* at = to + core::command_ids_at;
  for (const Id128* id :
       {&header.actor, &header.session, &header.request_id, &header.correlation}) {
    at = std::ranges::copy(*id, at).out;
  }
}

CommandHeader header_of(const core::CommandWords& words, const std::byte* from) {
  CommandHeader header{.kind = words.kind,
                       .lane = words.lane,
                       .flags = words.flags,
                       .item_count = words.item_count,
                       .tenant = TenantId{words.tenant},
                       .base = Position{words.base},
                       .access_version = words.access_version,
                       .body_size = words.body_size,
                       .sidecar_size = words.sidecar_size};
  const std::byte* at = from + core::command_ids_at;
  for (Id128* id : {&header.actor, &header.session, &header.request_id, &header.correlation}) {
    std::copy_n(at, id->size(), id->begin());
    at += id->size();
  }
  return header;
}

std::string_view reason(core::CommandFault fault) {
  switch (fault) {
    case core::CommandFault::none:
      return "nothing is wrong";
    case core::CommandFault::truncated:
      return "it does not end inside the prepare";
    case core::CommandFault::size:
      return "header, items and sidecar do not add up to its size";
    case core::CommandFault::zero:
      return "its reserved word is not zero";
    case core::CommandFault::limit:
      return "it is larger than a command may be";
    case core::CommandFault::items:
      return "it has no item, or more than its body has room for";
  }
  return "unknown";
}

}  // namespace

BodyBuilder::BodyBuilder(BlockPool& pool, std::size_t expected) : pool_(pool) {
  KIMBERLITE_ASSERT(expected <= body_size_max);
  block_ = pool_.take(frame_header_size + expected);
  block_->resize(frame_header_size);
}

std::size_t BodyBuilder::body_size() const {
  return block_ == nullptr ? 0 : block_->size() - frame_header_size;
}

bool BodyBuilder::fits(std::uint64_t size) const { return size <= body_size_max - body_size(); }

Result<MutBytes> BodyBuilder::add(const CommandHeader& header) {
  const std::uint64_t size = command_size(header);
  if (size > command_size_max) {
    return Error{Code::limit_command, "a command of {} bytes is larger than {}", size,
                 command_size_max}
        .next("split the batch, or the values in it");
  }
  const core::CommandFault fault = core::command_fault(words_of(header), 0, size);
  if (fault != core::CommandFault::none) {
    return Error{Code::limit_command, "a command cannot be written: {}", reason(fault)}.why(
        "{} items in {} bytes", header.item_count, header.body_size);
  }
  if (!fits(size)) {
    return Error{Code::limit_request, "a command of {} bytes does not fit a prepare that has {}",
                 size, body_size()};
  }
  if (block_ == nullptr) {
    block_ = pool_.take(frame_header_size);
  }
  const std::size_t at = block_->size();
  const auto end = static_cast<std::size_t>(at + size);
  if (end > block_->capacity()) {
    MutableBuffer larger = pool_.take(end);
    std::ranges::copy(block_->bytes().subspan(frame_header_size),
                      larger->bytes().begin() + frame_header_size);
    block_ = std::move(larger);
  }
  block_->resize(end);
  std::byte* const to = block_->bytes().data() + at;
  store_header(header, to);
  ++commands_;
  return block_->bytes().subspan(at + command_header_size);
}

MutableBuffer BodyBuilder::take() {
  commands_ = 0;
  return std::move(block_);
}

Result<std::optional<CommandView>> CommandReader::next() {
  if (index_ == commands_) {
    if (left_.empty()) return std::optional<CommandView>{};
    return Error{Code::integrity_command, "{} bytes follow the last of {} commands", left_.size(),
                 commands_};
  }
  core::CommandWords words;
  const core::CommandFault fault = core::load_command_words(left_.data(), left_.size(), words);
  if (fault != core::CommandFault::none) {
    return Error{Code::integrity_command, "command {} of {} does not decode: {}", index_ + 1,
                 commands_, reason(fault)};
  }
  CommandView view{
      .header = header_of(words, left_.data()),
      .items = left_.subspan(command_header_size, words.body_size),
      .sidecar = left_.subspan(command_header_size + words.body_size, words.sidecar_size)};
  left_ = left_.subspan(words.size);
  ++index_;
  return std::optional<CommandView>{view};
}

}  // namespace kimberlite::consensus
