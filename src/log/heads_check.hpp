// The heads a log signed, held against its records as `verify` passes them.
//
// Thread rule: one thread. The storage outlives it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "env/env.hpp"
#include "log/head_file.hpp"
#include "log/verify.hpp"
#include "segment_reader.hpp"

namespace kimberlite::log {

class HeadsCheck {
 public:
  using Found = std::function<void(Finding)>;
  // `pinned` may be null. `bytes`: how many are looked at, and must be there.
  HeadsCheck(env::Storage& storage, const std::string& directory, const record::VerifierKey* pinned,
             std::optional<std::uint64_t> bytes, Found found);

  // The head after each record; `rooted`: its frontier is known.
  void pass(const record::Head& head, const Id128& log_id, bool rooted);
  // The log ends at `head`; whatever was signed for a larger tree is not there any more.
  void finish(const record::Head& head, VerifyReport& report);

 private:
  struct Next {
    std::uint64_t at = 0;  // byte in the file
    StoredHead head;
  };
  void load();
  void check(const Next& next, const std::optional<StoredHead>& before);
  void add(Code code, std::uint64_t at, std::uint64_t size, std::string what,
           std::string expected = "", std::string found = "");

  std::string path_;
  const record::VerifierKey* pinned_;
  bool end_known_;
  Found found_;
  std::unique_ptr<env::File> file_;
  std::optional<SegmentReader> reader_;
  std::optional<Next> next_;
  std::optional<StoredHead> newest_;  // of those loaded
  std::uint64_t heads_ = 0;
  std::uint64_t pinned_heads_ = 0;
  std::uint64_t tail_bytes_ = 0;
};

}  // namespace kimberlite::log
