// `env::Network` between the replicas of a group: TCP with mutual TLS 1.3.
//
// Each replica keeps one connection to every other, for what it sends; what it receives comes over
// theirs. On a connection a frame is its length, u32 little-endian, and its bytes. Who the other
// end is, its certificate says: one of the group's authority, for the host `host_of(replica)`.
// Whoever shows another, or none, is hung up on before anything he says is read.
//
// A lost connection is made again, after 50 ms at first, 2 s at most, and 50 ms once more when one
// has lasted 2 s; what has not come about in 5 s is given up, and of a name with several addresses
// the next is tried. Of those who have not shown who they are, 64 are listened to, the newest.
//
// What is for a peer that is not connected, or does not fit in its queue, is dropped, which costs
// the protocol time and nothing else: a peer that is away costs no memory, and one that is slow no
// more than its queue. A frame longer than the longest there is ends the connection: what comes
// after it means nothing.
//
// Ownership: outlives its users, as `env::Env` asks. Thread rule: every member from any thread; the
// receiver is called on a thread of the network's own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "env/env.hpp"

namespace kimberlite::platform {

struct PeerNetworkOptions {
  std::uint8_t replica = 0;  // this one
  Id128 cluster{};
  std::string address = "127.0.0.1";  // where it listens
  std::uint16_t port = 0;             // 0: any that is free
  // PEM: the group's authority, this replica's certificate, and its key.
  std::string authority;
  std::string certificate;
  std::string key;
  std::size_t frame_size_max = 0;                       // bytes
  std::size_t queue_size_max = std::size_t{16} << 20U;  // bytes, of each peer
};

// So far.
struct PeerNetworkCounts {
  std::uint64_t bytes_sent = 0;  // frames and their lengths, before TLS
  std::uint64_t frames_sent = 0;
  std::uint64_t frames_received = 0;
  std::uint64_t frames_dropped = 0;  // by a full queue, or with no connection
  std::uint64_t dials = 0;           // begun, to others
  std::uint64_t connections = 0;     // made to others
  std::uint64_t refused = 0;         // ends whose certificate or frame would not do
};

class PeerNetwork final : public env::Network {
 public:
  // The only name in the certificate of a replica.
  [[nodiscard]] static std::string host_of(const Id128& cluster, std::uint8_t replica);
  // Listens. `usage.key`: the certificates or the key cannot be used; `unavailable.network`: the
  // address cannot be listened on.
  [[nodiscard]] static Result<std::unique_ptr<PeerNetwork>> open(const PeerNetworkOptions& options);
  ~PeerNetwork() override;
  PeerNetwork(const PeerNetwork&) = delete;
  PeerNetwork& operator=(const PeerNetwork&) = delete;

  // From now on a connection to that peer is kept there. Frames for peers never named are dropped.
  void connect(std::uint8_t replica, const std::string& host, std::uint16_t port);
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] PeerNetworkCounts counts() const;

  void send(std::uint8_t replica, Bytes frame) override;
  void listen(Receiver receiver) override;

 private:
  class State;
  explicit PeerNetwork(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kimberlite::platform
