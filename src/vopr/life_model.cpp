#include "life_model.hpp"

#include <fmt/format.h>

#include "base/le.hpp"
#include "vopr/prng.hpp"

namespace kimberlite::vopr {
namespace {

constexpr std::int64_t keys = 24;

// Makes a write statement by statement, and what it leaves.
class Writer {
 public:
  Writer(const Step& step, const TenantModel& now, std::uint64_t request)
      : choices_(step.choice, 5), write_{.tenant = step.tenant, .request = request, .after = now} {}

  std::optional<Write> write(StepKind kind) {
    switch (kind) {
      case StepKind::insert:
        insert();
        break;
      case StepKind::upsert:
        upsert();
        break;
      case StepKind::update:
        update();
        break;
      case StepKind::remove:
        remove();
        break;
      case StepKind::list:
        several(2 + choices_.below(3));
        break;
      case StepKind::transaction:
        write_.transaction = true;
        several(1 + choices_.below(3));
        break;
      case StepKind::append:
        append();
        break;
      case StepKind::add_column:
        add_column();
        break;
      case StepKind::make_index:
        say("CREATE INDEX i{} ON t (v)", ++model().made);
        break;
      case StepKind::other_table:
        other_table();
        break;
      case StepKind::rotate_key:
        write_.rotates_key = true;
        break;
      default:
        return std::nullopt;
    }
    return std::move(write_);
  }

 private:
  TenantModel& model() { return write_.after; }
  TableModel& table() { return model().tables.at("t"); }

  template <class... Args>
  void say(fmt::format_string<Args...> text, Args&&... args) {
    write_.statements.push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  std::string value() {
    std::string text = fmt::format("{}value {} ", marker(write_.tenant), ++model().made);
    const std::uint64_t more = choices_.below(20) == 0 ? choices_.below(3000) : choices_.below(20);
    for (std::uint64_t i = 0; i < more; ++i) {
      text += static_cast<char>('a' + choices_.below(26));
    }
    return text;
  }
  std::int64_t any_key() { return static_cast<std::int64_t>(choices_.below(keys)); }

  void put(std::int64_t id, std::uint64_t v, std::string m) {
    std::vector<std::string> row{fmt::format("{}", v), std::move(m)};
    for (std::size_t i = 2; i < table().columns.size(); ++i) row.push_back(table().defaults[i]);
    table().rows[id] = std::move(row);
  }

  void insert() {
    const std::int64_t id = any_key();
    const std::uint64_t v = choices_.below(1000);
    std::string m = value();
    say("INSERT INTO t (id, v, m) VALUES ({}, {}, '{}')", id, v, m);
    if (!table().rows.contains(id)) return put(id, v, std::move(m));
    write_.refused = ErrorClass::constraint;
  }

  void upsert() {
    const std::int64_t id = any_key();
    const std::uint64_t v = choices_.below(1000);
    std::string m = value();
    if (choices_.coin()) {
      say("INSERT OR REPLACE INTO t (id, v, m) VALUES ({}, {}, '{}')", id, v, m);
      return put(id, v, std::move(m));
    }
    say("INSERT INTO t (id, v, m) VALUES ({}, {}, '{}') ON CONFLICT (id) DO UPDATE SET v = v + 1",
        id, v, m);
    if (!table().rows.contains(id)) return put(id, v, std::move(m));
    add(table().rows[id], 1);
  }

  static void add(std::vector<std::string>& row, std::int64_t more) {
    row[0] = fmt::format("{}", std::stoll(row[0]) + more);
  }

  void update() {
    const std::int64_t rest = static_cast<std::int64_t>(choices_.below(3));
    const std::int64_t more = static_cast<std::int64_t>(choices_.below(9)) - 4;
    if (choices_.coin()) {
      say("UPDATE t SET v = v + {} WHERE id % 3 = {} WITH REASON 'form {}'", more, rest,
          write_.request);
      for (auto& [id, row] : table().rows) {
        if (id % 3 == rest) add(row, more);
      }
      return;
    }
    const std::int64_t id = any_key();
    const std::string m = value();
    say("UPDATE t SET m = '{}' WHERE id = {}", m, id);
    const auto found = table().rows.find(id);
    if (found != table().rows.end()) found->second[1] = m;
  }

  void remove() {
    const std::int64_t id = any_key();
    say("DELETE FROM t WHERE id = {}", id);
    table().rows.erase(id);
  }

  void several(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      switch (choices_.below(3)) {
        case 0:
          upsert();
          break;
        case 1:
          update();
          break;
        default:
          remove();
      }
    }
    const auto other = model().tables.find("o");
    if (other == model().tables.end()) return;
    const auto id = static_cast<std::int64_t>(++model().made);
    const std::string m = value();
    say("INSERT INTO o (id, v, m) VALUES ({}, 0, '{}')", id, m);
    other->second.rows[id] = {"0", m};
  }

  void append() {
    write_.stream = fmt::format("s{}", choices_.below(2));
    std::vector<std::string>& stream = model().streams[write_.stream];
    const std::uint64_t count = 1 + choices_.below(3);
    for (std::uint64_t i = 0; i < count; ++i) write_.events.push_back(value());
    if (choices_.below(3) == 0) {
      write_.expected = stream.size();
      if (choices_.coin()) {
        *write_.expected += 1 + choices_.below(3);
        write_.refused = ErrorClass::conflict;
      }
    }
    if (write_.refused) {
      if (stream.empty()) model().streams.erase(write_.stream);
      return;
    }
    stream.insert(stream.end(), write_.events.begin(), write_.events.end());
  }

  void add_column() {
    if (table().columns.size() >= 8) return remove();
    const std::string column = fmt::format("c{}", ++model().made);
    const std::string otherwise = fmt::format("{}", choices_.below(100));
    say("ALTER TABLE t ADD COLUMN {} BIGINT DEFAULT {}", column, otherwise);
    table().columns.push_back(column);
    table().defaults.push_back(otherwise);
    for (auto& [id, row] : table().rows) row.push_back(otherwise);
  }

  void other_table() {
    if (model().tables.erase("o") > 0) return say("DROP TABLE o");
    say("CREATE TABLE o (id BIGINT PRIMARY KEY, v BIGINT, m TEXT)");
    model().tables["o"] = {.columns = {"v", "m"}, .defaults = {"", ""}, .rows = {}};
  }

  Prng choices_;
  Write write_;
};

}  // namespace

std::string marker(std::uint8_t tenant) { return fmt::format("~only-tenant-{}~", tenant); }
std::string tenant_name(std::uint8_t tenant) { return fmt::format("t{}", tenant); }

std::string TenantModel::text(const std::string& table) const {
  std::string all;
  const auto found = tables.find(table);
  if (found == tables.end()) return all;
  for (const auto& [id, row] : found->second.rows) {
    all += fmt::format("{}", id);
    for (const std::string& value : row) all += "|" + value;
    all += '\n';
  }
  return all;
}

void append_row(std::string& to, std::span<const ValueView> row) {
  bool first = true;
  for (const ValueView& value : row) {
    if (!first) to += '|';
    first = false;
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      to += fmt::format("{}", *number);
    } else if (const auto* text = std::get_if<std::string_view>(&value)) {
      to += *text;
    } else {
      to += '?';
    }
  }
  to += '\n';
}

Id128 request_id(std::uint64_t request) {
  Id128 id{};
  store_le(id.data() + 9, static_cast<std::uint32_t>(request));
  id[6] = std::byte{0x80};  // version 8: made from something, and of no age
  id[8] = std::byte{0x80};
  return id;
}

std::string request_key(std::uint64_t request) { return fmt::format("form {}", request); }

std::optional<Write> write_of(const Step& step, const TenantModel& now, std::uint64_t request) {
  return Writer(step, now, request).write(step.kind);
}

}  // namespace kimberlite::vopr
