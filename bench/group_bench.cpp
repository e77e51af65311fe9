// Three replicas in one process, over TLS on the loopback, against one alone.
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <thread>

#include "crypto/certificate.hpp"
#include "database.hpp"
#include "engine/database.hpp"
#include "platform/env.hpp"
#include "platform/peer_network.hpp"

namespace kimberlite::bench {
namespace {

constexpr std::size_t clients = 64;
constexpr std::uint64_t turn_ns = 2'000'000;
constexpr double seconds_a_round = 2;
constexpr std::uint64_t year_us = 31'536'000'000'000;

// A cable that can be pulled.
class Cable final : public env::Network {
 public:
  explicit Cable(env::Network& behind) : behind_(behind) {}
  void send(std::uint8_t replica, Bytes frame) override {
    if (!pulled_) behind_.send(replica, frame);
  }
  void listen(Receiver receiver) override {
    if (!receiver) return behind_.listen({});
    behind_.listen([this, receiver = std::move(receiver)](std::uint8_t from, Bytes frame) {
      if (!pulled_) receiver(from, frame);
    });
  }
  void pull(bool out) { pulled_ = out; }

 private:
  env::Network& behind_;
  std::atomic<bool> pulled_ = false;
};

crypto::Key256 draw_key(env::Random& random) {
  std::array<std::byte, crypto::Key256::size> bytes{};
  random.fill(bytes);
  return crypto::Key256{bytes};
}

// One replica: a directory, a network, a thread that drives it when no client does.
class Member {
 public:
  Member(const std::string& directory, std::unique_ptr<platform::PeerNetwork> network)
      : storage_(directory),
        network_(std::move(network)),
        cable_(*network_),
        executor_({.threads = 1, .grace_ns = 2 * turn_ns}) {}
  ~Member() { static_cast<void>(close().has_value()); }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  env::Env env() { return {storage_, cable_, clock_, random_, executor_}; }
  Status open(keystore::MasterKey& master) {
    engine::Options options;
    options.actor = "os:bench";
    KIMBERLITE_TRY(database_, engine::Database::open(env(), master, options));
    driver_ = std::thread{[this] {
      while (!stop_) database_->turn(turn_ns);
    }};
    return {};
  }
  Status close() {
    stop_ = true;
    if (driver_.joinable()) driver_.join();
    if (database_ == nullptr) return {};
    Status closed = database_->close();
    database_.reset();
    return closed;
  }
  [[nodiscard]] engine::Database& database() { return *database_; }
  [[nodiscard]] platform::PeerNetwork& network() { return *network_; }
  void pull_cable(bool out) { cable_.pull(out); }

 private:
  platform::LinuxStorage storage_;
  std::unique_ptr<platform::PeerNetwork> network_;
  Cable cable_;
  platform::SystemClock clock_;
  platform::SystemRandom random_;
  platform::ThreadExecutor executor_;
  std::unique_ptr<engine::Database> database_;
  std::atomic<bool> stop_ = false;
  std::thread driver_;
};

class Group {
 public:
  static Result<std::unique_ptr<Group>> make(const std::string& directory, std::uint8_t voters) {
    auto group = std::make_unique<Group>();
    KIMBERLITE_CHECK(group->found(directory, voters));
    return group;
  }
  ~Group() {
    // A group that goes down one by one waits for nobody.
    for (const auto& member : members_) static_cast<void>(member->close().has_value());
  }
  Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Tries them all until one takes it.
  Result<std::uint8_t> insert_somewhere(std::int64_t id) {
    const std::uint64_t begun = now_ns();
    Error last{Code::unavailable_quorum, "nobody was asked"};
    // Of one request, however often it is made.
    engine::Why once;
    Id128& id_of_request = once.request_id.emplace();
    key_random_.fill(id_of_request);
    id_of_request[6] = (id_of_request[6] & std::byte{0x0F}) | std::byte{0x40};
    id_of_request[8] = (id_of_request[8] & std::byte{0x3F}) | std::byte{0x80};
    while (seconds_since(begun) < 30) {
      for (std::size_t i = 0; i < members_.size(); ++i) {
        if (i == cut_) continue;
        auto session = members_[i]->database().session("main");
        Status done = session ? insert(**session, id, once) : Status{session.error()};
        if (done) return static_cast<std::uint8_t>(i);
        last = done.error();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    return last;
  }
  static Status insert(engine::Session& session, std::int64_t id, const engine::Why& why) {
    const std::array<Value, 2> values{Value{id}, Value{fmt::format("Patient number {}", id)}};
    const engine::Statement statement{"INSERT INTO t VALUES ($1, $2)", values};
    KIMBERLITE_TRY(const engine::Outcome done, session.execute(std::span{&statement, 1}, why));
    static_cast<void>(done);
    return {};
  }
  struct Rate {
    double rows_a_second = 0;
    double p50_us = 0;
    double p99_us = 0;
    double bytes_a_row = 0;
  };
  Result<Rate> measure(std::size_t threads_wanted) {
    KIMBERLITE_TRY(const std::uint8_t primary, insert_somewhere(++next_id_));
    std::vector<std::unique_ptr<engine::Session>> sessions;
    for (std::size_t i = 0; i < threads_wanted; ++i) {
      KIMBERLITE_TRY(auto session, members_[primary]->database().session("main"));
      sessions.push_back(std::move(session));
    }
    const std::uint64_t sent_before = bytes_sent();
    std::atomic<bool> stop = false;
    std::vector<Status> ends(threads_wanted);
    std::vector<std::vector<double>> spent(threads_wanted);
    std::vector<std::thread> threads;
    threads.reserve(threads_wanted);
    const std::uint64_t begun = now_ns();
    for (std::size_t i = 0; i < threads_wanted; ++i) {
      threads.emplace_back([&, i] {
        while (ends[i] && !stop.load(std::memory_order_relaxed)) {
          const std::uint64_t asked = now_ns();
          ends[i] = insert(*sessions[i], ++next_id_, {});
          spent[i].push_back(seconds_since(asked) * 1e6);
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::duration<double>{seconds_a_round});
    stop = true;
    for (std::thread& thread : threads) thread.join();
    const double took = seconds_since(begun);
    for (Status& end : ends) KIMBERLITE_CHECK(std::move(end));
    std::vector<double> all;
    for (const auto& some : spent) all.insert(all.end(), some.begin(), some.end());
    std::ranges::sort(all);
    const auto rows = static_cast<double>(all.size());
    return Rate{.rows_a_second = rows / took,
                .p50_us = all[all.size() / 2],
                .p99_us = all[all.size() * 99 / 100],
                .bytes_a_row = static_cast<double>(bytes_sent() - sent_before) / rows};
  }
  // Seconds from the moment the primary cannot be reached to the next acknowledged write.
  Result<double> fail_over() {
    KIMBERLITE_TRY(const std::uint8_t primary, insert_somewhere(++next_id_));
    members_[primary]->pull_cable(true);
    cut_ = primary;
    const std::uint64_t begun = now_ns();
    KIMBERLITE_TRY(const std::uint8_t next, insert_somewhere(++next_id_));
    const double took = seconds_since(begun);
    if (next == primary) return Error{Code::internal_bug, "a primary alone took a write"};
    members_[primary]->pull_cable(false);
    cut_ = 0xFF;
    // It catches up before it may be cut off again.
    std::this_thread::sleep_for(std::chrono::seconds{1});
    return took;
  }

 private:
  Status found(const std::string& directory, std::uint8_t voters) {
    platform::SystemRandom random;
    platform::SystemClock clock;
    const std::uint64_t now = clock.realtime().value();
    const crypto::Validity valid{TimestampUs{now - year_us}, TimestampUs{now + year_us}};
    const crypto::Identity authority =
        crypto::make_authority(draw_key(random), "kimberlite bench", valid);
    engine::GroupOptions options;
    random.fill(options.cluster);
    for (std::uint8_t i = 0; i < voters; ++i) {
      random.fill(options.group.members.emplace_back(engine::Member{.index = i, .votes = true}).id);
    }
    KIMBERLITE_TRY(master_, keystore::FileMasterKey::create(keys_, "key", key_random_));
    Buffer first;
    for (std::uint8_t i = 0; i < voters; ++i) {
      const crypto::Identity own = crypto::issue_identity(
          authority, draw_key(random), platform::PeerNetwork::host_of(options.cluster, i), valid,
          std::uint64_t{2} + i);
      KIMBERLITE_TRY(auto network,
                     platform::PeerNetwork::open({.replica = i,
                                                  .cluster = options.cluster,
                                                  .authority = authority.certificate,
                                                  .certificate = own.certificate,
                                                  .key = own.key,
                                                  .frame_size_max = 2 * base::prepare_size_max}));
      members_.push_back(
          std::make_unique<Member>(fmt::format("{}-{}", directory, i), std::move(network)));
      options.replica = i;
      if (i == 0) {
        KIMBERLITE_TRY(first,
                       engine::Database::create_group(members_[i]->env(), *master_, options));
      } else {
        KIMBERLITE_CHECK(
            engine::Database::join_group(members_[i]->env(), *master_, options, first));
      }
    }
    for (std::uint8_t from = 0; from < voters; ++from) {
      for (std::uint8_t to = 0; to < voters; ++to) {
        if (from == to) continue;
        members_[from]->network().connect(to, "127.0.0.1", members_[to]->network().port());
      }
    }
    for (const auto& member : members_) KIMBERLITE_CHECK(member->open(*master_));
    return make_table();
  }
  Status make_table() {
    const std::uint64_t begun = now_ns();
    Status last;
    while (seconds_since(begun) < 30) {
      for (const auto& member : members_) {
        const auto made = member->database().create_tenant("main", {});
        if (!made && made.error().code() != Code::constraint_exists) {
          last = made.error();
          continue;
        }
        KIMBERLITE_TRY(auto session, member->database().session("main"));
        const engine::Statement table{
            "CREATE TABLE IF NOT EXISTS t (id BIGINT PRIMARY KEY, name TEXT)", {}};
        const auto done = session->execute(std::span{&table, 1}, {});
        if (done) return {};
        last = done.error();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    return last;
  }
  [[nodiscard]] std::uint64_t bytes_sent() const {
    std::uint64_t all = 0;
    for (const auto& member : members_) all += member->network().counts().bytes_sent;
    return all;
  }

  platform::MemoryStorage keys_;
  platform::SystemRandom key_random_;
  std::unique_ptr<keystore::MasterKey> master_;
  std::vector<std::unique_ptr<Member>> members_;
  std::uint8_t cut_ = 0xFF;
  std::atomic<std::int64_t> next_id_ = 0;
};

Result<std::vector<Series>> group(const Settings& settings) {
  Series many{{.name = "group/insert_64",
               .figure = "one-row durable INSERT, 64 threads, three replicas",
               .limit = "the same, one replica",
               .unit = "rows/s",
               .bound = Bound::at_least,
               .target = 0.5}};
  Series one{{.name = "group/insert_one",
              .figure = "one-row durable INSERT, one thread, three replicas, p50",
              .limit = "the same, one replica",
              .unit = "us",
              .bound = Bound::at_most,
              .target = 4}};
  Series over{{.name = "group/failover",
               .figure = "from the primary cut off to the next acknowledged write",
               .limit = "2 s",
               .unit = "s",
               .bound = Bound::at_most,
               .target = 1}};
  KIMBERLITE_TRY(const auto alone, Group::make(settings.scratch + "/alone", 1));
  KIMBERLITE_TRY(const auto three, Group::make(settings.scratch + "/three", 3));
  std::vector<double> bytes;
  std::vector<double> p99;
  for (std::uint64_t round = 0; round < settings.rounds; ++round) {
    KIMBERLITE_TRY(const Group::Rate of_one, alone->measure(clients));
    KIMBERLITE_TRY(const Group::Rate of_three, three->measure(clients));
    many.add(of_three.rows_a_second, of_one.rows_a_second);
    bytes.push_back(of_three.bytes_a_row);
    p99.push_back(of_three.p99_us);
    KIMBERLITE_TRY(const Group::Rate single_of_one, alone->measure(1));
    KIMBERLITE_TRY(const Group::Rate single_of_three, three->measure(1));
    one.add(single_of_three.p50_us, single_of_one.p50_us);
    KIMBERLITE_TRY(const double took, three->fail_over());
    over.add(took, 2);
  }
  many.note("bytes_sent_a_row", median(std::move(bytes)));
  many.note("p99_us", median(std::move(p99)));
  return std::vector{many, one, over};
}

}  // namespace

std::vector<NamedCase> group_cases() { return {{"group", group}}; }

}  // namespace kimberlite::bench
