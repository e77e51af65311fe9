// Any bytes as the text of a backup: what is accepted is written again to the same bytes.
#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "engine/backup.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kimberlite;
  const std::string_view text = text_of(std::as_bytes(std::span{data, size}));
  const auto backup = engine::BackupText::parse(text);
  if (backup) KIMBERLITE_ASSERT(backup->to_text() == text);
  return 0;
}
