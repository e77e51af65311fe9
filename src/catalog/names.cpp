// Names: comparing them, and finding the one that was probably meant.
#include <algorithm>
#include <vector>

#include "catalog/catalog.hpp"

namespace kimberlite::catalog {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Optimal string alignment distance (insert, delete, replace, swap neighbours), case ignored.
// Both are names, so the table stays small; longer texts are cut by the caller.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

// Keeps the nearest of the names offered to it; the first of equally near ones.
class Nearest {
 public:
  explicit Nearest(std::string_view wanted)
      : wanted_(wanted), limit_(std::clamp<std::size_t>(wanted.size() / 3, 1, 4)) {}

  void offer(std::string_view name) {
    if (wanted_.size() > Catalog::name_size_max || name.size() > wanted_.size() + limit_ ||
        wanted_.size() > name.size() + limit_) {
      return;
    }
    const std::size_t found = distance(wanted_, name);
    if (found > limit_ || found >= best_) return;
    best_ = found;
    name_ = name;
  }
  [[nodiscard]] std::string name() && { return std::move(name_); }

 private:
  std::string_view wanted_;
  std::size_t limit_;
  std::size_t best_ = Catalog::name_size_max;
  std::string name_;
};

}  // namespace

bool NameLess::operator()(std::string_view a, std::string_view b) const {
  return std::ranges::lexicographical_compare(a, b, {}, lower, lower);
}

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string Catalog::nearest_table(std::string_view name) const {
  Nearest nearest{name};
  for (const Table* table : tables()) nearest.offer(table->name);
  for (const View* view : views()) nearest.offer(view->name);
  return std::move(nearest).name();
}

std::string Catalog::nearest_column(const Table& table, std::string_view name) {
  Nearest nearest{name};
  for (const Column& column : table.columns) nearest.offer(column.name);
  return std::move(nearest).name();
}

}  // namespace kimberlite::catalog
