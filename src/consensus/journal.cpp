#include "consensus/journal.hpp"

#include "consensus/core/ring.hpp"
#include "scan.hpp"

namespace kimberlite::consensus {

static_assert(core::sector == sector_size);

Status check_limits(const JournalLimits& limits) {
  const bool ring_fits = core::is_ring({limits.ring_size}) && limits.ring_size <= (1ULL << 40U);
  const bool prepare_fits = limits.prepare_size_max >= sector_size &&
                            limits.prepare_size_max % sector_size == 0 &&
                            limits.prepare_size_max <= base::prepare_size_max;
  if (ring_fits && prepare_fits && limits.ring_size / 8 >= limits.prepare_size_max) return {};
  return Error{Code::usage_config, "a journal ring of {} bytes cannot be used", limits.ring_size}
      .where("journal")
      .why("it must be whole sectors and at least 8 prepares of {} bytes", limits.prepare_size_max)
      .next("choose a larger ring when the directory is made");
}

std::string_view name(RangeKind kind) {
  switch (kind) {
    case RangeKind::mark:
      return "mark";
    case RangeKind::live_frame:
      return "live frame";
    case RangeKind::unreached:
      return "unreached frame";
    case RangeKind::stale_frame:
      return "stale frame";
    case RangeKind::stale_bytes:
      return "stale bytes";
    case RangeKind::unused:
      return "unused";
  }
  return "unknown";
}

Result<JournalRecovery> recover_journal(const Superblock& superblock, const JournalLimits& limits,
                                        const ReadAt& read) {
  KIMBERLITE_CHECK(check_limits(limits));
  Scan scan(superblock, limits, read, ScanFor::open);
  KIMBERLITE_CHECK(scan.run());
  if (scan.fatal()) return *scan.fatal();
  return scan.take_recovery();
}

Result<JournalAudit> audit_journal(const Superblock& superblock, const JournalLimits& limits,
                                   const ReadAt& read) {
  KIMBERLITE_CHECK(check_limits(limits));
  Scan scan(superblock, limits, read, ScanFor::audit);
  KIMBERLITE_CHECK(scan.run());
  return scan.take_audit();
}

}  // namespace kimberlite::consensus
