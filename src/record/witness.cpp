#include "record/witness.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "proof_text.hpp"

namespace kimberlite::record {
namespace {

constexpr std::string_view old_word = "old ";
// Of the time a cosignature may name, so that it is a number of microseconds too.
constexpr std::uint64_t seconds_max = (1ULL << 63U) / 1'000'000 - 1;

Error no_exchange(std::string_view why) {
  return Error{Code::integrity_anchor, "this is not what a log and a witness say to each other"}
      .why("{}", why);
}

}  // namespace

std::string WitnessRequest::to_text() const {
  KIMBERLITE_ASSERT(path.size() <= witness_path_max);
  std::string text = fmt::format("{}{}\n", old_word, old_size);
  append_path(text, path);
  text += '\n';
  text += head;
  return text;
}

Result<WitnessRequest> WitnessRequest::parse(std::string_view text) {
  if (text.size() > 2 * note_size_max) return no_exchange("it is larger than a request may be");
  const auto line = take_line(text);
  if (!line || !line->starts_with(old_word)) return no_exchange("its first line is no old size");
  const auto size = parse_decimal(line->substr(old_word.size()));
  if (!size) return no_exchange("its first line is no old size");
  auto path = take_path(text);
  if (!path || path->size() > witness_path_max) {
    return no_exchange("its lines up to the first empty one are not hashes in base64");
  }
  return WitnessRequest{.old_size = *size, .path = *std::move(path), .head = std::string{text}};
}

Result<Cosignature> find_cosignature(std::string_view head, std::string_view answer,
                                     const VerifierKey& witness) {
  if (witness.type != NoteKeyType::cosignature) {
    return Error{Code::usage_key, "this is the key of a log, not of a witness"}.next(
        "give the key line that the witness publishes");
  }
  if (answer.size() > note_size_max) return no_exchange("the answer is too large");
  KIMBERLITE_TRY(const SignedNote ours, SignedNote::parse(head));
  // Its lines behind an empty one make it a note of its own, with the head's text.
  auto signatures = SignedNote::parse(fmt::format("{}\n{}", ours.text, answer));
  if (!signatures) return no_exchange("the answer is not signature lines");
  std::erase_if(signatures->signatures, [&](const NoteSignature& each) {
    return each.name != witness.name || each.key_id != witness.id();
  });
  KIMBERLITE_TRY(const std::uint64_t seconds, check_cosignature(*signatures, witness));
  if (seconds > seconds_max) return no_exchange("the time it was cosigned at is none");
  const std::string note = signatures->to_text();
  return Cosignature{.line = note.substr(ours.text.size() + 1), .seconds = seconds};
}

}  // namespace kimberlite::record
