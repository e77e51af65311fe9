// Text to scenario: a header of `key: value` lines, then one step a line, matched against the
// patterns of statements.hpp.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "consensus/message.hpp"
#include "scenario_words.hpp"
#include "statements.hpp"

namespace kimberlite::vopr {

std::span<const StatementInfo> statements() {
  static const auto infos = [] {
    std::array<StatementInfo, statement_rows.size()> all;
    std::ranges::transform(statement_rows, all.begin(), &StatementRow::info);
    return all;
  }();
  return infos;
}

const std::vector<std::string_view>& frame_kinds() {
  static const auto names = [] {
    std::vector<std::string_view> all;
    for (const consensus::Payload& payload : std::initializer_list<consensus::Payload>{
             consensus::Prepare{}, consensus::PrepareOk{}, consensus::Heartbeat{},
             consensus::HeartbeatOk{}, consensus::StartViewChange{}, consensus::DoViewChange{},
             consensus::StartView{}, consensus::RequestStartView{}, consensus::RequestPrepares{},
             consensus::Gone{}, consensus::RecoveryAnswer{}, consensus::Hello{}, consensus::Ping{},
             consensus::Pong{}}) {
      all.push_back(consensus::name(payload));
    }
    all.push_back(state_frames);
    all.push_back(record_frames);
    all.push_back(every_frame);
    return all;
  }();
  return names;
}

namespace {

struct Token {
  std::string_view text;
  std::size_t column = 0;  // from 1
};

template <class Range, class One>
bool contains(const Range& range, const One& one) {
  return std::ranges::find(range, one) != std::ranges::end(range);
}

std::vector<Token> tokens_of(std::string_view line) {
  std::vector<Token> all;
  std::size_t at = 0;
  while (true) {
    at = line.find_first_not_of(" \t", at);
    if (at == std::string_view::npos || line[at] == '#') return all;
    const std::size_t end = std::min(line.find_first_of(" \t", at), line.size());
    all.push_back({line.substr(at, end - at), at + 1});
    at = end;
  }
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

std::optional<std::int64_t> number_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "500ms", "+1h".
std::optional<std::int64_t> duration_of(std::string_view text) {
  const std::size_t unit_at = text.find_first_not_of("+-0123456789");
  if (unit_at == std::string_view::npos) return std::nullopt;
  const std::string_view unit = text.substr(unit_at);
  constexpr std::int64_t ms = 1'000'000;
  std::int64_t scale = 0;
  if (unit == "us") scale = 1'000;
  if (unit == "ms") scale = ms;
  if (unit == "s") scale = 1000 * ms;
  if (unit == "min") scale = 60'000 * ms;
  if (unit == "h") scale = 3'600'000 * ms;
  const auto number = number_of(text.substr(0, unit_at));
  constexpr std::int64_t count_max = 1'000'000;
  if (!number || scale == 0 || *number > count_max || *number < -count_max) return std::nullopt;
  return *number * scale;
}

// A name of ours, not a word that could be another slot's.
bool is_name(std::string_view text) {
  return !text.empty() &&
         (std::islower(static_cast<unsigned char>(text[0])) != 0 ||
          std::isupper(static_cast<unsigned char>(text[0])) != 0) &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

// Every code there is, and its class.
bool is_code(std::string_view text) {
  static const auto known = [] {
    std::set<std::string_view, std::less<>> all;
    for (unsigned number = 0x0101; number < 0x1200; ++number) {
      all.insert(name(static_cast<Code>(number)));
    }
    for (unsigned number = 1; number < 0x12; ++number) {
      all.insert(name(static_cast<ErrorClass>(number)));
    }
    all.erase("");
    return all;
  }();
  return known.contains(text);
}

bool is_op(std::string_view text) {
  if (text == "head" || text == "first") return true;
  if (text.starts_with("head-")) text.remove_prefix(5);
  const auto number = number_of(text);
  return number && *number > 0;
}

// What one slot takes: how many tokens, and the argument.
struct Taken {
  std::size_t tokens = 0;
  Argument argument;
};

class Slots {
 public:
  explicit Slots(std::uint8_t replicas) : replicas_(replicas) {}

  // Nothing if the tokens are not of this slot.
  [[nodiscard]] std::optional<Taken> take(std::string_view slot,
                                          std::span<const Token> tokens) const {
    const std::string_view text = tokens.front().text;
    const Taken one{.tokens = 1, .argument = {.text = std::string{text}, .number = 0}};
    const auto if_number = [&](std::optional<std::int64_t> number) -> std::optional<Taken> {
      if (!number) return std::nullopt;
      return Taken{.tokens = 1, .argument = {.text = std::string{text}, .number = *number}};
    };
    const auto if_true = [&](bool fits) { return fits ? std::optional{one} : std::nullopt; };
    if (slot == "replica") return if_number(replica(text));
    if (slot == "who") return text == "all" ? if_number(-1) : if_number(replica(text));
    if (slot == "number" || slot == "value") {
      const auto number = number_of(text);
      return if_number(slot == "number" && number && *number < 0 ? std::nullopt : number);
    }
    if (slot == "duration" || slot == "shift") return duration(tokens, slot == "shift");
    if (slot == "percent" || slot == "rate") {
      const auto number = text.ends_with('%') ? number_of(text.substr(0, text.size() - 1))
                                              : std::optional<std::int64_t>{};
      const std::int64_t least = slot == "rate" ? -99 : 0;
      return if_number(number && *number >= least && *number < 100 ? std::optional{*number * 10'000}
                                                                   : std::nullopt);
    }
    if (slot == "kind") return if_true(contains(frame_kinds(), text));
    if (slot == "call") return if_true(contains(call_words, text));
    if (slot == "file") return if_true(contains(file_words, text));
    if (slot == "state") return if_true(contains(state_words, text));
    if (slot == "op") return if_true(is_op(text));
    if (slot == "relation") return if_true(text == "=" || text == "<" || text == ">");
    if (slot == "code") return if_true(is_code(text));
    if (slot == "answer") {
      const auto number = number_of(text);
      return number ? if_number(number) : if_true(text == "none" || is_code(text));
    }
    if (slot == "sides") return sides(tokens);
    return if_true(is_name(text));
  }

  [[nodiscard]] std::string meaning(std::string_view slot) const {
    if (slot == "replica") return fmt::format("a replica (0 to {})", replicas_ - 1);
    if (slot == "who") return fmt::format("a replica (0 to {}) or all", replicas_ - 1);
    if (slot == "number") return "a number that is not negative";
    if (slot == "value") return "a whole number";
    if (slot == "duration") return "a duration (500 ms; us, ms, s, min, h)";
    if (slot == "shift") return "a duration, forward or back (500 ms, -500 ms)";
    if (slot == "percent") return "a percentage (5%)";
    if (slot == "rate") return "a percentage, fast or slow (5%, -5%)";
    if (slot == "kind") return fmt::format("a kind of frame ({})", fmt::join(frame_kinds(), ", "));
    if (slot == "call") return fmt::format("a call ({})", fmt::join(call_words, ", "));
    if (slot == "file") return fmt::format("a file ({})", fmt::join(file_words, ", "));
    if (slot == "state") return fmt::format("a state ({})", fmt::join(state_words, ", "));
    if (slot == "op") return "an op (a number, first, head or head-1)";
    if (slot == "relation") return "=, < or >";
    if (slot == "code") return "an error code or a class of them (unavailable, integrity.journal)";
    if (slot == "answer") return "a whole number, none or an error code";
    if (slot == "sides") return "every replica on one side (0 | 1 2)";
    return "a name (letters, digits, _)";
  }

 private:
  [[nodiscard]] std::optional<std::int64_t> replica(std::string_view text) const {
    const auto number = number_of(text);
    return number && *number >= 0 && *number < replicas_ ? number : std::nullopt;
  }

  // "500ms" or "500 ms".
  static std::optional<Taken> duration(std::span<const Token> tokens, bool may_be_back) {
    std::string text{tokens.front().text};
    std::size_t count = 1;
    if (number_of(text) && tokens.size() > 1) {
      text += tokens[1].text;
      count = 2;
    }
    const auto ns = duration_of(text);
    if (!ns || (*ns < 0 && !may_be_back)) return std::nullopt;
    return Taken{.tokens = count, .argument = {.text = text, .number = *ns}};
  }

  // All that is left: each replica once, at least two sides.
  [[nodiscard]] std::optional<Taken> sides(std::span<const Token> tokens) const {
    std::set<std::int64_t> seen;
    std::string text;
    bool empty_side = true;
    std::size_t bars = 0;
    for (const Token& token : tokens) {
      text += text.empty() ? "" : " ";
      text += token.text;
      if (token.text == "|") {
        if (std::exchange(empty_side, true)) return std::nullopt;
        ++bars;
        continue;
      }
      const auto number = replica(token.text);
      if (!number || !seen.insert(*number).second) return std::nullopt;
      empty_side = false;
    }
    if (empty_side || bars == 0 || seen.size() != replicas_) return std::nullopt;
    return Taken{.tokens = tokens.size(), .argument = {.text = text, .number = 0}};
  }

  std::uint8_t replicas_;
};

class Parser {
 public:
  Parser(std::string_view text, std::string_view file) : file_(file) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      lines_.push_back(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  Result<Scenario> parse() {
    KIMBERLITE_CHECK(header());
    const Slots slots{scenario_.machines()};
    for (; line_ < lines_.size(); ++line_) {
      const std::vector<Token> tokens = tokens_of(lines_[line_]);
      if (!tokens.empty()) KIMBERLITE_CHECK(step(slots, tokens));
    }
    if (scenario_.steps.empty()) return error(1, "a step");
    return std::move(scenario_);
  }

 private:
  [[nodiscard]] Error error(std::size_t column, std::string_view expected) const {
    return Error{Code::usage_command, "this is no scenario"}
        .where("{}:{}:{}", file_, line_ + 1, column)
        .why("expected {}", expected)
        .next("docs/internals-scenarios.md lists what can be said");
  }

  // Up to and with `steps:`.
  Status header() {
    std::set<std::string, std::less<>> seen;
    for (; line_ < lines_.size(); ++line_) {
      const std::string_view line = lines_[line_];
      if (trimmed(line).empty() || line.starts_with('#')) continue;
      if (trimmed(line) == "steps:") {
        for (const std::string_view wanted : {"name", "story", "about", "replicas", "seed"}) {
          if (!seen.contains(wanted))
            return error(1, fmt::format("`{}:` before the steps", wanted));
        }
        if (!peace_said_) {
          for (std::uint8_t i = 0; i < scenario_.members(); ++i) scenario_.peace.push_back(i);
        }
        ++line_;
        return {};
      }
      const std::size_t colon = line.find(':');
      const std::string_view key = line.substr(0, std::min(colon, line.size()));
      if (colon == std::string_view::npos || !contains(header_words, key)) {
        return error(1, fmt::format("one of {}", fmt::join(header_words, ", ")));
      }
      if (!seen.emplace(key).second) return error(1, fmt::format("`{}:` only once", key));
      std::string value{trimmed(line.substr(colon + 1))};
      while (line_ + 1 < lines_.size() && lines_[line_ + 1].starts_with("  ")) {
        value += ' ';
        value += trimmed(lines_[++line_]);
      }
      KIMBERLITE_CHECK(entry(key, value, colon + 3));
    }
    line_ = lines_.size() == 0 ? 0 : lines_.size() - 1;
    return error(1, "`steps:` and what happens");
  }

  Status entry(std::string_view key, const std::string& value, std::size_t column) {
    if (value.empty()) return error(column, "something behind the colon");
    const auto number = number_of(value);
    if (key == "name") {
      scenario_.name = value;
    } else if (key == "story") {
      scenario_.story = value;
    } else if (key == "about") {
      for (std::size_t at = 0; at <= value.size();) {
        const std::size_t end = std::min(value.find(',', at), value.size());
        scenario_.about.emplace_back(trimmed(std::string_view{value}.substr(at, end - at)));
        at = end + 1;
      }
    } else if (key == "replicas") {
      if (!number || (*number != 3 && *number != 5)) return error(column, "3 or 5");
      scenario_.replicas = static_cast<std::uint8_t>(*number);
    } else if (key == "standbys") {
      if (!number || *number < 1 || *number > 6) return error(column, "1 to 6");
      scenario_.standbys = static_cast<std::uint8_t>(*number);
    } else if (key == "spares") {
      if (!number || *number < 1 || *number > 3) return error(column, "1 to 3");
      scenario_.spares = static_cast<std::uint8_t>(*number);
    } else if (key == "seed" || key == "checkpoint") {
      if (!number || *number < 1) return error(column, "a number from 1");
      (key == "seed" ? scenario_.seed : scenario_.checkpoint_commands) =
          static_cast<std::uint64_t>(*number);
    } else if (key == "ring") {
      const bool mib = value.ends_with(" MiB");
      const auto size = mib ? number_of(std::string_view{value}.substr(0, value.size() - 4))
                            : std::optional<std::int64_t>{};
      if (!size || *size < 64 || *size > 1024) return error(column, "64 MiB to 1024 MiB");
      scenario_.ring_size = static_cast<std::uint64_t>(*size) << 20;
    } else {
      peace_said_ = true;
      if (value == "none") return {};
      const Slots slots{scenario_.machines()};
      for (const Token& token : tokens_of(value)) {
        const auto replica = slots.take("replica", {&token, 1});
        if (!replica)
          return error(column + token.column - 1, "none, or " + slots.meaning("replica"));
        const auto member = static_cast<std::uint8_t>(replica->argument.number);
        if (contains(scenario_.peace, member)) {
          return error(column + token.column - 1, "each replica once");
        }
        scenario_.peace.push_back(member);
      }
    }
    return {};
  }

  // Tries every pattern; what the furthest of them wanted is what was expected.
  Status step(const Slots& slots, std::span<const Token> tokens) {
    ScenarioStep made{.line = line_ + 1, .text = std::string{trimmed(lines_[line_])}};
    if (tokens.front().text == "in" && tokens.size() > 1) {
      const auto later = slots.take("duration", tokens.subspan(1));
      if (!later) return error(tokens[1].column, slots.meaning("duration"));
      made.later_ns = static_cast<std::uint64_t>(later->argument.number);
      tokens = tokens.subspan(1 + later->tokens);
      if (tokens.empty()) return error(lines_[line_].size() + 1, "what happens then");
    }
    std::size_t furthest = 0;
    std::vector<std::string> expected;
    for (std::size_t i = 0; i < statement_rows.size(); ++i) {
      std::vector<Argument> arguments;
      const auto [at, wanted] = match(statement_rows[i].info.pattern, slots, tokens, arguments);
      if (wanted.empty()) {
        if (made.later_ns > 0 && !may_be_later(static_cast<Verb>(i))) {
          return error(tokens.front().column, "a fault: clients and waiting are not for later");
        }
        made.statement = i;
        made.arguments = std::move(arguments);
        scenario_.steps.push_back(std::move(made));
        return {};
      }
      if (at < furthest) continue;
      if (at > furthest) expected.clear();
      furthest = at;
      if (!contains(expected, wanted)) expected.push_back(wanted);
    }
    const std::size_t column = furthest < tokens.size()
                                   ? tokens[furthest].column
                                   : tokens.back().column + tokens.back().text.size();
    return error(column, fmt::format("{}", fmt::join(expected, ", or ")));
  }

  // How many tokens fit, and what was wanted instead of the next one; nothing if all fits.
  static std::pair<std::size_t, std::string> match(std::string_view pattern, const Slots& slots,
                                                   std::span<const Token> tokens,
                                                   std::vector<Argument>& arguments) {
    std::size_t at = 0;
    for (const Token& word : tokens_of(pattern)) {
      const bool is_slot = word.text.starts_with('<') && word.text.size() > 1;
      const std::string_view slot = is_slot ? word.text.substr(1, word.text.size() - 2) : "";
      if (is_slot) {
        std::optional<Taken> taken;
        if (at < tokens.size()) taken = slots.take(slot, tokens.subspan(at));
        if (!taken) return {at, slots.meaning(slot)};
        at += taken->tokens;
        arguments.push_back(std::move(taken->argument));
      } else {
        if (at >= tokens.size() || tokens[at].text != word.text) {
          return {at, fmt::format("`{}`", word.text)};
        }
        ++at;
      }
    }
    return {at, at == tokens.size() ? "" : "the end of the line"};
  }

  std::string_view file_;
  std::vector<std::string_view> lines_;
  std::size_t line_ = 0;
  Scenario scenario_;
  bool peace_said_ = false;
};

}  // namespace

Result<Scenario> parse_scenario(std::string_view text, std::string_view file) {
  return Parser{text, file}.parse();
}

}  // namespace kimberlite::vopr
