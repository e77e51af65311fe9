// What a client remembers of the logs it has seen: the newest head of each, in one text.
//
//   "kimberlite/heads@v1" · empty line
//   · for each log: "tenant " cluster id in hexadecimal " " name · key line · signed head · empty
//     line
//   · SHA-256 of all that stands before, in hexadecimal
//
// Ordered by cluster and name. A log is known by the tenant it is of, so that one with another id
// is seen to have taken its place. The signatures make each head checkable by itself; the hash
// covers what they do not, names, and whole heads that are missing.
//
// Errors: `integrity.head` for a text that is not canonical or does not have its hash,
// `unavailable.version` for a later format. Thread rule: values.
// Source: proofs.md, Consistency; docs/proofs.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "record/signed_head.hpp"

namespace kimberlite::record {

inline constexpr std::size_t known_heads_size_max = std::size_t{16} << 20U;  // bytes

struct KnownHead {
  VerifierKey key;
  SignedHead head;
};

class KnownHeads {
 public:
  [[nodiscard]] static Result<KnownHeads> parse(std::string_view text);
  [[nodiscard]] std::string to_text() const;

  [[nodiscard]] std::size_t size() const { return logs_.size(); }
  // Nothing if this tenant's log was never seen; `integrity.head` unless its key signed its head.
  [[nodiscard]] Result<std::optional<KnownHead>> find(const Id128& cluster,
                                                      std::string_view tenant) const;
  // In the place of what was known of this tenant's log. The head must be of the key's log, the
  // name one of a note (`is_note_name`).
  void put(const Id128& cluster, std::string_view tenant, const KnownHead& known);

 private:
  struct Known {
    VerifierKey key;
    std::string note;
  };
  std::map<std::pair<Id128, std::string>, Known> logs_;
};

}  // namespace kimberlite::record
