// The heads a log has signed and what became of each elsewhere, as its files `heads` and `anchors`
// say: what `__heads` shows. Nothing of it is held against the log; `verify` does that.
//
// Thread rule: one thread at a time; who opens it sees to it that nothing is appended meanwhile.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "log/anchor_file.hpp"
#include "log/head_file.hpp"
#include "projection/log_source.hpp"

namespace kimberlite::engine {

class HeadList final : public projection::LogHeads {
 public:
  [[nodiscard]] static Result<HeadList> open(env::Storage& storage, log::LogName name);

  [[nodiscard]] std::uint64_t count() const override { return file_.count(); }
  [[nodiscard]] Result<projection::LogHead> read(std::uint64_t index) override;

 private:
  explicit HeadList(log::HeadFile file) : file_(std::move(file)) {}
  void take(const log::Anchor& anchor);

  struct Elsewhere {
    std::uint64_t anchors = 0;
    TimestampUs last;
    std::map<std::string, std::string> witnesses;  // by name, the signature line given last
  };
  log::HeadFile file_;
  std::map<std::pair<Id128, std::uint64_t>, Elsewhere> anchored_;  // by log id and size
};

}  // namespace kimberlite::engine
