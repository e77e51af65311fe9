// kimberlite bench: what this machine and disk give, in a scratch database beside the target.
//
// Every figure stands beside a limit measured in the same run. For comparisons that matter use
// bench/run.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "app.hpp"
#include "cli/interrupt.hpp"

namespace kimberlite::cli {
namespace {

constexpr std::string_view scratch_name = "kimberlite-bench-scratch";

struct Figure {
  std::string what;
  double value = 0;
  std::string unit;
};

class Bench {
 public:
  Bench(App& app, std::string root, std::uint64_t seconds)
      : app_(app), root_(std::move(root)), budget_ns_(seconds * 1'000'000'000) {}

  Result<std::vector<Figure>> run() {
    KIMBERLITE_CHECK(raw_write());
    KIMBERLITE_CHECK(open());
    KIMBERLITE_CHECK(
        execute("CREATE TABLE t (id BIGINT PRIMARY KEY, city TEXT, amount DECIMAL(18,2))", {}));
    KIMBERLITE_CHECK(single_inserts());
    KIMBERLITE_CHECK(bulk_inserts());
    KIMBERLITE_CHECK(selects("point SELECT", ""));
    KIMBERLITE_CHECK(execute("UPDATE t SET city = 'Salem'", {}));
    KIMBERLITE_CHECK(selects("point SELECT AS OF", fmt::format(" AS OF POSITION {}", head_ - 1)));
    return std::move(figures_);
  }

 private:
  [[nodiscard]] std::uint64_t now() { return app_.clock().monotonic_ns(); }

  void median(std::string what, std::vector<std::uint64_t> samples) {
    std::ranges::sort(samples);
    figures_.push_back(
        {std::move(what), static_cast<double>(samples[samples.size() / 2]) / 1000, "µs, median"});
  }

  Status raw_write() {
    platform::LinuxStorage storage{root_};
    KIMBERLITE_TRY(const auto device, storage.open_device("raw", 1U << 20U));
    void* memory = std::aligned_alloc(sector_size, sector_size);
    std::fill_n(static_cast<std::byte*>(memory), sector_size, std::byte{7});
    const Bytes sector{static_cast<const std::byte*>(memory), sector_size};
    std::vector<std::uint64_t> samples;
    Status status;
    const std::uint64_t until = now() + budget_ns_ / 5;
    for (std::uint64_t i = 0; status && !interrupted() && (i < 20 || now() < until); ++i) {
      const std::uint64_t begun = now();
      device->write(1, i % 256 * sector_size, sector);
      std::array<env::IoDone, 1> done;
      while (device->poll(done, 1'000'000'000) == 0) {
      }
      status = done[0].status;
      samples.push_back(now() - begun);
    }
    std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc): aligned for direct I/O
    KIMBERLITE_CHECK(std::move(status));
    median("raw synced 4 KiB write", std::move(samples));
    return {};
  }

  Status open() {
    world_ = std::make_unique<platform::LinuxEnv>(root_ + "/database", platform::ExecutorOptions{});
    platform::MemoryStorage keys;
    KIMBERLITE_TRY(key_, keystore::FileMasterKey::create(keys, "bench.key", app_.random()));
    KIMBERLITE_CHECK(engine::Database::create(world_->env(), *key_, {}));
    KIMBERLITE_TRY(database_, engine::Database::open(world_->env(), *key_, {}));
    KIMBERLITE_TRY(session_, database_->session("main"));
    return {};
  }

  Status execute(std::string_view sql, const std::vector<Value>& values) {
    const engine::Statement statement{sql, values};
    KIMBERLITE_TRY(const engine::Outcome outcome, session_->execute(std::span{&statement, 1}, {}));
    head_ = outcome.position.value();
    return {};
  }

  Status single_inserts() {
    std::vector<std::uint64_t> samples;
    const std::uint64_t until = now() + budget_ns_ / 5;
    while (!interrupted() && (samples.size() < 20 || now() < until)) {
      const std::uint64_t begun = now();
      KIMBERLITE_CHECK(execute(
          "INSERT INTO t VALUES ($1, $2, $3)",
          {static_cast<std::int64_t>(++rows_), std::string{"Boston"}, std::string{"12.50"}}));
      samples.push_back(now() - begun);
    }
    median("one-row durable INSERT", std::move(samples));
    return {};
  }

  Status bulk_inserts() {
    constexpr std::size_t batch = 500;
    std::string text = "INSERT INTO t VALUES ";
    for (std::size_t i = 0; i < batch; ++i) {
      text += fmt::format("{}(${}, ${}, ${})", i == 0 ? "" : ", ", 3 * i + 1, 3 * i + 2, 3 * i + 3);
    }
    const std::uint64_t begun = now();
    const std::uint64_t first = rows_;
    while (!interrupted() && (rows_ == first || now() - begun < budget_ns_ / 5)) {
      std::vector<Value> values;
      for (std::size_t i = 0; i < batch; ++i) {
        values.emplace_back(static_cast<std::int64_t>(++rows_));
        values.emplace_back(std::string{"Boston"});
        values.emplace_back(std::string{"12.50"});
      }
      KIMBERLITE_CHECK(execute(text, values));
    }
    const double seconds = static_cast<double>(now() - begun) / 1e9;
    figures_.push_back(
        {"bulk INSERT, 500 rows a record", static_cast<double>(rows_ - first) / seconds, "rows/s"});
    return {};
  }

  Status selects(std::string what, std::string_view as_of) {
    const std::string text = fmt::format("SELECT city FROM t{} WHERE id = $1", as_of);
    std::uint64_t count = 0;
    const std::uint64_t begun = now();
    while (!interrupted() && (count < 100 || now() - begun < budget_ns_ / 5)) {
      const std::vector<Value> values{static_cast<std::int64_t>(count * 7919 % rows_ + 1)};
      KIMBERLITE_TRY(const auto cursor, session_->query({text, values}, {}, {}));
      KIMBERLITE_TRY(const bool found, cursor->next());
      if (!found) return Error{Code::internal_bug, "a row that was written is not there"};
      ++count;
    }
    const double seconds = static_cast<double>(now() - begun) / 1e9;
    figures_.push_back({std::move(what), static_cast<double>(count) / seconds, "a second"});
    return {};
  }

  App& app_;
  std::string root_;
  std::uint64_t budget_ns_;
  std::unique_ptr<platform::LinuxEnv> world_;
  std::unique_ptr<keystore::MasterKey> key_;
  std::unique_ptr<engine::Database> database_;
  std::unique_ptr<engine::Session> session_;
  std::uint64_t rows_ = 0;
  std::uint64_t head_ = 0;
  std::vector<Figure> figures_;
};

}  // namespace

Result<int> run_bench(App& app, const BenchOptions& options) {
  const std::string& target = app.configuration().get("target").value;
  const std::string root = fmt::format("{}{}", target.empty() ? "" : target + "-", scratch_name);
  platform::LinuxStorage storage{root};
  if (storage.exists()) KIMBERLITE_CHECK(remove_tree(storage));
  Result<std::vector<Figure>> figures = [&] { return Bench{app, root, options.seconds}.run(); }();
  KIMBERLITE_CHECK(remove_tree(storage));
  if (!figures) return figures.error();
  std::vector<Row> rows;
  for (Figure& figure : *figures)
    rows.push_back({std::move(figure.what), figure.value, std::move(figure.unit)});
  KIMBERLITE_CHECK(write_facts(app,
                               {{"what", catalog::Type{catalog::TypeKind::text}},
                                {"value", catalog::Type{catalog::TypeKind::double_precision}},
                                {"unit", catalog::Type{catalog::TypeKind::text}}},
                               rows));
  return interrupted() ? 9 : 0;
}

}  // namespace kimberlite::cli
