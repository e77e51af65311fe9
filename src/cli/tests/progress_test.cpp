#include "cli/progress.hpp"

#include <gtest/gtest.h>

#include <csignal>

#include "cli/interrupt.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::uint64_t second = 1'000'000'000;

TEST(Progress, ShowsRowsBytesRateAndTimeLeft) {
  const ProgressLine line{"patients", 100, 0};
  EXPECT_EQ(line.text({.rows = 12'345, .bytes = 3'400'000, .bytes_total = 10'200'000}, 2 * second),
            "patients   12,345 rows   3.4 MB of 10.2 MB (33 %)   1.7 MB/s   4 s left");
  EXPECT_EQ(line.text({.rows = 7, .bytes = 640, .bytes_total = 0}, second),
            "patients   7 rows   640 B   640 B/s");
  EXPECT_EQ(line.text({}, 0), "patients   0 rows   0 B   0 B/s");
}

TEST(Progress, IsDueSeldomAndOnATerminalOnly) {
  ProgressLine line{"patients", 40, 10 * second};
  EXPECT_FALSE(line.due(10 * second + ProgressLine::first_ns - 1));
  EXPECT_TRUE(line.due(10 * second + ProgressLine::first_ns));
  EXPECT_EQ(line.clear(), "");
  const std::string shown = line.update({.rows = 1, .bytes = 2, .bytes_total = 9}, 11 * second);
  EXPECT_TRUE(shown.starts_with("\r\x1b[K")) << shown;
  EXPECT_LE(shown.size(), 4 + 40 + 2);  // an ellipsis has three bytes
  EXPECT_FALSE(line.due(11 * second + ProgressLine::interval_ns - 1));
  EXPECT_TRUE(line.due(11 * second + ProgressLine::interval_ns));
  EXPECT_EQ(line.clear(), "\r\x1b[K");
  EXPECT_FALSE((ProgressLine{"patients", 0, 0}.due(100 * second)));
}

TEST(Progress, WritesNumbersForPeople) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1000), "1.0 kB");
  EXPECT_EQ(bytes_text(999'949), "999.9 kB");
  EXPECT_EQ(bytes_text(999'950), "1.0 MB");
  EXPECT_EQ(duration_text(59), "59 s");
  EXPECT_EQ(duration_text(200), "3 m 20 s");
  EXPECT_EQ(duration_text(7325), "2 h 2 m");
}

TEST(Interrupt, IsAFlagTheFirstTimeAndTheEndTheSecond) {
  EXPECT_EXIT(
      {
        install_interrupt();
        if (interrupted()) std::exit(1);
        std::raise(SIGINT);
        if (!interrupted()) std::exit(2);
        clear_interrupt();
        std::raise(SIGINT);  // the first again
        if (!interrupt_flag().load()) std::exit(3);
        std::raise(SIGINT);
        std::exit(4);
      },
      testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace kimberlite::cli
