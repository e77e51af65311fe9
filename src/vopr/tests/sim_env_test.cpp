#include "vopr/sim_env.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace kimberlite::vopr {
namespace {

struct AlignedFree {
  void operator()(std::byte* p) const { std::free(p); }
};
using Sectors = std::unique_ptr<std::byte, AlignedFree>;

Sectors sectors(std::size_t size, std::byte fill) {
  Sectors memory{static_cast<std::byte*>(std::aligned_alloc(4096, size))};
  std::fill_n(memory.get(), size, fill);
  return memory;
}

std::unique_ptr<env::File> create(SimEnv& world, std::string_view path) {
  auto file = world.storage().open(path, env::Open::create);
  EXPECT_TRUE(file);
  return *std::move(file);
}

void poll_all(env::SectorDevice& device, std::size_t count) {
  std::array<env::IoDone, 16> done;
  for (int i = 0; i < 1000 && count > 0; ++i) count -= device.poll(done, 1'000'000);
  ASSERT_EQ(count, 0U);
}

TEST(SimStorage, CreateNewMakesAFileOnce) {
  SimEnv world{1};
  EXPECT_TRUE(world.storage().open("f", env::Open::create_new));
  EXPECT_EQ(world.storage().open("f", env::Open::create_new).error().code(),
            Code::constraint_exists);
}

TEST(SimStorage, WhatWasSyncedSurvivesAndTheRestMay) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimEnv world{seed};
    auto file = create(world, "f");
    ASSERT_TRUE(file->write_at(0, Buffer(8192, std::byte{'a'})));
    ASSERT_TRUE(file->sync());
    ASSERT_TRUE(file->write_at(4096, Buffer(8192, std::byte{'b'})));
    const DiskImage left = world.storage().crash();
    const Buffer bytes = left.read("f");
    EXPECT_TRUE(std::ranges::all_of(Bytes{bytes}.first(4096),
                                    [](std::byte b) { return b == std::byte{'a'}; }));
    ASSERT_GE(bytes.size(), 8192U);
    ASSERT_LE(bytes.size(), 12288U);
    std::string sectors_left;
    for (std::size_t at = 4096; at < bytes.size(); at += 512) {
      const auto sector = Bytes{bytes}.subspan(at, std::min<std::size_t>(512, bytes.size() - at));
      const char first = static_cast<char>(sector[0]);
      EXPECT_TRUE(std::ranges::all_of(sector, [&](std::byte b) { return b == sector[0]; }));
      sectors_left += first == '\0' ? '0' : first;
    }
    seen.insert(sectors_left);
  }
  EXPECT_GT(seen.size(), 20U) << "the seeds tear in many ways";
  EXPECT_TRUE(seen.contains("aaaaaaaa")) << "all lost";
  EXPECT_TRUE(seen.contains("bbbbbbbbbbbbbbbb")) << "all kept";
}

TEST(SimStorage, AKilledProcessLosesNothingAMachineHolds) {
  SimEnv world{1};
  auto file = create(world, "f");
  ASSERT_TRUE(file->write_at(0, bytes_of("unsynced")));
  EXPECT_EQ(text_of(world.storage().image().read("f")), "unsynced");
}

TEST(SimStorage, SyncAllMakesEveryFileDurable) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SimEnv world{seed};
    ASSERT_TRUE(create(world, "a")->write_at(0, bytes_of("one")));
    ASSERT_TRUE(create(world, "d/b")->write_at(0, bytes_of("two")));
    ASSERT_TRUE(world.storage().sync_all());
    const DiskImage left = world.storage().crash();
    EXPECT_EQ(text_of(left.read("a")), "one");
    EXPECT_EQ(text_of(left.read("d/b")), "two");
  }
}

TEST(SimStorage, ADeviceKeepsWhatWasPolledAndTearsWhatIsInFlight) {
  std::set<std::string> seen;
  const Sectors a = sectors(8192, std::byte{'a'});
  const Sectors b = sectors(8192, std::byte{'b'});
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimEnv world{seed};
    auto device = world.storage().open_device("journal", 1U << 20U);
    ASSERT_TRUE(device);
    (*device)->write(1, 0, {a.get(), 8192});
    poll_all(**device, 1);
    (*device)->write(2, 4096, {b.get(), 8192});
    const DiskImage left = world.storage().crash();
    std::string kinds;
    for (std::uint64_t at = 0; at < 12288; at += 512) {
      const char c = static_cast<char>(left.at("journal", at));
      kinds += c == '\0' ? '0' : c;
    }
    EXPECT_EQ(kinds.substr(0, 8), "aaaaaaaa");
    seen.insert(kinds.substr(8));
    poll_all(**device, 1);
  }
  EXPECT_GT(seen.size(), 20U);
  EXPECT_TRUE(seen.contains("aaaaaaaa00000000"));
  EXPECT_TRUE(seen.contains("bbbbbbbbbbbbbbbb"));
}

TEST(SimStorage, CompletionsComeInAnyOrder) {
  std::set<std::uint64_t> first;
  const Sectors a = sectors(4096, std::byte{1});
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimEnv world{seed};
    auto device = world.storage().open_device("journal", 1U << 20U);
    ASSERT_TRUE(device);
    for (std::uint64_t tag = 0; tag < 4; ++tag) (*device)->write(tag, tag * 4096, {a.get(), 4096});
    std::array<env::IoDone, 1> done;
    ASSERT_EQ((*device)->poll(done, 1'000'000), 1U);
    first.insert(done[0].tag);
    poll_all(**device, 3);
  }
  EXPECT_EQ(first.size(), 4U);
}

// A little of everything that does I/O.
void workload(SimEnv& world) {
  const Sectors a = sectors(8192, std::byte{9});
  auto lock = world.storage().lock("lock", "test");
  auto device = world.storage().open_device("journal", 1U << 16U);
  auto file = world.storage().open("d/file", env::Open::create);
  if (!lock || !device || !file) return;
  for (std::uint64_t i = 0; i < 4; ++i) {
    (*device)->write(i, i * 8192, {a.get(), 8192});
    std::array<env::IoDone, 4> done;
    (*device)->poll(done, 1'000'000);
    static_cast<void>((*file)->write_at(i * 1000, Buffer(1000, static_cast<std::byte>(i + 1))));
    if (i % 2 == 1) static_cast<void>((*file)->sync());
  }
  static_cast<void>((*file)->truncate(2500));
  static_cast<void>(world.storage().sync_all());
  static_cast<void>(world.storage().rename("d/file", "d/renamed"));
  static_cast<void>(create(world, "gone")->sync());
  static_cast<void>(world.storage().remove("gone"));
  static_cast<void>(world.storage().remove("gone"));  // a call too, though there is nothing
  static_cast<void>(world.storage().rename("gone", "nowhere"));
  static_cast<void>(world.storage().lock("lock", "another"));
}

TEST(SimStorage, TheImageFreezesAtEveryCallAndIsTheSameForTheSameSeed) {
  SimEnv whole{3};
  workload(whole);
  const std::uint64_t calls = whole.storage().calls();
  EXPECT_EQ(whole.storage().kinds().size(), calls);
  ASSERT_GT(calls, 20U);
  std::set<Hash> images;
  for (std::uint64_t n = 1; n <= calls; ++n) {
    SimEnv first{3, {}, {.crash_at = n}};
    SimEnv second{3, {}, {.crash_at = n}};
    workload(first);
    workload(second);
    ASSERT_TRUE(first.storage().frozen()) << "call " << n;
    const Hash left = first.storage().crash().digest();
    EXPECT_EQ(left, second.storage().crash().digest()) << "call " << n;
    ASSERT_TRUE(create(first, "later")->sync());
    EXPECT_EQ(left, first.storage().crash().digest()) << "nothing later reaches the disk";
    images.insert(left);
  }
  EXPECT_GT(images.size(), 10U);

  std::set<std::uint64_t> all;
  for (std::uint64_t n = 1; n <= calls; ++n) all.insert(n);
  std::set<Hash> photographs;
  SimEnv photographed{3};
  photographed.storage().photograph(all, [&](std::uint64_t call, const DiskImage& image) {
    all.erase(call);
    photographs.insert(image.digest());
  });
  workload(photographed);
  EXPECT_TRUE(all.empty());
  EXPECT_EQ(photographs, images);
  EXPECT_EQ(photographed.storage().image().digest(), whole.storage().image().digest())
      << "a photograph changes nothing";

  SimEnv never{3, {}, {.crash_at = calls + 1}};
  workload(never);
  EXPECT_FALSE(never.storage().frozen());
}

TEST(SimStorage, AnOpenedImageGoesOnWhereItStopped) {
  SimEnv before{5};
  workload(before);
  SimEnv after{6, before.storage().image()};
  auto file = after.storage().open("d/renamed", env::Open::write);
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->size().value(), 2500U);
  EXPECT_TRUE(after.storage().open_device("journal", 0));
  EXPECT_EQ(after.storage().list("").value(), (std::vector<std::string>{"d/", "journal", "lock"}));
}

TEST(SimStorage, ACallFailsWhenToldTo) {
  for (const Failure failure : {Failure::io, Failure::disk_full}) {
    SimEnv world{4, {}, {.injections = {{.call = 3, .failure = failure}}}};
    auto file = create(world, "f");                          // 1
    ASSERT_TRUE(file->write_at(0, bytes_of("first")));       // 2
    const Status second = file->write_at(5, bytes_of("!"));  // 3
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(),
              failure == Failure::io ? Code::unavailable_io : Code::unavailable_disk_full);
    EXPECT_TRUE(file->write_at(5, bytes_of("?")));
    EXPECT_EQ(text_of(world.storage().image().read("f")), "first?");
  }
  SimEnv stuck{4, {}, {.injections = {{.call = 2, .failure = Failure::io, .from_then_on = true}}}};
  auto file = create(stuck, "f");
  EXPECT_FALSE(file->write_at(0, bytes_of("x")));
  EXPECT_FALSE(file->sync());
  EXPECT_FALSE(stuck.storage().sync_all());
}

TEST(SimStorage, AFailedDeviceWriteIsToldAtItsCompletion) {
  const Sectors a = sectors(4096, std::byte{1});
  SimEnv world{4, {}, {.injections = {{.call = 2, .failure = Failure::io}}}};
  auto device = world.storage().open_device("journal", 1U << 16U);  // 1
  ASSERT_TRUE(device);
  (*device)->write(7, 0, {a.get(), 4096});  // 2
  std::array<env::IoDone, 1> done;
  ASSERT_EQ((*device)->poll(done, 1'000'000), 1U);
  EXPECT_EQ(done[0].status.error().code(), Code::unavailable_io);
}

TEST(SimStorage, AFullDiskRefusesGrowthOnly) {
  SimEnv world{4, {}, {.capacity = 10'000}};
  auto file = create(world, "f");
  ASSERT_TRUE(file->write_at(0, Buffer(8000)));
  EXPECT_EQ(world.storage().free_bytes().value(), 2000U);
  EXPECT_EQ(file->write_at(8000, Buffer(4000)).error().code(), Code::unavailable_disk_full);
  EXPECT_TRUE(file->write_at(0, Buffer(8000)));
  EXPECT_EQ(world.storage().open_device("journal", 1U << 16U).error().code(),
            Code::unavailable_disk_full);
}

TEST(SimStorage, ALatentErrorLastsUntilTheSectorIsWritten) {
  SimEnv world{4};
  auto file = create(world, "f");
  ASSERT_TRUE(file->write_at(0, Buffer(12288)));
  world.storage().fail_sector("f", 5000);
  Buffer to(4096);
  EXPECT_TRUE(file->read_at(0, to));
  EXPECT_EQ(file->read_at(4000, to).error().code(), Code::unavailable_io);
  ASSERT_TRUE(file->write_at(4096, Buffer(4096)));
  EXPECT_TRUE(file->read_at(4000, to));
}

TEST(SimStorage, RatesStrikeOnceInAWhile) {
  SimEnv rotten{4, {}, {.bit_rot = 500'000}};
  auto file = create(rotten, "f");
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(file->write_at(i * 512, Buffer(512)));
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    Buffer to(512);
    ASSERT_TRUE(file->read_at(i * 512, to));
    wrong += all_zero(to) ? 0U : 1U;
  }
  EXPECT_GT(wrong, 20U);
  EXPECT_LT(wrong, 80U);

  SimEnv astray{4, {}, {.misdirected_writes = 1'000'000}};
  auto device = astray.storage().open_device("journal", 1U << 20U);
  ASSERT_TRUE(device);
  const Sectors a = sectors(4096, std::byte{1});
  (*device)->write(1, 0, {a.get(), 4096});
  poll_all(**device, 1);
  EXPECT_TRUE(astray.storage().image().is_zero_sector("journal", 0));

  SimEnv lossy{4, {}, {.lost_writes = 1'000'000}};
  device = lossy.storage().open_device("journal", 1U << 20U);
  ASSERT_TRUE(device);
  (*device)->write(1, 0, {a.get(), 4096});
  poll_all(**device, 1);
  EXPECT_TRUE(lossy.storage().image().is_zero_sector("journal", 0));

  SimEnv failing{4, {}, {.read_failures = 1'000'000}};
  auto unread = create(failing, "f");
  Buffer to(1);
  EXPECT_FALSE(unread->read_at(0, to));
}

TEST(SimStorage, ALockHasOneHolder) {
  SimEnv world{4};
  auto first = world.storage().lock("lock", "one");
  ASSERT_TRUE(first);
  const auto second = world.storage().lock("lock", "two");
  EXPECT_EQ(second.error().code(), Code::unavailable_in_use);
  EXPECT_NE(second.error().what().find("one"), std::string::npos);
  first->reset();
  EXPECT_TRUE(world.storage().lock("lock", "two"));
}

TEST(SimExecutor, TheSeedChoosesAmongStrandsAndKeepsTheirOrder) {
  std::set<std::string> orders;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    std::string order;
    std::string again;
    for (std::string* to : {&order, &again}) {
      SimEnv world{seed};
      for (const char c : {'a', 'b'}) world.executor().post(1, [to, c] { *to += c; });
      for (const char c : {'x', 'y'}) world.executor().post(2, [to, c] { *to += c; });
      EXPECT_EQ(world.executor().pending(), 4U);
      while (world.executor().run_one(0)) {
      }
    }
    EXPECT_EQ(order, again);
    EXPECT_LT(order.find('a'), order.find('b'));
    EXPECT_LT(order.find('x'), order.find('y'));
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6U) << "every interleaving";
}

TEST(SimExecutor, TimeMovesToTheNextTimer) {
  SimEnv world{1};
  std::string order;
  world.executor().post_after(2'000'000, 1, [&] { order += 'b'; });
  world.executor().post_after(1'000'000, 2, [&] { order += 'a'; });
  EXPECT_FALSE(world.executor().run_one(500'000));
  EXPECT_EQ(world.clock().now_ns(), 500'000U);
  EXPECT_TRUE(world.executor().run_one(10'000'000));
  EXPECT_TRUE(world.executor().run_one(10'000'000));
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(world.clock().now_ns(), 2'000'000U);
}

TEST(SimClock, StepsMoveTheWallAlone) {
  SimEnv world{1};
  const std::uint64_t before = world.clock().monotonic_ns();
  const TimestampUs wall = world.clock().realtime();
  world.clock().step_realtime(-5'000'000);
  EXPECT_LT(world.clock().realtime(), wall);
  EXPECT_GT(world.clock().monotonic_ns(), before);
}

TEST(SimRandom, FollowsFromTheSeed) {
  SimEnv one{1};
  SimEnv same{1};
  SimEnv other{2};
  std::array<std::array<std::byte, 20>, 3> drawn{};
  one.env().random.fill(drawn[0]);
  same.env().random.fill(drawn[1]);
  other.env().random.fill(drawn[2]);
  EXPECT_EQ(drawn[0], drawn[1]);
  EXPECT_NE(drawn[0], drawn[2]);
}

TEST(SimStorage, CallsAreStruckOneByOne) {
  SimEnv world{1};
  std::string seen;
  std::map<std::uint64_t, Strike> strikes;
  std::uint64_t calls = 0;
  world.storage().on_call([&](CallKind kind, std::string_view path) {
    if (kind != CallKind::write && kind != CallKind::sync) return Strike{};
    seen += fmt::format("{} {} ", kind == CallKind::write ? "write" : "sync", path);
    const auto found = strikes.find(++calls);
    return found == strikes.end() ? Strike{} : found->second;
  });
  auto file = world.env().storage.open("a/b", env::Open::create);
  ASSERT_TRUE(file);
  const auto write = [&](char what, std::uint64_t at) {
    const auto byte = static_cast<std::byte>(what);
    return (*file)->write_at(at, {&byte, 1});
  };
  strikes[2] = {.lost = true};
  strikes[3] = {.failure = Failure::io};
  ASSERT_TRUE(write('1', 0));
  ASSERT_TRUE(write('2', 0));
  EXPECT_EQ(world.storage().image().at("a/b", 0), std::byte{'1'}) << "acknowledged and not made";
  const Status failed = write('3', 0);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Code::unavailable_io);
  // A sync that is lost keeps nothing: at a crash only some of what was written is there.
  strikes[4] = {.lost = true};
  ASSERT_TRUE((*file)->sync());
  EXPECT_EQ(seen, "write a/b write a/b write a/b sync a/b ");
  bool lost = false;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SimEnv again{seed};
    again.storage().on_call(
        [](CallKind kind, std::string_view) { return Strike{.lost = kind == CallKind::sync}; });
    const auto other = again.env().storage.open("f", env::Open::create);
    const std::byte one{1};
    ASSERT_TRUE((*other)->write_at(0, {&one, 1}));
    ASSERT_TRUE((*other)->sync());
    lost = lost || again.storage().crash().size("f") == 0;
  }
  EXPECT_TRUE(lost);
}

}  // namespace
}  // namespace kimberlite::vopr
