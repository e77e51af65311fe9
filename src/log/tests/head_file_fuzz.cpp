// Any bytes as a log's file of heads: it opens or is refused, what is read of it is what would be
// written, and verification ends with a report.
#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "log/head_file.hpp"
#include "log/verify.hpp"
#include "vopr/sim_env.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kimberlite;
  const log::LogName name{TenantId{7}, 0};
  vopr::DiskImage image;
  const Bytes bytes = std::as_bytes(std::span{data, size});
  image.write(log::directory_of(name) + "/" + std::string{log::heads_name}, bytes);
  vopr::SimEnv world{1, image};
  const auto report = log::verify(world.storage(), name, {});
  KIMBERLITE_ASSERT(report.has_value());

  const auto opened = log::HeadFile::open(world.storage(), name);
  if (!opened) {
    KIMBERLITE_ASSERT(!report->clean());
    return 0;
  }
  for (std::uint64_t i = 0; i < opened->count(); ++i) {
    const auto head = opened->read(i);
    if (!head) {
      KIMBERLITE_ASSERT(!report->clean());
      continue;
    }
    const Bytes there = bytes.subspan(i * log::head_record_size, log::head_record_size);
    KIMBERLITE_ASSERT(equal(log::encode(*head), there));
  }
  return 0;
}
