// The log: appending events to it, and verifying it.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <thread>

#include "crypto/sha256.hpp"
#include "database.hpp"
#include "engine/verify.hpp"
#include "log/segment.hpp"
#include "log/verify.hpp"
#include "plain.hpp"
#include "platform/linux_storage.hpp"
#include "record/body.hpp"
#include "record/frame.hpp"

namespace kimberlite::bench {
namespace {

constexpr std::size_t event_size = 256;

// ---- append -------------------------------------------------------------------------------------

constexpr std::size_t batch_events = 1000;
constexpr std::size_t batches_a_round = 240;
constexpr std::size_t writers = 8;  // as many batches of a tenant as may be in flight
constexpr std::uint64_t raw_write_size = std::uint64_t{1} << 20;
constexpr std::uint64_t round_bytes = std::uint64_t{batch_events} * batches_a_round * event_size;

// Bytes of events a second, through `writers` sessions, each with a stream of its own.
Result<double> append_rate(std::vector<std::unique_ptr<Session>>& sessions) {
  std::atomic<std::size_t> batches = 0;
  std::vector<Status> ends(sessions.size());
  std::vector<std::thread> threads;
  threads.reserve(sessions.size());
  const std::uint64_t begun = now_ns();
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    threads.emplace_back([&, i] {
      const std::vector<Event> events(batch_events, Event{"reading", std::string(event_size, 'e')});
      const std::string stream = fmt::format("sensor-{}", i);
      while (ends[i] && batches.fetch_add(1) < batches_a_round) {
        const Result<Commit> done = sessions[i]->append(stream, Expect::any(), events);
        if (!done) ends[i] = done.error();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double rate = static_cast<double>(round_bytes) / seconds_since(begun);
  for (Status& end : ends) KIMBERLITE_CHECK(std::move(end));
  return rate;
}

Result<std::vector<Series>> append(const Settings& settings) {
  Series series{{.name = "append",
                 .figure = "256 B events in batches of 1,000, 8 writers, ring of 1 GiB; their "
                           "bytes counted twice",
                 .limit = "sequential O_DIRECT|O_DSYNC writes of 1 MiB",
                 .unit = "MB/s",
                 .bound = Bound::at_least,
                 .target = 0.4}};
  KIMBERLITE_TRY(RawDisk disk, RawDisk::make(settings.scratch + "/raw", std::uint64_t{256} << 20));
  KIMBERLITE_TRY(Opened ours, open_database(settings.scratch + "/append", journal_ring_server));
  std::vector<std::unique_ptr<Session>> sessions;
  for (std::size_t i = 0; i < writers; ++i) {
    KIMBERLITE_TRY(auto session, ours.database->local_session());
    sessions.push_back(std::move(session));
  }
  KIMBERLITE_TRY(const double warm, append_rate(sessions));  // streams are made, keys known
  static_cast<void>(warm);
  for (std::uint64_t round = 0; round < 2 * settings.rounds; ++round) {
    const std::uint64_t begun = now_ns();
    for (std::uint64_t at = 0; at < 2 * round_bytes; at += raw_write_size) {
      KIMBERLITE_CHECK(disk.write(raw_write_size));
    }
    const double limit = 2.0 * static_cast<double>(round_bytes) / seconds_since(begun);
    KIMBERLITE_TRY(const double rate, append_rate(sessions));
    series.add(2 * rate / 1e6, limit / 1e6);
  }
  return std::vector{series};
}

// ---- verify -------------------------------------------------------------------------------------

// What is hashed to verify a log: the sizes of its items, and how many records they are of.
struct Hashed {
  std::vector<std::uint32_t> items;
  std::uint64_t records = 0;
};

constexpr log::LogName data_log{TenantId{1}, 0};

Result<Hashed> hashed_of(env::Storage& storage) {
  Hashed hashed;
  const std::string directory = log::directory_of(data_log);
  KIMBERLITE_TRY(const std::vector<std::string> names, storage.list(directory));
  for (const std::string& name : names) {
    if (!log::segment_of_file_name(name)) continue;
    KIMBERLITE_TRY(const auto file,
                   storage.open(fmt::format("{}/{}", directory, name), env::Open::read));
    KIMBERLITE_TRY(const std::uint64_t size, file->size());
    Buffer bytes(size);
    KIMBERLITE_TRY(const std::size_t got, file->read_at(0, bytes));
    Bytes rest = Bytes{bytes}.first(got).subspan(log::segment_header_size);
    while (!rest.empty() && rest.size() != log::segment_footer_size) {
      KIMBERLITE_TRY(const record::FrameView frame, record::parse_frame(rest));
      KIMBERLITE_TRY(const std::vector<record::ItemView> items, record::split_body(frame.body));
      for (const record::ItemView& item : items) {
        hashed.items.push_back(static_cast<std::uint32_t>(item.whole.size()));
      }
      ++hashed.records;
      rest = rest.subspan(frame.size);
    }
  }
  return hashed;
}

// The commitment of every item, the leaf of every entry and the nodes of the tree above them, of
// bytes that are in the cache; seconds.
double sha_alone(const Hashed& hashed) {
  const std::array<std::byte, 1> tag{std::byte{0x10}};
  const Buffer bytes(*std::ranges::max_element(hashed.items), std::byte{7});
  const Bytes all{bytes};
  const std::array<std::byte, record::entry_size> entry{};
  Hash hash{};
  const std::uint64_t begun = now_ns();
  for (const std::uint32_t size : hashed.items) hash = crypto::sha256(tag, all.first(size));
  for (std::uint64_t i = 0; i < hashed.records; ++i) hash = crypto::sha256(tag, entry);
  const std::uint64_t nodes =
      hashed.records - static_cast<std::uint64_t>(std::popcount(hashed.records));
  for (std::uint64_t i = 0; i < nodes; ++i) hash = crypto::sha256(tag, hash, hash);
  return seconds_since(begun);
}

struct Shape {
  std::string_view name;
  std::string_view what;
  std::size_t events_a_record;
  std::size_t records;
  std::size_t threads;
};

Status fill(const std::string& directory, const Shape& shape) {
  KIMBERLITE_TRY(Opened ours, open_database(directory));
  std::atomic<std::size_t> records = 0;
  std::vector<Status> ends(shape.threads);
  std::vector<std::thread> threads;
  threads.reserve(shape.threads);
  for (std::size_t i = 0; i < shape.threads; ++i) {
    threads.emplace_back([&, i] {
      ends[i] = [&]() -> Status {
        KIMBERLITE_TRY(const auto session, ours.database->local_session());
        const std::vector<Event> events(shape.events_a_record,
                                        Event{"reading", std::string(event_size, 'e')});
        const std::string stream = fmt::format("sensor-{}", i);
        while (records.fetch_add(1) < shape.records) {
          KIMBERLITE_TRY(const Commit done, session->append(stream, Expect::any(), events));
          static_cast<void>(done);
        }
        return {};
      }();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Status& end : ends) KIMBERLITE_CHECK(std::move(end));
  return ours.database->engine().close();
}

Result<std::vector<Series>> verify_shape(const Settings& settings, const Shape& shape) {
  const std::string directory = fmt::format("{}/verify-{}", settings.scratch, shape.name);
  KIMBERLITE_CHECK(fill(directory, shape));
  platform::LinuxStorage storage{directory};
  KIMBERLITE_TRY(const Hashed hashed, hashed_of(storage));
  double bytes = 0;
  for (const std::uint32_t size : hashed.items) bytes += size;
  bytes += static_cast<double>(hashed.records * (record::frame_at_body));
  const auto subject = [&](std::string_view what, std::string_view figure, double target) {
    return Series{{.name = fmt::format("verify/{}_{}", what, shape.name),
                   .figure = fmt::format("{}, {}", figure, shape.what),
                   .limit = "the same SHA-256 calls alone",
                   .unit = "MB/s",
                   .bound = Bound::at_least,
                   .target = target}};
  };
  Series of_log = subject("log", "verify of one log", 0.8);
  Series of_directory = subject("directory", "verify of the whole directory", 0.8);
  for (std::uint64_t round = 0; round < 2 * settings.rounds; ++round) {
    const double limit = bytes / sha_alone(hashed) / 1e6;
    std::uint64_t begun = now_ns();
    KIMBERLITE_TRY(const log::VerifyReport log, log::verify(storage, data_log, {}));
    of_log.add(bytes / seconds_since(begun) / 1e6, limit);
    if (!log.clean() || log.records != hashed.records) {
      return Error{Code::internal_bug, "a log that was just written does not verify"};
    }
    begun = now_ns();
    KIMBERLITE_TRY(const engine::VerifyReport all, engine::verify(storage, {}));
    of_directory.add(bytes / seconds_since(begun) / 1e6, limit);
    if (!all.clean()) {
      return Error{Code::internal_bug, "a directory that was just written does not verify"};
    }
  }
  of_log.note("records", static_cast<double>(hashed.records));
  of_directory.note("records", static_cast<double>(hashed.records));
  return std::vector{std::move(of_log), std::move(of_directory)};
}

Result<std::vector<Series>> verify(const Settings& settings) {
  std::vector<Series> all;
  for (const Shape& shape : {Shape{"small", "records of one 256 B event", 1, 200'000, 64},
                             Shape{"large", "records of 1,000 events of 256 B", 1000, 800, 8}}) {
    KIMBERLITE_TRY(const std::vector<Series> of_shape, verify_shape(settings, shape));
    all.insert(all.end(), of_shape.begin(), of_shape.end());
  }
  return all;
}

}  // namespace

std::vector<NamedCase> log_cases() { return {{"append", append}, {"verify", verify}}; }

}  // namespace kimberlite::bench
