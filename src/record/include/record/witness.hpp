// What a log sends to a witness, and what it makes of the answer.
//
//   request = "old " size of the tree the witness cosigned last, or 0 · one hash of the consistency
//             proof a line, in base64 · empty line · the head, a signed note
//   answer  = signature lines, of which those under other keys are ignored
//
// Errors: `integrity.anchor` for texts that are none, `integrity.signature` if the witness's key
// did not sign the head, `usage.key` for a key that is not a witness's. Thread rule: values.
// Source: C2SP tlog-witness, add-checkpoint; tlog-cosignature.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/signed_note.hpp"

namespace kimberlite::record {

// A witness need not take more (tlog-witness): a tree of 2^63 leaves needs no more.
inline constexpr std::size_t witness_path_max = 63;

struct WitnessRequest {
  std::uint64_t old_size = 0;
  std::vector<Hash> path;  // RFC 6962 §2.1.2; empty if old_size is 0 or the head's
  std::string head;        // a note

  // Does not look into the head.
  [[nodiscard]] static Result<WitnessRequest> parse(std::string_view text);
  [[nodiscard]] std::string to_text() const;
};

struct Cosignature {
  std::string line;           // of the witness, with its newline
  std::uint64_t seconds = 0;  // since 1970, by the witness's clock
};
// The cosignature of `witness` among the lines of `answer`, checked for that head.
[[nodiscard]] Result<Cosignature> find_cosignature(std::string_view head, std::string_view answer,
                                                   const VerifierKey& witness);

}  // namespace kimberlite::record
