// The text of a backup.
#include <fmt/format.h>

#include <charconv>
#include <span>

#include "base/codec.hpp"
#include "crypto/blake3.hpp"
#include "engine/backup.hpp"
#include "log/segment.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::string_view first_line = "kimberlite/backup@v1";
constexpr std::string_view checksum_word = "checksum ";

Error no_backup(std::string_view why) {
  return Error{Code::integrity_backup, "the text of a backup is damaged, or is none"}.why("{}",
                                                                                          why);
}

// What stands before the next `end`, which is taken too.
std::optional<std::string_view> take(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at + 1);
  return taken;
}

// The rest of a line that begins with `word`.
std::optional<std::string_view> take_after(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return std::nullopt;
  text.remove_prefix(word.size());
  return take(text, '\n');
}

template <class Number>
bool read_number(std::optional<std::string_view> text, Number& into) {
  if (!text) return false;
  const std::span<const char> digits{*text};
  const char* const end = digits.data() + digits.size();
  const auto [at, failed] = std::from_chars(digits.data(), end, into);
  return failed == std::errc{} && at == end;
}

template <std::size_t Size>
bool read_hex(std::optional<std::string_view> text, std::array<std::byte, Size>& into) {
  if (!text) return false;
  const std::optional<Buffer> bytes = from_hex(*text);
  if (!bytes || bytes->size() != Size) return false;
  copy_bytes(into, *bytes);
  return true;
}

bool read_log(std::string_view line, BackupLog& log) {
  std::uint64_t tenant = 0;
  if (!read_number(take(line, ' '), tenant) || !read_number(take(line, ' '), log.lane))
    return false;
  log.tenant = TenantId{tenant};
  if (!read_hex(take(line, ' '), log.log_id) || !read_number(take(line, ' '), log.epoch))
    return false;
  if (!read_number(take(line, ' '), log.heads) || !read_number(take(line, ' '), log.anchors))
    return false;
  const std::optional<Buffer> head = from_base64(line);
  if (!head) return false;
  Reader from{*head};
  log.head = record::decode_head(from);
  return from.finished() && log.head.position.value() > 0 && log.lane < log::lane_count;
}

}  // namespace

std::string BackupText::to_text() const {
  std::string text = fmt::format("{}\ncluster {}\nop {}\ntimestamp {}\nstate {}\n", first_line,
                                 to_hex(cluster), op.value(), timestamp.value(), to_hex(state));
  for (const BackupLog& log : logs) {
    Writer head;
    record::encode(head, log.head);
    text +=
        fmt::format("log {} {} {} {} {} {} {}\n", log.tenant.value(), log.lane, to_hex(log.log_id),
                    log.epoch, log.heads, log.anchors, to_base64(head.buffer()));
  }
  text += fmt::format("{}{}\n", checksum_word, to_hex(crypto::blake3(bytes_of(text))));
  return text;
}

Result<BackupText> BackupText::parse(std::string_view text) {
  const std::string_view whole = text;
  BackupText backup;
  if (take(text, '\n') != first_line) return no_backup("its first line is another");
  std::uint64_t op = 0;
  std::uint64_t timestamp = 0;
  if (!read_hex(take_after(text, "cluster "), backup.cluster) ||
      !read_number(take_after(text, "op "), op) ||
      !read_number(take_after(text, "timestamp "), timestamp) ||
      !read_hex(take_after(text, "state "), backup.state)) {
    return no_backup("its lines are not cluster, op, timestamp and state");
  }
  backup.op = OpNumber{op};
  backup.timestamp = TimestampUs{timestamp};
  while (const auto line = take_after(text, "log ")) {
    if (!read_log(*line, backup.logs.emplace_back()))
      return no_backup("a log in it cannot be read");
  }
  // Canonical: nothing but what it would be written as.
  if (backup.to_text() != whole) return no_backup("its checksum does not hold");
  return backup;
}

}  // namespace kimberlite::engine
