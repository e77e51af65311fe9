#include "platform/peer_network.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <tuple>

#include "crypto/certificate.hpp"

namespace kimberlite::platform {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t frame_size_max = std::size_t{1} << 20U;

crypto::Key256 seed(std::uint8_t fill) {
  std::array<std::byte, 32> bytes{};
  bytes.fill(static_cast<std::byte>(fill));
  return crypto::Key256{bytes};
}

crypto::Validity this_decade() {
  const auto now =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                     std::chrono::system_clock::now().time_since_epoch())
                                     .count());
  constexpr std::uint64_t year_us = 31'536'000'000'000;
  return {TimestampUs{now - year_us}, TimestampUs{now + year_us}};
}

// What a replica heard, oldest first. Whoever listens with a copy hears for this one, and may
// outlive it: a network is not yet gone while a test's later variables are.
class Ear {
 public:
  void hear(std::uint8_t from, Bytes frame) const {
    const std::scoped_lock lock{heard_->mutex};
    heard_->frames.emplace_back(from, Buffer{frame.begin(), frame.end()});
  }
  [[nodiscard]] std::size_t count() const {
    const std::scoped_lock lock{heard_->mutex};
    return heard_->frames.size();
  }
  [[nodiscard]] std::pair<std::uint8_t, Buffer> last() const {
    const std::scoped_lock lock{heard_->mutex};
    return heard_->frames.back();
  }

 private:
  struct Heard {
    std::mutex mutex;
    std::deque<std::pair<std::uint8_t, Buffer>> frames;
  };
  std::shared_ptr<Heard> heard_ = std::make_shared<Heard>();
};

class PeerNetworkTest : public ::testing::Test {
 protected:
  PeerNetworkTest() { cluster_.fill(std::byte{0x5C}); }

  // As `replica`, with the certificate of `shown`, issued by `issuer`.
  std::unique_ptr<PeerNetwork> make(std::uint8_t replica, std::uint8_t shown,
                                    const crypto::Identity& issuer, std::uint16_t port = 0) {
    const crypto::Identity own = crypto::issue_identity(
        issuer, seed(static_cast<std::uint8_t>(10 + shown)), PeerNetwork::host_of(cluster_, shown),
        this_decade(), std::uint64_t{100} + shown);
    auto made = PeerNetwork::open({.replica = replica,
                                   .cluster = cluster_,
                                   .port = port,
                                   .authority = authority_.certificate,
                                   .certificate = own.certificate,
                                   .key = own.key,
                                   .frame_size_max = frame_size_max,
                                   .queue_size_max = 4 * frame_size_max});
    EXPECT_TRUE(made) << to_string(made.error());
    return made ? *std::move(made) : nullptr;
  }
  std::unique_ptr<PeerNetwork> make(std::uint8_t replica, std::uint16_t port = 0) {
    return make(replica, replica, authority_, port);
  }

  template <class Holds>
  static bool soon(Holds holds) {
    for (int i = 0; i < 1000; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  // Until it was heard: what is sent before there is a connection is dropped.
  static bool says(PeerNetwork& from, std::uint8_t to, const Ear& ear, Bytes frame) {
    const std::size_t before = ear.count();
    return soon([&] {
      from.send(to, frame);
      std::this_thread::sleep_for(5ms);
      return ear.count() > before;
    });
  }
  static void join(PeerNetwork& a, std::uint8_t a_index, PeerNetwork& b, std::uint8_t b_index) {
    a.connect(b_index, "127.0.0.1", b.port());
    b.connect(a_index, "127.0.0.1", a.port());
  }
  static PeerNetwork::Receiver into(const Ear& ear) {
    return [ear](std::uint8_t from, Bytes frame) { ear.hear(from, frame); };
  }

  Id128 cluster_{};
  crypto::Identity authority_ = crypto::make_authority(seed(1), "kimberlite", this_decade());
};

TEST_F(PeerNetworkTest, FramesArriveWholeInOrderAndFromWhoSentThem) {
  const auto zero = make(0);
  const auto one = make(1);
  const Ear of_zero;
  const Ear of_one;
  zero->listen(into(of_zero));
  one->listen(into(of_one));
  join(*zero, 0, *one, 1);
  ASSERT_TRUE(says(*zero, 1, of_one, bytes_of("hello")));
  EXPECT_EQ(of_one.last().first, 0);
  ASSERT_TRUE(says(*one, 0, of_zero, bytes_of("hello")));
  EXPECT_EQ(of_zero.last().first, 1);

  std::this_thread::sleep_for(50ms);
  const std::size_t before = of_one.count();
  const std::array<std::size_t, 6> sizes{0, 1, 70'000, 256, frame_size_max, 3};
  for (const std::size_t size : sizes) {
    zero->send(1, Buffer(size, static_cast<std::byte>(size % 251)));
  }
  ASSERT_TRUE(soon([&] { return of_one.count() == before + sizes.size(); }));
  EXPECT_EQ(of_one.last().second, Buffer(3, std::byte{3}));
  EXPECT_TRUE(soon([&] { return zero->counts().frames_sent == of_one.count(); }));
  EXPECT_EQ(zero->counts().refused, 0U);
}

TEST_F(PeerNetworkTest, AfterTheLastListenNobodyIsCalled) {
  const auto zero = make(0);
  const auto one = make(1);
  const Ear ear;
  one->listen(into(ear));
  join(*zero, 0, *one, 1);
  ASSERT_TRUE(says(*zero, 1, ear, bytes_of("hello")));
  one->listen({});
  const std::size_t before = ear.count();
  for (int i = 0; i < 20; ++i) zero->send(1, bytes_of("more"));
  ASSERT_TRUE(soon([&] { return one->counts().frames_received >= before + 20; }));
  EXPECT_EQ(ear.count(), before);
}

// Whoever it is, he is not of this group, or not who he should be.
TEST_F(PeerNetworkTest, HangsUpOnWhoeverHasNoCertificateOfHis) {
  const auto zero = make(0);
  const Ear ear;
  zero->listen(into(ear));
  const crypto::Identity foreign = crypto::make_authority(seed(2), "kimberlite", this_decade());
  const auto stranger = make(1, 1, foreign);
  stranger->connect(0, "127.0.0.1", zero->port());
  ASSERT_TRUE(soon([&] { return zero->counts().refused > 0; }));
  EXPECT_EQ(ear.count(), 0U);

  // Replica 2 is believed to be replica 2, and nothing else: who calls it for 1 hangs up.
  const auto two = make(2);
  const Ear of_two;
  two->listen(into(of_two));
  const std::uint64_t refused = zero->counts().refused;
  zero->connect(1, "127.0.0.1", two->port());
  ASSERT_TRUE(soon([&] { return zero->counts().refused > refused; }));
  for (int i = 0; i < 20; ++i) zero->send(1, bytes_of("for one"));
  std::this_thread::sleep_for(200ms);
  EXPECT_EQ(of_two.count(), 0U);
}

TEST_F(PeerNetworkTest, ConnectsAgainToAPeerThatWasAway) {
  const auto zero = make(0);
  auto one = make(1);
  const std::uint16_t port = one->port();
  const Ear ear;
  one->listen(into(ear));
  join(*zero, 0, *one, 1);
  ASSERT_TRUE(says(*zero, 1, ear, bytes_of("hello")));
  one.reset();
  // What is sent meanwhile costs nothing, and is not said late.
  ASSERT_TRUE(soon([&] {
    for (int i = 0; i < 50; ++i) zero->send(1, bytes_of("lost"));
    return zero->counts().frames_dropped > 1000;
  }));
  one = make(1, port);
  const Ear again;
  one->listen(into(again));
  ASSERT_TRUE(says(*zero, 1, again, bytes_of("hello again")));
  EXPECT_EQ(again.last().second,
            Buffer(bytes_of("hello again").begin(), bytes_of("hello again").end()));
  EXPECT_GE(zero->counts().connections, 2U);
}

// Of plain TCP, by hand.
class Raw {
 public:
  explicit Raw(int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) : fd_(fd) {
    EXPECT_GE(fd_, 0);
  }
  ~Raw() { ::close(fd_); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  // Begins to connect; it may come about, or not.
  void connect(std::uint16_t port) const {
    const sockaddr_in there = loopback(port);
    std::ignore = ::connect(fd_, reinterpret_cast<const sockaddr*>(&there), sizeof there);
  }
  // Listens for one more than `backlog`, and never takes any.
  [[nodiscard]] std::uint16_t listen(int backlog) const {
    sockaddr_in here = loopback(0);
    socklen_t size = sizeof here;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&here), sizeof here), 0);
    EXPECT_EQ(::listen(fd_, backlog), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&here), &size), 0);
    return ntohs(here.sin_port);
  }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  int fd_;
};

TEST_F(PeerNetworkTest, StrangersWhoSayNothingKeepNoPeerFromBeingHeard) {
  const auto zero = make(0);
  const auto one = make(1);
  const Ear ear;
  zero->listen(into(ear));
  std::list<Raw> strangers;
  for (int i = 0; i < 200; ++i) strangers.emplace_back().connect(zero->port());
  one->connect(0, "127.0.0.1", zero->port());
  std::size_t sent = 0;
  // Well before the strangers are given up.
  ASSERT_TRUE(soon([&] {
    if (one->counts().connections > 0) one->send(0, bytes_of("hello"));
    return ++sent > 200 || ear.count() > 0;
  }));
  EXPECT_GT(ear.count(), 0U);
}

// A host that takes no connection and refuses none either: one that is off, or behind a wall.
TEST_F(PeerNetworkTest, GivesUpOnAHostThatDoesNotAnswer) {
  const Raw silent;
  const std::uint16_t port = silent.listen(0);
  std::list<Raw> filling;
  for (int i = 0; i < 4; ++i) filling.emplace_back().connect(port);
  const auto zero = make(0);
  zero->connect(1, "127.0.0.1", port);
  EXPECT_TRUE(soon([&] { return zero->counts().dials > 1; }));
  EXPECT_EQ(zero->counts().connections, 0U);
}

// TLS 1.3: whoever calls is through before the other end has looked at his certificate.
TEST_F(PeerNetworkTest, OneThatIsRefusedCallsLessAndLessOften) {
  const auto zero = make(0);
  const crypto::Identity foreign = crypto::make_authority(seed(2), "kimberlite", this_decade());
  const crypto::Identity own = crypto::issue_identity(
      foreign, seed(11), PeerNetwork::host_of(cluster_, 1), this_decade(), 101);
  auto stranger = PeerNetwork::open({.replica = 1,
                                     .cluster = cluster_,
                                     .authority = authority_.certificate,
                                     .certificate = own.certificate,
                                     .key = own.key,
                                     .frame_size_max = frame_size_max});
  ASSERT_TRUE(stranger);
  (*stranger)->connect(0, "127.0.0.1", zero->port());
  ASSERT_TRUE(soon([&] { return zero->counts().refused >= 4; }));
  // 50, 100, 200, 400 ms have passed; the fifth comes 800 ms later.
  std::this_thread::sleep_for(500ms);
  EXPECT_LE(zero->counts().refused, 5U);
  EXPECT_GE((*stranger)->counts().connections, 4U);
}

// The receiver does not come back: what is for it waits in a queue that ends.
TEST_F(PeerNetworkTest, AQueueIsBounded) {
  std::atomic<bool> stuck = true;
  std::atomic<std::uint64_t> heard = 0;
  const auto zero = make(0);
  const auto one = make(1);
  one->listen([&](std::uint8_t, Bytes) {
    ++heard;
    while (stuck) std::this_thread::sleep_for(1ms);
  });
  join(*zero, 0, *one, 1);
  EXPECT_TRUE(soon([&] {
    zero->send(1, bytes_of("hello"));
    return heard > 0;
  }));
  const Buffer large(frame_size_max);
  for (int i = 0; i < 200; ++i) zero->send(1, large);
  EXPECT_GT(zero->counts().frames_dropped, 100U);
  stuck = false;
}

TEST_F(PeerNetworkTest, RefusesWhatItCannotUse) {
  PeerNetworkOptions options{.replica = 0, .frame_size_max = frame_size_max};
  auto made = PeerNetwork::open(options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::usage_key);
  const auto zero = make(0);
  const crypto::Identity own =
      crypto::issue_identity(authority_, seed(3), "anyone", this_decade(), 5);
  options = {.replica = 1,
             .address = "127.0.0.1",
             .port = zero->port(),
             .authority = authority_.certificate,
             .certificate = own.certificate,
             .key = own.key,
             .frame_size_max = frame_size_max};
  made = PeerNetwork::open(options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::unavailable_network);
}

}  // namespace
}  // namespace kimberlite::platform
