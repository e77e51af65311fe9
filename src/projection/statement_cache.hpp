// Statements kept prepared by text, bounded, the least used forgotten first.
//
// Two generations: what is found in the old one moves to the young one; when the young one is full
// it becomes the old one, and what was old is forgotten. So one-off texts never push out a hot one.
// Thread rule: one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/bytes.hpp"
#include "sql/rewrite.hpp"
#include "sqlite.hpp"

namespace kimberlite::projection {

// A user's statement behind the door.
struct Compiled {
  sql::Rewritten door;
  Prepared statement;
  std::vector<ResultColumn> columns;
  std::optional<Position> as_of;  // the session's, when it was compiled
};

template <class T>
class StatementCache {
 public:
  // Bytes: a longer one costs a multiple of itself to keep, and is seldom asked twice.
  static constexpr std::size_t text_max = 16U << 10U;

  explicit StatementCache(std::size_t generation_size) : generation_size_(generation_size) {}

  // Null if it is not there. Shared, because a generation may be forgotten while it runs.
  [[nodiscard]] std::shared_ptr<T> find(std::string_view text) {
    if (const auto young = young_.find(text); young != young_.end()) return young->second;
    const auto old = old_.find(text);
    if (old == old_.end()) return nullptr;
    std::shared_ptr<T> found = std::move(old->second);
    std::string key = old->first;
    old_.erase(old);
    add(std::move(key), found);
    return found;
  }
  void add(std::string text, std::shared_ptr<T> value) {
    if (text.size() > text_max) return;
    if (young_.size() >= generation_size_) {
      old_ = std::exchange(young_, Map{});
    }
    young_.insert_or_assign(std::move(text), std::move(value));
  }
  void clear() {
    young_.clear();
    old_.clear();
  }

 private:
  struct HashText {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  using Map = std::unordered_map<std::string, std::shared_ptr<T>, HashText, std::equal_to<>>;

  std::size_t generation_size_;
  Map young_;
  Map old_;
};

// The part of a query's text that is its own.
[[nodiscard]] std::string_view own_text(const Query& query);
// Fails with `sql.misuse` or `type.*`, nothing bound, unless the caller gave what is asked for.
// `copy`: the values need not outlive the call.
[[nodiscard]] Status bind_all(Compiled& compiled, const Query& query,
                              std::span<const ValueView> parameters, bool copy);

}  // namespace kimberlite::projection
