// With http_client.cpp, the translation units that see Boost: they take long to compile.
#include "platform/peer_network.hpp"

#include <fmt/format.h>
#include <netinet/tcp.h>

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/assert.hpp"
#include "base/le.hpp"

namespace kimberlite::platform {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;

// Of one context, and nothing that would have to find out which: what that costs is compiled.
using Tcp = asio::ip::tcp;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<Tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<Tcp, Executor>;
using Resolver = asio::ip::basic_resolver<Tcp, Executor>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Stream = asio::ssl::stream<Socket>;
using Instant = std::chrono::steady_clock::time_point;

constexpr milliseconds wait_min{50};
constexpr milliseconds wait_max{2000};
constexpr milliseconds handshake_max{5000};  // of who calls
constexpr milliseconds dial_max{5000};       // until it is known who answers
constexpr int unanswered_max_ms = 5000;      // of what was sent and nobody acknowledged
constexpr std::size_t length_size = 4;
constexpr std::size_t replicas_max = 32;   // more than a group can have
constexpr std::size_t strangers_max = 64;  // who have not shown yet who they are

template <auto Release>
struct Free {
  template <class T>
  void operator()(T* p) const {
    Release(p);
  }
};
// Asio gives an error both as a result and in an argument.
void ignore(const error_code& /*given_twice*/) {}

using CertificatePtr = std::unique_ptr<X509, Free<X509_free>>;

// A connection takes over what its context says when it is made: so all of it is said before.
Result<std::unique_ptr<asio::ssl::context>> make_context(const PeerNetworkOptions& options) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls);
  error_code error;
  const auto failed = [&](std::string_view what) {
    return Error{Code::usage_key, "{} cannot be used", what}.why("{}", error.message());
  };
  ignore(context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert,
                                  error));
  if (error) return failed("mutual TLS");
  if (SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_3_VERSION) != 1) {
    return Error{Code::usage_key, "this OpenSSL has no TLS 1.3"};
  }
  ignore(context->add_certificate_authority(
      asio::buffer(options.authority.data(), options.authority.size()), error));
  if (error) return failed("the certificate of the group's authority");
  ignore(
      context->use_certificate(asio::buffer(options.certificate.data(), options.certificate.size()),
                               asio::ssl::context::pem, error));
  if (error) return failed("the certificate of this replica");
  ignore(context->use_private_key(asio::buffer(options.key.data(), options.key.size()),
                                  asio::ssl::context::pem, error));
  if (error) return failed("the key of this replica");
  // Resumed sessions would be believed by their ticket, and carry no certificate that is looked at.
  SSL_CTX_set_session_cache_mode(context->native_handle(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context->native_handle(), 0);
  return context;
}

bool is_certificate_of(Stream& stream, const std::string& host) {
  const CertificatePtr certificate{SSL_get1_peer_certificate(stream.native_handle())};
  return certificate != nullptr &&
         X509_check_host(certificate.get(), host.data(), host.size(),
                         X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                         nullptr) == 1;
}

// A peer that is gone without a word is noticed, and nothing waits to be sent in one piece.
void set_options(Socket& socket) {
  error_code error;
  ignore(socket.set_option(Tcp::no_delay{true}, error));
  ignore(socket.set_option(Socket::keep_alive{true}, error));
  using Unanswered = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
  ignore(socket.set_option(Unanswered{unanswered_max_ms}, error));
}

void close(Stream& stream) {
  error_code error;
  ignore(stream.next_layer().close(error));
}

}  // namespace

// All but `send` and `listen` happens on the one thread of `context_`.
class PeerNetwork::State {
 public:
  State(const PeerNetworkOptions& options, std::unique_ptr<asio::ssl::context> tls)
      : options_(options), tls_(std::move(tls)) {}

  ~State() {
    asio::post(context_, [this] { context_.stop(); });
    if (thread_.joinable()) thread_.join();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Status start() {
    error_code error;
    const auto failed = [&](std::string_view what) {
      return Error{Code::unavailable_network, "{}", what}
          .where("{}:{}", options_.address, options_.port)
          .why("{}", error.message());
    };
    const auto address = asio::ip::make_address(options_.address, error);
    if (error) return failed("this is no address to listen on");
    const Tcp::endpoint endpoint{address, options_.port};
    ignore(acceptor_.open(endpoint.protocol(), error));
    if (!error) ignore(acceptor_.set_option(Acceptor::reuse_address{true}, error));
    if (!error) ignore(acceptor_.bind(endpoint, error));
    if (!error) ignore(acceptor_.listen(asio::socket_base::max_listen_connections, error));
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (error) return failed("the replica's address cannot be listened on");
    accept();
    thread_ = std::thread{[this] { context_.run(); }};
    return {};
  }

  void connect(std::uint8_t replica, const std::string& host, std::uint16_t port) {
    KIMBERLITE_ASSERT(replica < replicas_max && replica != options_.replica);
    asio::post(context_, [this, replica, host, port] {
      Outbound& peer = peers_[replica];
      peer.host = host;
      peer.port = port;
      peer.wait = wait_min;
      if (!std::exchange(peer.known, true)) {
        dial(replica);
      } else if (peer.call != nullptr) {
        lost(replica, peer.call);
      }
    });
  }

  void send(std::uint8_t replica, Bytes frame) {
    KIMBERLITE_ASSERT(frame.size() <= options_.frame_size_max);
    if (replica >= replicas_max || replica == options_.replica) return;
    Outbound& peer = peers_[replica];
    {
      const std::scoped_lock lock{peer.mutex};
      if (!peer.ready || peer.queued + frame.size() > options_.queue_size_max) {
        ++dropped_;
        return;
      }
      Buffer bytes(length_size + frame.size());
      store_le(bytes.data(), static_cast<std::uint32_t>(frame.size()));
      std::ranges::copy(frame, bytes.begin() + length_size);
      peer.queued += bytes.size();
      peer.queue.push_back(std::move(bytes));
      if (std::exchange(peer.called, true)) return;
    }
    asio::post(context_, [this, replica] { write(replica); });
  }

  void listen(Receiver receiver) {
    const std::scoped_lock lock{receiver_mutex_};
    receiver_ = std::move(receiver);
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] PeerNetworkCounts counts() const {
    return {.bytes_sent = bytes_sent_,
            .frames_sent = frames_sent_,
            .frames_received = received_,
            .frames_dropped = dropped_,
            .dials = dials_,
            .connections = connections_,
            .refused = refused_};
  }

 private:
  // One connection to a peer, being made or in use.
  struct Call {
    explicit Call(asio::io_context& context, asio::ssl::context& tls)
        : stream(context, tls), resolver(context), timer(context) {}
    Stream stream;
    Resolver resolver;
    Timer timer;
    Instant answered{};  // when it was known who answers
  };
  using CallPtr = std::shared_ptr<Call>;
  struct Outbound {
    std::string host;
    std::uint16_t port = 0;
    bool known = false;
    std::size_t dials = 0;
    milliseconds wait = wait_min;
    CallPtr call;
    bool writing = false;
    std::mutex mutex;     // of what follows
    bool ready = false;   // connected: what is said before is dropped, and not said late
    bool called = false;  // somebody has seen to it that what is queued gets written
    std::vector<Buffer> queue;
    std::size_t queued = 0;
  };
  struct Inbound {
    explicit Inbound(asio::io_context& context, asio::ssl::context& tls)
        : stream(context, tls), timer(context) {}
    Stream stream;
    Timer timer;
    std::optional<std::uint8_t> from;
    std::array<std::byte, length_size> length{};
    Buffer frame;
    std::list<std::shared_ptr<Inbound>>::iterator self;
  };
  using InboundPtr = std::shared_ptr<Inbound>;

  // ---- what others say --------------------------------------------------------------------------

  void accept() {
    auto one = std::make_shared<Inbound>(context_, *tls_);
    acceptor_.async_accept(one->stream.next_layer(), [this, one](const error_code& error) {
      if (error == asio::error::operation_aborted) return;
      if (!error) {
        make_room();
        set_options(one->stream.next_layer());
        one->self = inbound_.insert(inbound_.end(), one);
        greet(one);
      }
      if (error) {
        // Too many open files, say: later there may be fewer.
        pause_.expires_after(wait_min);
        pause_.async_wait([this](const error_code&) { accept(); });
        return;
      }
      accept();
    });
  }

  // Who says nothing may not keep a peer from being heard: the oldest stranger goes. Of those that
  // have shown who they are there is one a peer.
  void make_room() {
    const auto is_stranger = [](const InboundPtr& one) { return !one->from; };
    if (static_cast<std::size_t>(std::ranges::count_if(inbound_, is_stranger)) < strangers_max) {
      return;
    }
    hang_up(InboundPtr{*std::ranges::find_if(inbound_, is_stranger)}, true);
  }

  void hang_up(const InboundPtr& one, bool refused = false) {
    if (refused) ++refused_;
    if (one->self == inbound_.end()) return;
    close(one->stream);
    one->timer.cancel();
    inbound_.erase(std::exchange(one->self, inbound_.end()));
  }

  void greet(const InboundPtr& one) {
    one->timer.expires_after(handshake_max);
    one->timer.async_wait([one](const error_code& error) {
      if (!error) close(one->stream);
    });
    one->stream.async_handshake(asio::ssl::stream_base::server,
                                [this, one](const error_code& error) {
                                  one->timer.cancel();
                                  if (error) return hang_up(one, true);
                                  identify(*one);
                                  if (!one->from) return hang_up(one, true);
                                  read_length(one);
                                });
  }

  void identify(Inbound& one) {
    for (std::uint8_t i = 0; i < replicas_max; ++i) {
      if (i == options_.replica || !is_certificate_of(one.stream, host_of(options_.cluster, i))) {
        continue;
      }
      one.from = i;
      // Its process was started anew, or its last connection died unseen.
      for (auto at = inbound_.begin(); at != inbound_.end();) {
        const InboundPtr other = *at++;
        if (other.get() != &one && other->from == i) hang_up(other);
      }
      return;
    }
  }

  // NOLINTBEGIN(misc-no-recursion): a handler is called by the context, not by who gave it.
  void read_length(const InboundPtr& one) {
    asio::async_read(one->stream, asio::buffer(one->length),
                     [this, one](const error_code& error, std::size_t) {
                       if (error) return hang_up(one);
                       const auto size = load_le<std::uint32_t>(one->length.data());
                       if (size > options_.frame_size_max) return hang_up(one, true);
                       one->frame.resize(size);
                       read_frame(one);
                     });
  }

  void read_frame(const InboundPtr& one) {
    asio::async_read(one->stream, asio::buffer(one->frame),
                     [this, one](const error_code& error, std::size_t) {
                       if (error) return hang_up(one);
                       ++received_;
                       {
                         const std::scoped_lock lock{receiver_mutex_};
                         if (receiver_) receiver_(*one->from, one->frame);
                       }
                       read_length(one);
                     });
  }
  // NOLINTEND(misc-no-recursion)

  // ---- what is said to others -------------------------------------------------------------------

  void dial(std::uint8_t replica) {
    Outbound& peer = peers_[replica];
    peer.call = std::make_shared<Call>(context_, *tls_);
    ++dials_;
    ++peer.dials;
    // A name may take long to find, and waits for those asked before: an address is not looked up.
    error_code no_address;
    const auto address = asio::ip::make_address(peer.host, no_address);
    if (!no_address) return reach(replica, peer.call, {address, peer.port});
    peer.call->resolver.async_resolve(
        peer.host, std::to_string(peer.port),
        [this, replica, call = peer.call](const error_code& error, const auto& found) {
          if (error || found.empty()) return lost(replica, call);
          // Another one each time: the first may be one that never answers.
          reach(replica, call,
                *std::next(found.begin(),
                           static_cast<std::ptrdiff_t>(peers_[replica].dials % found.size())));
        });
  }

  void reach(std::uint8_t replica, const CallPtr& call, const Tcp::endpoint& endpoint) {
    if (!is_current(replica, call)) return;
    call->timer.expires_after(dial_max);
    call->timer.async_wait([this, replica, call](const error_code& error) {
      if (!error && call->answered == Instant{}) lost(replica, call);
    });
    call->stream.next_layer().async_connect(endpoint,
                                            [this, replica, call](const error_code& error) {
                                              if (error) return lost(replica, call);
                                              shake_hands(replica, call);
                                            });
  }

  void shake_hands(std::uint8_t replica, const CallPtr& call) {
    if (!is_current(replica, call)) return;
    set_options(call->stream.next_layer());
    call->stream.async_handshake(
        asio::ssl::stream_base::client, [this, replica, call](const error_code& error) {
          if (error || !is_current(replica, call)) return lost(replica, call);
          if (!is_certificate_of(call->stream, host_of(options_.cluster, replica))) {
            ++refused_;
            return lost(replica, call);
          }
          call->timer.cancel();
          call->answered = std::chrono::steady_clock::now();
          ++connections_;
          notice_end(replica, call);
          Outbound& peer = peers_[replica];
          const std::scoped_lock lock{peer.mutex};
          peer.ready = true;
        });
  }

  // Nothing comes this way; that reading ends says that the peer hung up.
  void notice_end(std::uint8_t replica, const CallPtr& call) {
    auto nothing = std::make_shared<std::array<std::byte, 1>>();
    asio::async_read(
        call->stream, asio::buffer(*nothing),
        [this, replica, call, nothing](const error_code&, std::size_t) { lost(replica, call); });
  }

  bool is_current(std::uint8_t replica, const CallPtr& call) const {
    return peers_[replica].call == call;
  }

  void lost(std::uint8_t replica, const CallPtr& call) {
    Outbound& peer = peers_[replica];
    if (!is_current(replica, call)) return;
    call->timer.cancel();
    call->resolver.cancel();
    close(call->stream);
    peer.call.reset();
    peer.writing = false;
    {
      const std::scoped_lock lock{peer.mutex};
      peer.ready = peer.called = false;
      peer.queue.clear();
      peer.queued = 0;
    }
    // With TLS 1.3 the peer says no after it answered: only one that lasted counts as taken.
    const bool lasted = call->answered != Instant{} &&
                        std::chrono::steady_clock::now() - call->answered >= wait_max;
    if (lasted) peer.wait = wait_min;
    auto timer = std::make_shared<Timer>(context_);
    timer->expires_after(peer.wait);
    peer.wait = std::min(2 * peer.wait, wait_max);
    timer->async_wait([this, replica, timer](const error_code& error) {
      if (!error) dial(replica);
    });
  }

  // All that is queued in one go.
  // NOLINTBEGIN(misc-no-recursion): as above.
  void write(std::uint8_t replica) {
    Outbound& peer = peers_[replica];
    if (peer.call == nullptr || peer.writing) return;
    std::vector<Buffer> queue;
    {
      const std::scoped_lock lock{peer.mutex};
      peer.called = !peer.queue.empty();
      peer.queued = 0;
      queue.swap(peer.queue);
    }
    if (queue.empty()) return;
    peer.writing = true;
    // TLS takes one buffer at a time: small frames go together.
    auto bytes = std::make_shared<Buffer>();
    for (const Buffer& frame : queue) bytes->insert(bytes->end(), frame.begin(), frame.end());
    const std::size_t frames = queue.size();
    asio::async_write(
        peer.call->stream, asio::buffer(*bytes),
        [this, replica, call = peer.call, bytes, frames](const error_code& error, std::size_t) {
          Outbound& to = peers_[replica];
          if (error || !is_current(replica, call)) return lost(replica, call);
          bytes_sent_ += bytes->size();
          frames_sent_ += frames;
          to.writing = false;
          write(replica);
        });
  }
  // NOLINTEND(misc-no-recursion)

  const PeerNetworkOptions options_;
  std::unique_ptr<asio::ssl::context> tls_;
  std::mutex receiver_mutex_;
  Receiver receiver_;
  std::atomic<std::uint64_t> bytes_sent_ = 0;
  std::atomic<std::uint64_t> frames_sent_ = 0;
  std::atomic<std::uint64_t> received_ = 0;
  std::atomic<std::uint64_t> dropped_ = 0;
  std::atomic<std::uint64_t> dials_ = 0;
  std::atomic<std::uint64_t> connections_ = 0;
  std::atomic<std::uint64_t> refused_ = 0;
  std::uint16_t port_ = 0;
  asio::io_context context_{1};
  asio::executor_work_guard<Executor> work_{context_.get_executor()};
  Acceptor acceptor_{context_};
  Timer pause_{context_};
  std::list<InboundPtr> inbound_;
  std::array<Outbound, replicas_max> peers_;
  std::thread thread_;
};

std::string PeerNetwork::host_of(const Id128& cluster, std::uint8_t replica) {
  return fmt::format("replica-{}.{}.kimberlite", replica, to_uuid(cluster));
}

Result<std::unique_ptr<PeerNetwork>> PeerNetwork::open(const PeerNetworkOptions& options) {
  // Asio throws where it cannot be set up at all.
  try {
    KIMBERLITE_TRY(auto tls, make_context(options));
    auto state = std::make_unique<State>(options, std::move(tls));
    KIMBERLITE_CHECK(state->start());
    return std::unique_ptr<PeerNetwork>{new PeerNetwork{std::move(state)}};
  } catch (const boost::system::system_error& error) {
    return Error{Code::unavailable_network, "the network cannot be used"}.why("{}", error.what());
  }
}

PeerNetwork::PeerNetwork(std::unique_ptr<State> state) : state_(std::move(state)) {}
PeerNetwork::~PeerNetwork() = default;

void PeerNetwork::connect(std::uint8_t replica, const std::string& host, std::uint16_t port) {
  state_->connect(replica, host, port);
}
std::uint16_t PeerNetwork::port() const { return state_->port(); }
PeerNetworkCounts PeerNetwork::counts() const { return state_->counts(); }
void PeerNetwork::send(std::uint8_t replica, Bytes frame) { state_->send(replica, frame); }
void PeerNetwork::listen(Receiver receiver) { state_->listen(std::move(receiver)); }

}  // namespace kimberlite::platform
