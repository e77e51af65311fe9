// The one translation unit that sees Boost: it takes long to compile.
#include "platform/http_client.hpp"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <limits>
#include <optional>

#include "url.hpp"

namespace kimberlite::platform {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

// Of one context, and nothing that would have to find out which: what that costs is compiled.
using Tcp = asio::ip::tcp;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<Tcp, Executor>;
using Resolver = asio::ip::basic_resolver<Tcp, Executor>;

constexpr std::size_t header_size_max = std::size_t{16} << 10U;
constexpr unsigned http_1_1 = 11;

// A connection takes over what its context says when it is made: so this is said before.
asio::ssl::context trusting_context() {
  asio::ssl::context context{asio::ssl::context::tls_client};
  context.set_default_verify_paths();
  context.set_verify_mode(asio::ssl::verify_peer);
  context.set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
  return context;
}

// One exchange; what takes part in it, in the order it is made.
class Exchange {
 public:
  Exchange(const env::HttpRequest& asked, Url url) : asked_(asked), url_(std::move(url)) {}

  Result<env::HttpReply> run() {
    KIMBERLITE_CHECK(connect());
    if (!url_.tls) return exchange(stream_.next_layer());
    KIMBERLITE_CHECK(shake_hands());
    return exchange(stream_);
  }

 private:
  Error failed(Code code, std::string_view what, std::string_view why) const {
    return Error{code, "{}", what}.where("{}", asked_.url).why("{}", why);
  }
  Error broken(std::string_view what, const error_code& error) const {
    return failed(Code::unavailable_network, what, error.message());
  }

  // Runs one operation to its end or to the deadline of all of them.
  template <class Start>
  Result<error_code> finish(Start start) {
    std::optional<error_code> done;
    start([&done](const error_code& error, const auto&... /*result*/) { done = error; });
    context_.restart();
    context_.run_until(deadline_);
    if (done) return *done;
    error_code ignored;
    [[maybe_unused]] const error_code closed = stream_.next_layer().close(ignored);
    resolver_.cancel();
    context_.run();  // the handler refers to `done`
    return failed(Code::timeout_network, "the service did not answer in time",
                  fmt::format("it has {} ms", asked_.timeout_ns / 1'000'000))
        .next("try again, or give it longer with --timeout");
  }

  Status connect() {
    Resolver::results_type found;
    KIMBERLITE_TRY(const error_code unresolved, finish([&](auto handler) {
                     resolver_.async_resolve(
                         url_.host, url_.port,
                         [&found, handler](const error_code& error, const auto& results) {
                           found = results;
                           handler(error);
                         });
                   }));
    if (unresolved) return broken("there is no such host", unresolved);
    KIMBERLITE_TRY(const error_code refused, finish([&](auto handler) {
                     asio::async_connect(stream_.next_layer(), found, handler);
                   }));
    if (refused) return broken("there is no connection to the service", refused);
    return {};
  }

  Status shake_hands() {
    stream_.set_verify_callback(asio::ssl::host_name_verification(url_.host));
    error_code ignored;
    asio::ip::make_address(url_.host, ignored);
    const bool named = static_cast<bool>(ignored);  // an address is no name to ask for
    if (named && SSL_ctrl(stream_.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME,
                          TLSEXT_NAMETYPE_host_name, url_.host.data()) != 1) {
      return failed(Code::unavailable_network, "there is no TLS with the service",
                    "its name cannot be asked for");
    }
    KIMBERLITE_TRY(const error_code untrusted, finish([&](auto handler) {
                     stream_.async_handshake(asio::ssl::stream_base::client, handler);
                   }));
    if (!untrusted) return {};
    const long verified = SSL_get_verify_result(stream_.native_handle());
    if (verified == X509_V_OK) return broken("there is no TLS with the service", untrusted);
    return failed(Code::unavailable_network, "the service's certificate is not to be believed",
                  X509_verify_cert_error_string(verified))
        .next("it must lead to a root this machine trusts, and be of this host");
  }

  template <class Stream>
  Result<env::HttpReply> exchange(Stream& stream) {
    http::request<http::span_body<const char>> request{http::verb::post, url_.target, http_1_1};
    request.set(http::field::host, url_.authority());
    request.set(http::field::user_agent, "kimberlite");
    request.set(http::field::content_type,
                boost::beast::string_view{asked_.content_type.data(), asked_.content_type.size()});
    request.set(http::field::connection, "close");
    const std::string_view body = text_of(asked_.body);
    request.body() = {body.data(), body.size()};
    request.prepare_payload();
    KIMBERLITE_TRY(const error_code unsent,
                   finish([&](auto handler) { http::async_write(stream, request, handler); }));
    // A service may refuse before it has read all.
    if (unsent && unsent != asio::error::broken_pipe && unsent != asio::error::connection_reset) {
      return broken("the connection broke while the request was sent", unsent);
    }
    boost::beast::flat_buffer buffer{header_size_max};
    http::response_parser<http::string_body> parser;
    parser.header_limit(header_size_max);
    parser.body_limit(asked_.reply_size_max);
    KIMBERLITE_TRY(const error_code unread, finish([&](auto handler) {
                     http::async_read(stream, buffer, parser, handler);
                   }));
    if (unread == http::error::body_limit || unread == http::error::header_limit ||
        unread == http::error::buffer_overflow) {
      return failed(Code::limit_reply, "the answer of the service is too large",
                    fmt::format("at most {} bytes are taken", asked_.reply_size_max));
    }
    if (unread && is_http_error(unread) && unread != http::error::end_of_stream &&
        unread != http::error::partial_message) {
      return failed(Code::unavailable_service, "what the service answered is no HTTP",
                    unread.message());
    }
    if (unread) return broken("the connection broke before the whole answer was there", unread);
    const auto& answer = parser.get();
    return env::HttpReply{.status = answer.result_int(),
                          .content_type = std::string{answer[http::field::content_type]},
                          .body = answer.body()};
  }

  static bool is_http_error(const error_code& error) {
    return error.category() == make_error_code(http::error::end_of_stream).category();
  }

  const env::HttpRequest& asked_;
  Url url_;
  const Clock::time_point deadline_ = Clock::now() + std::chrono::nanoseconds{asked_.timeout_ns};
  asio::io_context context_{1};
  Resolver resolver_{context_};
  asio::ssl::context tls_context_ = trusting_context();
  asio::ssl::stream<Socket> stream_{context_, tls_context_};
};

}  // namespace

Result<env::HttpReply> SystemHttpClient::post(const env::HttpRequest& request) {
  KIMBERLITE_TRY(Url url, parse_url(request.url));
  // Asio throws where it cannot be set up at all.
  try {
    return Exchange{request, std::move(url)}.run();
  } catch (const boost::system::system_error& error) {
    return Error{Code::unavailable_network, "the network cannot be used"}.why("{}", error.what());
  }
}

}  // namespace kimberlite::platform
