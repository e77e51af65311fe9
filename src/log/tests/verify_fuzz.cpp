// Any bytes as a log's first segment: verification ends with a report, and a log it finds nothing
// wrong with opens at the head it reached and gives all its records.
#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "log/tenant_log.hpp"
#include "log/verify.hpp"
#include "vopr/sim_env.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kimberlite;
  const log::LogName name{TenantId{7}, 0};
  vopr::DiskImage image;
  image.write(log::directory_of(name) + "/" + log::segment_file_name(Position{1}),
              std::as_bytes(std::span{data, size}));
  vopr::SimEnv world{1, image};
  const auto report = log::verify(world.storage(), name, {});
  KIMBERLITE_ASSERT(report.has_value());
  if (!report->clean() || report->records == 0) return 0;

  const auto opened = log::TenantLog::open(world.storage(), name, report->log_id, report->head);
  KIMBERLITE_ASSERT(opened.has_value());
  auto scan = (*opened)->scan(Position{1});
  KIMBERLITE_ASSERT(scan.has_value());
  std::uint64_t records = 0;
  while (true) {
    const auto record = scan->next();
    KIMBERLITE_ASSERT(record.has_value());
    if (!record->has_value()) break;
    ++records;
  }
  KIMBERLITE_ASSERT(records == report->records);
  return 0;
}
