// Logs for tests: the records are made from their position and a seed, so that two runs make the
// same ones.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "log/tenant_log.hpp"
#include "log/verify.hpp"
#include "record/frame.hpp"
#include "sample.hpp"
#include "vopr/sim_env.hpp"

namespace kimberlite::log::made {

inline constexpr LogName name{TenantId{7}, 0};

inline Id128 log_id(unsigned epoch) { return record::sample::counting<Id128>(0x10 * (epoch + 1)); }

struct Shape {
  std::uint32_t items_max = 3;
  std::uint32_t blocks_max = 6;     // of 64 bytes, an item
  std::uint64_t epoch_records = 0;  // a new log id after so many; 0: never
  std::uint32_t item_blocks = 0;    // all items of this size, if not 0
};

struct Record {
  record::Entry entry;
  Buffer body;
  record::Head after;
};

inline Record record_after(const record::Head& head, unsigned seed, const Shape& shape) {
  const std::uint64_t n = head.position.value();
  const auto pick = [&](std::uint64_t salt, std::uint64_t bound) {
    return (n * 2654435761U + std::uint64_t{seed} * 40503U + salt * 97U) % 1009 % bound;
  };
  Record made;
  const std::uint64_t items = 1 + pick(1, shape.items_max);
  for (std::uint64_t i = 0; i < items; ++i) {
    const auto blocks = shape.item_blocks != 0
                            ? shape.item_blocks
                            : static_cast<std::uint32_t>(1 + pick(2 + i, shape.blocks_max));
    append(made.body, record::sample::item(static_cast<unsigned>(n + i + seed), 16 + 64 * blocks));
  }
  made.entry = record::sample::next_entry(head, made.body);
  made.entry.log_id =
      log_id(shape.epoch_records == 0 ? 0 : static_cast<unsigned>(n / shape.epoch_records));
  made.after = record::advance(head, made.entry);
  return made;
}

// The heads of a log, by position; heads[0] is the empty one.
using Heads = std::vector<record::Head>;

inline std::unique_ptr<TenantLog> open(env::Storage& storage, const record::Head& head = {},
                                       const Shape& shape = {}) {
  const std::uint64_t newest = head.position.value() == 0 ? 0 : head.position.value() - 1;
  const unsigned epoch =
      shape.epoch_records == 0 ? 0 : static_cast<unsigned>(newest / shape.epoch_records);
  auto log = TenantLog::open(storage, name, log_id(epoch), head);
  EXPECT_TRUE(log.has_value()) << (log ? "" : to_string(log.error()));
  return log ? *std::move(log) : nullptr;
}

// Appends up to `position`; `heads` ends at the log's head, and is extended.
inline Status extend(TenantLog& log, Heads& heads, std::uint64_t position, unsigned seed = 0,
                     const Shape& shape = {}) {
  while (log.head().position.value() < position) {
    const Record next = record_after(log.head(), seed, shape);
    KIMBERLITE_CHECK(log.append(OpNumber{next.entry.position.value() * 2}, 3, next.entry, next.body,
                                next.after));
    if (heads.size() <= next.after.position.value()) heads.push_back(next.after);
  }
  return {};
}

inline std::string describe(const VerifyReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) {
    text += fmt::format("{} {} byte {} position {}: {} (expected {}, found {})\n",
                        base::name(finding.code), finding.file, finding.offset,
                        finding.position.value(), finding.what, finding.expected, finding.found);
  }
  return text;
}

inline VerifyReport verified(env::Storage& storage, const VerifyOptions& options = {}) {
  auto report = verify(storage, name, options);
  EXPECT_TRUE(report.has_value());
  return report ? *report : VerifyReport{};
}

inline void expect_clean(env::Storage& storage, const record::Head& head) {
  VerifyOptions options;
  options.at_least = head;
  const VerifyReport report = verified(storage, options);
  EXPECT_TRUE(report.clean()) << describe(report);
  EXPECT_EQ(report.head, head);
  EXPECT_EQ(report.records, head.position.value());
}

}  // namespace kimberlite::log::made
