// Receipts, heads and proofs of consistency: what they cost, and that it does not grow with the
// log; and that the tiles they are made from are those that the entries give.
#include <fmt/format.h>

#include "crypto/ed25519.hpp"
#include "database.hpp"
#include "log/verify.hpp"
#include "platform/linux_storage.hpp"
#include "record/receipt.hpp"

namespace kimberlite::bench {
namespace {

constexpr std::uint64_t small_log = 10'000;
constexpr std::uint64_t receipts_a_round = 2000;
constexpr std::uint64_t heads_a_round = 50;

struct Log {
  Opened opened;
  std::unique_ptr<engine::Session> session;
  std::uint64_t records = 0;
  std::uint64_t asked = 0;  // of positions, so that no two rounds ask the same
};

constexpr log::LogName data_log{TenantId{1}, 0};

// A log of records of one event each.
Result<Log> make_log(const std::string& directory, std::uint64_t records) {
  Log log;
  KIMBERLITE_TRY(log.opened, open_database(directory));
  KIMBERLITE_CHECK(append_until(*log.opened.database, records));
  KIMBERLITE_TRY(log.session, log.opened.database->engine().session("main"));
  KIMBERLITE_TRY(const Position head, log.session->head());
  log.records = head.value();
  KIMBERLITE_TRY(const log::StoredHead signed_head, log.session->signed_head(Position{}));
  static_cast<void>(signed_head);
  return log;
}

// Microseconds a receipt of a scattered record, under a head that is signed already.
Result<double> make_receipts(Log& log, std::optional<std::uint32_t> item) {
  const std::uint64_t begun = now_ns();
  for (std::uint64_t i = 0; i < receipts_a_round; ++i) {
    const auto position = static_cast<std::uint64_t>(scattered(++log.asked, log.records));
    KIMBERLITE_TRY(const record::Receipt receipt, log.session->receipt(Position{position}, item));
    static_cast<void>(receipt);
  }
  return seconds_since(begun) * 1e6 / receipts_a_round;
}

// Microseconds a proof that the newest head extends an older one.
Result<double> make_consistency(Log& log, const std::string& older, const std::string& newer) {
  constexpr std::uint64_t proofs = 500;
  const std::uint64_t begun = now_ns();
  for (std::uint64_t i = 0; i < proofs; ++i) {
    KIMBERLITE_TRY(const record::ConsistencyProof proof, log.session->consistency(older, newer));
    static_cast<void>(proof);
  }
  return seconds_since(begun) * 1e6 / proofs;
}

// Microseconds a new head, which is synced to the disk before it is given.
Result<double> make_heads(Log& log) {
  double spent = 0;
  for (std::uint64_t i = 0; i < heads_a_round; ++i) {
    const engine::Event event{"reading", bytes_of("e")};
    KIMBERLITE_TRY(const engine::Outcome done,
                   log.session->append("sensor-0", std::nullopt, std::span{&event, 1}, {}));
    static_cast<void>(done);
    const std::uint64_t begun = now_ns();
    KIMBERLITE_TRY(const log::StoredHead head, log.session->signed_head(Position{}));
    static_cast<void>(head);
    spent += seconds_since(begun) * 1e6;
  }
  return spent / heads_a_round;
}

// The tiles and nodes that are stored, each compared with what is rebuilt from the entries; none
// may be missing. The log is closed.
Result<Series> compare_tiles(Log log, const std::string& directory) {
  Series series{{.name = "receipt/tiles",
                 .figure = "stored hashes of tiles and nodes, equal to those rebuilt from entries",
                 .limit = "what a tree of so many records has",
                 .unit = "hashes",
                 .bound = Bound::at_least,
                 .target = 1}};
  log.session.reset();
  log.opened.session.reset();
  KIMBERLITE_CHECK(log.opened.database->engine().close());
  platform::LinuxStorage storage{directory};
  KIMBERLITE_TRY(const log::VerifyReport report, log::verify(storage, data_log, {}));
  if (!report.clean()) {
    return Error{Code::internal_bug, "a log that was just written does not verify"};
  }
  constexpr std::uint32_t height_step = 4;  // one file each, of nodes of every fourth height
  std::uint64_t all = 0;
  for (std::uint32_t height = 0; height < 64; height += height_step)
    all += report.records >> height;
  if (report.tile_hashes != all) {
    return Error{Code::internal_bug, "{} of {} hashes of tiles are stored", report.tile_hashes,
                 all};
  }
  series.add(static_cast<double>(report.tile_hashes), static_cast<double>(all));
  series.note("records", static_cast<double>(report.records));
  return series;
}

Result<std::vector<Series>> receipts(const Settings& settings) {
  const auto series = [](std::string_view name, std::string_view figure, std::string_view limit,
                         double target) {
    return Series{{.name = fmt::format("receipt/{}", name),
                   .figure = std::string{figure},
                   .limit = std::string{limit},
                   .unit = "us",
                   .bound = Bound::at_most,
                   .target = target}};
  };
  Series make = series("make", "a receipt made, its head signed before", "50 us", 1);
  Series make_item = series("make_item", "the same with one item disclosed", "50 us", 1);
  Series check =
      series("check", "a receipt with an item checked", "one Ed25519 check alone, and 10 us", 1);
  Series grown = series("growth", "a receipt made", "the same in a log of 10,000 records", 2);
  Series extends = series("consistency_growth", "a proof of consistency made",
                          "the same in a log of 10,000 records", 2);
  Series heads =
      series("head_growth", "a head signed and synced", "the same in a log of 10,000 records", 1.5);
  KIMBERLITE_TRY(Log small, make_log(settings.scratch + "/receipt-small", small_log));
  KIMBERLITE_TRY(Log large, make_log(settings.scratch + "/receipt-large", settings.records));
  const auto older_of = [](Log& log) -> Result<std::string> {
    KIMBERLITE_TRY(const log::StoredHead head, log.session->signed_head(Position{}));
    return head.note();
  };
  KIMBERLITE_TRY(const std::string small_older, older_of(small));
  KIMBERLITE_TRY(const std::string large_older, older_of(large));
  std::uint64_t from_disk = 0;
  for (std::uint64_t round = 0; round < 2 * settings.rounds; ++round) {
    KIMBERLITE_TRY(const double of_small, make_receipts(small, std::nullopt));
    const std::uint64_t read_before = bytes_read_from_disk();
    KIMBERLITE_TRY(const double of_large, make_receipts(large, std::nullopt));
    from_disk += bytes_read_from_disk() - read_before;
    KIMBERLITE_TRY(const double with_item, make_receipts(large, 0));
    make.add(of_large, 50);
    make_item.add(with_item, 50);
    grown.add(of_large, of_small);

    KIMBERLITE_TRY(const record::Receipt receipt, large.session->receipt(Position{7}, 0));
    KIMBERLITE_TRY(const log::StoredHead head, large.session->signed_head(Position{1}));
    const record::VerifierKey key = head.verifier_key();
    constexpr int checks = 500;
    std::uint64_t begun = now_ns();
    bool good = true;
    for (int i = 0; i < checks; ++i) good = head.signature_holds() && good;
    const double signature = seconds_since(begun) * 1e6 / checks;
    begun = now_ns();
    for (int i = 0; i < checks; ++i) good = record::verify(receipt, key).has_value() && good;
    check.add(seconds_since(begun) * 1e6 / checks, signature + 10);
    if (!good) return Error{Code::internal_bug, "a receipt that was just made does not hold"};

    KIMBERLITE_TRY(const double small_head, make_heads(small));
    KIMBERLITE_TRY(const double large_head, make_heads(large));
    heads.add(large_head, small_head);
    KIMBERLITE_TRY(const std::string small_newer, older_of(small));
    KIMBERLITE_TRY(const std::string large_newer, older_of(large));
    KIMBERLITE_TRY(const double small_proof, make_consistency(small, small_older, small_newer));
    KIMBERLITE_TRY(const double large_proof, make_consistency(large, large_older, large_newer));
    extends.add(large_proof, small_proof);
  }
  for (Series* line : {&make, &make_item, &check, &grown, &extends, &heads}) {
    line->note("records", static_cast<double>(large.records));
  }
  // A record that nobody read for long is not in memory: then the disk is a part of the figure.
  grown.note(
      "bytes_from_disk_each",
      static_cast<double>(from_disk) / static_cast<double>(2 * settings.rounds * receipts_a_round));
  KIMBERLITE_TRY(Series tiles,
                 compare_tiles(std::move(large), settings.scratch + "/receipt-large"));
  return std::vector{make, make_item, check, grown, extends, heads, std::move(tiles)};
}

}  // namespace

std::vector<NamedCase> proof_cases() { return {{"receipt", receipts}}; }

}  // namespace kimberlite::bench
