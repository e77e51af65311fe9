#include "support/live_group.hpp"

#include <gtest/gtest.h>

#include "engine/verify.hpp"
#include "log/segment.hpp"
#include "record/frame.hpp"

namespace kimberlite::engine::test {
namespace {

constexpr std::uint64_t turn_ns = 2'000'000;
constexpr std::uint64_t ring_size = std::uint64_t{16} << 20;

}  // namespace

// One member's end of the network.
class LiveGroup::Wire final : public env::Network {
 public:
  Wire(LiveGroup& group, std::uint8_t self) : group_(group), self_(self) {}
  void send(std::uint8_t to, Bytes frame) override { group_.carry(self_, to, frame); }
  void listen(Receiver receiver) override {
    const std::scoped_lock lock{mutex_};
    receiver_ = std::move(receiver);
  }
  void arrive(std::uint8_t from, Bytes frame) {
    const std::scoped_lock lock{mutex_};
    if (receiver_) receiver_(from, frame);
  }

 private:
  LiveGroup& group_;
  std::uint8_t self_;
  std::mutex mutex_;  // of what follows
  Receiver receiver_;
};

struct LiveGroup::World {
  World(LiveGroup& group, std::uint8_t self) : wire(group, self) {}
  [[nodiscard]] env::Env env() { return {*storage, wire, clock, random, *executor}; }

  std::unique_ptr<platform::MemoryStorage> storage = std::make_unique<platform::MemoryStorage>();
  Wire wire;
  platform::SystemClock clock;
  platform::SystemRandom random;
  std::unique_ptr<platform::ThreadExecutor> executor;
};

LiveGroup::LiveGroup(Options options) {
  options.actor = "os:ann";
  options.free_bytes_reserve = 0;
  options_.fill(options);
  platform::SystemRandom random;
  auto key = keystore::FileMasterKey::create(keys_, "key", random);
  EXPECT_TRUE(key) << to_string(key.error());
  master_ = *std::move(key);
  Buffer keys;
  for (std::uint8_t i = 0; i < members; ++i) {
    worlds_.push_back(std::make_unique<World>(*this, i));
    worlds_[i]->executor = std::make_unique<platform::ThreadExecutor>(
        platform::ExecutorOptions{.threads = 1, .grace_ns = 2 * turn_ns});
    if (i == 0) {
      auto made = Database::create_group(worlds_[i]->env(), *master_, group_options(i));
      EXPECT_TRUE(made) << to_string(made.error());
      keys = *std::move(made);
    } else {
      const Status joined =
          Database::join_group(worlds_[i]->env(), *master_, group_options(i), keys);
      EXPECT_TRUE(joined) << to_string(joined.error());
    }
  }
  for (std::uint8_t i = 0; i < members; ++i) start(i);
  const auto made = until_answered([&] {
    return database(primary()).create_tenant(tenant, {.request_id = Id128{std::byte{1}}});
  });
  EXPECT_TRUE(made || made.error().code() == Code::constraint_exists) << to_string(made.error());
  const Statement table{"CREATE TABLE t (k BIGINT PRIMARY KEY, v TEXT)", {}};
  const auto done = until_answered([&]() -> Result<Outcome> {
    KIMBERLITE_TRY(auto session, database(primary()).session(tenant));
    return session->execute(std::span{&table, 1}, {.request_id = Id128{std::byte{2}}});
  });
  EXPECT_TRUE(done) << to_string(done.error());
}

LiveGroup::~LiveGroup() {
  for (std::uint8_t i = 0; i < members; ++i) stop(i);
}

GroupOptions LiveGroup::group_options(std::uint8_t member) const {
  GroupOptions options{.replica = member, .ring_size = ring_size};
  options.cluster.fill(std::byte{0x5C});
  for (std::uint8_t i = 0; i < members; ++i) {
    Member one{.index = i, .id = {}, .votes = true};
    one.id.fill(static_cast<std::byte>(i + 1));
    options.group.members.push_back(one);
  }
  return options;
}

void LiveGroup::start(std::uint8_t member) {
  auto opened = Database::open(worlds_[member]->env(), *master_, options_[member]);
  ASSERT_TRUE(opened) << to_string(opened.error());
  databases_[member] = *std::move(opened);
  stopping_[member] = false;
  drivers_[member] = std::thread{[this, member] {
    while (!stopping_[member]) databases_[member]->turn(turn_ns);
  }};
  if (!options_[member].forward_writes) return;
  serving_[member] = true;
  servers_[member] = std::thread{[this, member] {
    while (serving_[member]) {
      if (!databases_[member]->serve()) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
  }};
}

void LiveGroup::stop(std::uint8_t member) {
  if (databases_[member] == nullptr) return;
  stop_serving(member);
  stopping_[member] = true;
  drivers_[member].join();
  databases_[member].reset();
}

void LiveGroup::lose_disk(std::uint8_t member, Bytes keys) {
  stop(member);
  World& world = *worlds_[member];
  world.storage = std::make_unique<platform::MemoryStorage>();
  const Status made = Database::recover_member(world.env(), *master_, group_options(member), keys);
  ASSERT_TRUE(made) << to_string(made.error());
  start(member);
}

void LiveGroup::stop_serving(std::uint8_t member) {
  serving_[member] = false;
  if (servers_[member].joinable()) servers_[member].join();
}

void LiveGroup::carry(std::uint8_t from, std::uint8_t to, Bytes frame) {
  EXPECT_LE(frame.size(), consensus::message_size_max) << "no network carries that";
  if (to >= members || apart_[from] || apart_[to]) return;
  if (hold_) {
    const auto message = consensus::decode_message(frame, group_options(0).cluster);
    if (message && std::holds_alternative<consensus::PrepareOk>(message->payload)) return;
  }
  worlds_[to]->wire.arrive(from, frame);
}

std::uint8_t LiveGroup::primary() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (std::chrono::steady_clock::now() < end) {
    for (std::uint8_t i = 0; i < members; ++i) {
      if (databases_[i] != nullptr && !apart_[i] && databases_[i]->glance().primary) return i;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  ADD_FAILURE() << "nobody becomes primary";
  return 0;
}

bool LiveGroup::hand_over(std::uint8_t from, std::uint8_t to) {
  isolate(from, true);
  const std::uint8_t next = primary();
  if (next != to) {
    isolate(next, true);
    isolate(from, false);
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (primary() != to) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return true;
}

std::unique_ptr<Session> LiveGroup::client(std::uint8_t member) {
  auto session = until_answered([&] { return database(member).session(tenant); });
  EXPECT_TRUE(session) << to_string(session.error());
  return *std::move(session);
}

Result<Position> LiveGroup::head_of(std::uint8_t member) {
  KIMBERLITE_TRY(const StatusReport status, database(member).status());
  for (const TenantInfo& one : status.tenants) {
    if (one.name == tenant) return one.logs[0].position;
  }
  return Position{};
}

namespace {

constexpr std::string_view segment = "tenants/1/data/00000000000000000001.segment";

// Where its frame begins, and how long it is: by the sizes the frames say, which `rot` leaves
// alone.
std::pair<std::uint64_t, std::uint32_t> place_of(env::File& file, Position position) {
  std::uint64_t at = log::segment_header_size;
  std::array<std::byte, record::frame_header_size> header{};
  for (std::uint64_t passed = 0;; ++passed) {
    const auto got = file.read_at(at, header);
    if (!got || *got != header.size()) return {};
    const std::uint32_t size = record::decode_frame_header(header.data()).size;
    if (size == 0) return {};
    if (passed + 1 == position.value()) return {at, size};
    at += size;
  }
}

}  // namespace

Buffer LiveGroup::frame(std::uint8_t member, Position position) {
  const auto file = worlds_[member]->storage->open(segment, env::Open::read);
  EXPECT_TRUE(file) << to_string(file.error());
  const auto [at, size] = place_of(**file, position);
  Buffer bytes(size);
  const auto got = (*file)->read_at(at, bytes);
  EXPECT_TRUE(got && *got == size);
  return bytes;
}

void LiveGroup::rot(std::uint8_t member, Position position) {
  Buffer bytes = frame(member, position);
  ASSERT_FALSE(bytes.empty());
  const auto file = worlds_[member]->storage->open(segment, env::Open::write);
  ASSERT_TRUE(file) << to_string(file.error());
  const std::uint64_t at = place_of(**file, position).first + bytes.size() / 2;
  bytes[bytes.size() / 2] ^= std::byte{1};
  ASSERT_TRUE((*file)->write_at(at, Bytes(bytes).subspan(bytes.size() / 2, 1)));
}

void LiveGroup::wait_until_alike() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  const auto alike = [&] {
    const OpNumber committed = database(0).glance().committed;
    for (std::uint8_t i = 0; i < members; ++i) {
      const Glance there = database(i).glance();
      if (there.committed != committed || there.head != committed) return false;
    }
    return true;
  };
  while (!alike()) {
    if (std::chrono::steady_clock::now() > end) {
      ADD_FAILURE() << "the members do not come to agree";
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
}

void LiveGroup::expect_all_alike() {
  wait_until_alike();
  const auto end = head_of(0);
  ASSERT_TRUE(end) << to_string(end.error());
  std::string first;
  for (std::uint8_t i = 0; i < members; ++i) {
    const auto head = head_of(i);
    ASSERT_TRUE(head) << to_string(head.error());
    EXPECT_EQ(*head, *end);
    const auto dump = until_answered([&] { return database(i).dump(tenant, *end); });
    ASSERT_TRUE(dump) << "member " << int{i} << ": " << to_string(dump.error());
    if (i == 0) first = *dump;
    EXPECT_EQ(*dump, first) << "member " << int{i};
  }
  for (std::uint8_t i = 0; i < members; ++i) {
    stop(i);
    const auto report = verify(*worlds_[i]->storage, {.master = master_.get(),
                                                      .log_keys = {},
                                                      .since = {},
                                                      .projection = true,
                                                      .progress = nullptr});
    ASSERT_TRUE(report) << to_string(report.error());
    EXPECT_TRUE(report->clean()) << report->findings.front().what;
  }
}

}  // namespace kimberlite::engine::test
