#include "record/known_heads.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "crypto/sha256.hpp"
#include "proof_text.hpp"

namespace kimberlite::record {
namespace {

constexpr std::string_view format_name = "kimberlite/heads@";
constexpr std::string_view format_version = "v1";
constexpr std::string_view tenant_word = "tenant ";
constexpr std::size_t hash_line_size = 2 * sizeof(Hash) + 1;

Error not_whole(std::string_view why) {
  return Error{Code::integrity_head, "the remembered heads are not what was written"}.why("{}",
                                                                                          why);
}

std::string hash_line(std::string_view text) {
  return to_hex(crypto::sha256(bytes_of(text))) + "\n";
}

// "tenant <cluster id> <name>"
std::optional<std::pair<Id128, std::string>> parse_tenant(std::string_view line) {
  constexpr std::size_t digits = 2 * sizeof(Id128);
  if (!line.starts_with(tenant_word)) return std::nullopt;
  line.remove_prefix(tenant_word.size());
  if (line.size() <= digits || line[digits] != ' ') return std::nullopt;
  const std::string_view hex = line.substr(0, digits);
  const std::string_view name = line.substr(digits + 1);
  const auto bytes = from_hex(hex);
  if (!bytes || to_hex(*bytes) != hex || !is_note_name(name)) return std::nullopt;
  Id128 cluster;
  std::ranges::copy(*bytes, cluster.begin());
  return std::pair{cluster, std::string{name}};
}

// Takes a signed head and the empty line behind it off `text`: two empty lines end it.
std::optional<std::string_view> take_note(std::string_view& text) {
  const std::size_t gap = text.find("\n\n");
  const std::size_t end = gap == std::string_view::npos ? gap : text.find("\n\n", gap + 2);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view note = text.substr(0, end + 1);
  text.remove_prefix(end + 2);
  return note;
}

}  // namespace

Result<KnownHeads> KnownHeads::parse(std::string_view text) {
  if (text.size() > known_heads_size_max) return not_whole("it is larger than it may be");
  if (!text.starts_with(format_name)) return not_whole("its first line is not kimberlite/heads@v1");
  std::string_view rest = text;
  const auto first = take_line(rest);
  if (!first) return not_whole("its first line does not end");
  if (first->substr(format_name.size()) != format_version) {
    return Error{Code::unavailable_version, "the remembered heads have a later format"}.next(
        "use the version of kimberlite that wrote them");
  }
  if (text.size() < first->size() + 2 + hash_line_size) return not_whole("its end is missing");
  const std::string_view covered = text.substr(0, text.size() - hash_line_size);
  if (hash_line(covered) != text.substr(covered.size())) {
    return not_whole("the hash in its last line is not that of what stands before it");
  }
  rest = covered.substr(first->size() + 1);
  if (take_line(rest) != "") return not_whole("its second line is not empty");
  KnownHeads known;
  while (!rest.empty()) {  // a log each time
    const auto tenant_line = take_line(rest);
    const auto key_line = take_line(rest);
    const auto note = take_note(rest);
    auto tenant = tenant_line ? parse_tenant(*tenant_line) : std::nullopt;
    if (!tenant || !key_line || !note) return not_whole("a log in it is not in its form");
    auto key = VerifierKey::parse(*key_line);
    if (!key) return not_whole("a key line in it is none");
    if (!known.logs_.empty() && *tenant <= known.logs_.rbegin()->first) {
      return not_whole("its logs are not in order");
    }
    known.logs_.emplace(*std::move(tenant), Known{*std::move(key), std::string{*note}});
  }
  return known;
}

std::string KnownHeads::to_text() const {
  std::string text = fmt::format("{}{}\n\n", format_name, format_version);
  for (const auto& [tenant, known] : logs_) {
    text += fmt::format("{}{} {}\n{}\n{}\n", tenant_word, to_hex(tenant.first), tenant.second,
                        known.key.to_text(), known.note);
  }
  return text + hash_line(text);
}

Result<std::optional<KnownHead>> KnownHeads::find(const Id128& cluster,
                                                  std::string_view tenant) const {
  const auto found = logs_.find({cluster, std::string{tenant}});
  if (found == logs_.end()) return std::optional<KnownHead>{};
  auto head = check_head(found->second.note, found->second.key);
  if (!head) return not_whole(to_string(head.error()));
  return std::optional{KnownHead{.key = found->second.key, .head = *std::move(head)}};
}

void KnownHeads::put(const Id128& cluster, std::string_view tenant, const KnownHead& known) {
  KIMBERLITE_ASSERT(is_note_name(tenant) && known.head.tree().origin == known.key.name);
  logs_.insert_or_assign({cluster, std::string{tenant}},
                         Known{known.key, known.head.note().to_text()});
}

}  // namespace kimberlite::record
