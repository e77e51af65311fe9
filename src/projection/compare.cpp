#include "compare.hpp"

#include <compare>

#include "record/items.hpp"
#include "row_check.hpp"

namespace kimberlite::projection {
namespace {

constexpr std::uint64_t rows_between_progress = 1024;

// As SQLite orders values under BINARY; a column of a strict table holds one class and NULL.
std::strong_ordering order_of(const ValueView& a, const ValueView& b) {
  if (a.index() != b.index()) return a.index() <=> b.index();
  if (const auto* integer = std::get_if<std::int64_t>(&a)) {
    return *integer <=> std::get<std::int64_t>(b);
  }
  if (const auto* real = std::get_if<double>(&a)) {
    const double other = std::get<double>(b);
    return *real < other   ? std::strong_ordering::less
           : other < *real ? std::strong_ordering::greater
                           : std::strong_ordering::equal;
  }
  if (const auto* text = std::get_if<std::string_view>(&a)) {
    return *text <=> std::get<std::string_view>(b);
  }
  if (const auto* bytes = std::get_if<Bytes>(&a)) {
    const Bytes other = std::get<Bytes>(b);
    return std::lexicographical_compare_three_way(bytes->begin(), bytes->end(), other.begin(),
                                                  other.end());
  }
  return std::strong_ordering::equal;
}

// Versions of one key follow one another; of rows there is one.
std::strong_ordering order_of(const KeptRows& a, const KeptRows& b, Noun noun) {
  for (std::size_t i = 0; i < a.key().size(); ++i) {
    const auto order = order_of(a.key()[i], b.key()[i]);
    if (order != std::strong_ordering::equal) return order;
  }
  return noun == Noun::version ? order_of(a.from(), b.from()) : std::strong_ordering::equal;
}

Position position_of(const ValueView& value) {
  const auto* position = std::get_if<std::int64_t>(&value);
  return Position{position == nullptr || *position < 0 ? 0 : static_cast<std::uint64_t>(*position)};
}

Buffer encoded(std::span<const ValueView> key) {
  Writer writer;
  record::encode_values(writer, key);
  return std::move(writer).take();
}

class Walker {
 public:
  Walker(KeptRows& shown, KeptRows& derived, const Walk& how)
      : shown_(shown), derived_(derived), how_(how) {}

  Result<Walked> run() {
    KIMBERLITE_TRY(bool here, next_shown());
    KIMBERLITE_TRY(bool there, derived_.next());
    while (here || there) {
      const auto order = !there  ? std::strong_ordering::less
                         : !here ? std::strong_ordering::greater
                                 : order_of(shown_, derived_, how_.noun);
      if (order < 0) {
        KIMBERLITE_CHECK(added());
      } else if (order > 0) {
        KIMBERLITE_CHECK(missing());
      } else {
        KIMBERLITE_CHECK(both());
      }
      if (order <= 0) {
        KIMBERLITE_TRY(here, next_shown());
      }
      if (order >= 0) {
        KIMBERLITE_TRY(there, derived_.next());
      }
    }
    return std::move(walked_);
  }

 private:
  [[nodiscard]] bool of_rows() const { return how_.noun == Noun::row; }

  Result<bool> next_shown() {
    KIMBERLITE_TRY(const bool found, shown_.next());
    if (!found) return false;
    if (how_.digest != nullptr) {
      Writer row;
      record::encode_values(row, shown_.values());
      how_.digest->update(row.buffer());
    }
    if (++walked_.rows % rows_between_progress == 0 && how_.progress) {
      KIMBERLITE_CHECK(how_.progress());
    }
    return true;
  }

  // Counts it, and names it if it is one of the first: whether it did.
  Result<bool> differs(std::string_view what, const KeptRows& row, std::string column = {}) {
    ++walked_.differences;
    if (walked_.named.size() >= how_.named_max) return false;
    Difference named{what, position_of(row.from()), std::nullopt, std::move(column)};
    if (how_.origin) {
      KIMBERLITE_TRY(const auto origin, how_.origin(encoded(row.key()), named.position));
      if (origin) {
        named.position = origin->position;
        named.change = origin->change;
      }
    }
    walked_.named.push_back(std::move(named));
    return true;
  }

  Status added() {
    KIMBERLITE_TRY(const bool named,
                   differs(of_rows() ? "a row is there that no record wrote"
                                     : "a superseded version is there that no record wrote",
                           shown_));
    // Some record did write it: then it was superseded, or is shown where it does not belong.
    if (named && walked_.named.back().change) {
      walked_.named.back().what = of_rows() ? "a row is there that the log has not at this position"
                                            : "a superseded version is there that the log has not";
    }
    return {};
  }

  Status missing() {
    KIMBERLITE_CHECK(
        differs(of_rows() ? "a row is missing" : "a superseded version is missing", derived_));
    return {};
  }

  Status both() {
    for (std::size_t i = 0; i < shown_.values().size(); ++i) {
      if (same_value(shown_.values()[i], derived_.values()[i])) continue;
      KIMBERLITE_CHECK(differs(of_rows() ? "a row is not what the log says it is"
                                         : "a superseded version is not what the log says it is",
                               derived_, std::string{derived_.column_name(i)}));
      return {};
    }
    if (same_value(shown_.from(), derived_.from()) && same_value(shown_.to(), derived_.to())) {
      return {};
    }
    KIMBERLITE_CHECK(differs(of_rows()
                                 ? "a row is shown as another record's than the one that wrote it"
                                 : "a superseded version is shown as valid at other positions",
                             derived_));
    return {};
  }

  KeptRows& shown_;
  KeptRows& derived_;
  const Walk& how_;
  Walked walked_;
};

}  // namespace

Result<Walked> walk(KeptRows& shown, KeptRows& derived, const Walk& how) {
  return Walker{shown, derived, how}.run();
}

}  // namespace kimberlite::projection
