#include "anchors_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "record/signed_head.hpp"
#include "segment_reader.hpp"

namespace kimberlite::log {
namespace {

// An anchor without its evidence: what is kept of each while the heads pass.
struct Waiting {
  Id128 log_id{};
  std::uint64_t size = 0;
  std::uint64_t at = 0;      // byte in the file
  std::uint64_t length = 0;  // of its record
  bool met = false;          // its head was there

  [[nodiscard]] auto head() const { return std::tie(log_id, size); }
};

class AnchorsCheck {
 public:
  AnchorsCheck(std::string path, const std::optional<VerifyOptions::ProofBytes>& bytes,
               const std::function<void(Finding)>& found, VerifyReport& report)
      : path_(std::move(path)), bytes_(bytes), found_(found), report_(report) {}

  Status run(env::Storage& storage, const std::string& heads_path) {
    KIMBERLITE_TRY(const auto file, storage.open(path_, env::Open::read));
    file_ = file.get();
    KIMBERLITE_TRY(std::uint64_t size, file->size());
    if (bytes_) size = std::min(size, bytes_->anchors);
    KIMBERLITE_TRY(
        const AnchorScan scan,
        scan_anchors(
            *file_, size, [&](std::uint64_t at, const Anchor& anchor) { take(at, anchor); },
            [&](std::uint64_t at, const Error& error) { add(error, at); }));
    report_.anchors_tail_bytes = scan.tail_bytes;
    if (bytes_ && scan.end < bytes_->anchors) {
      found_({Code::integrity_missing_file, path_, scan.end, Position{},
              "anchors are missing at the end", fmt::format("{} bytes", bytes_->anchors),
              fmt::format("{} bytes", scan.end)});
    }
    std::ranges::sort(waiting_, {}, &Waiting::head);
    KIMBERLITE_CHECK(pass_heads(storage, heads_path));
    for (const Waiting& anchor : waiting_) {
      if (anchor.met) continue;
      add(Error{Code::integrity_anchor, "an anchor of a head that this log has not signed"}.why(
              "of size {}", anchor.size),
          anchor.at + 24);
    }
    return {};
  }

 private:
  // Of no record: what is amiss here, no journal makes again.
  void add(const Error& error, std::uint64_t at) {
    found_({error.code(), path_, at, Position{},
            error.why().empty() ? error.what() : fmt::format("{}: {}", error.what(), error.why()),
            "", ""});
  }

  void take(std::uint64_t at, const Anchor& anchor) {
    ++report_.anchors;
    waiting_.push_back({anchor.log_id, anchor.tree.size, at, encode(anchor).size()});
    if (!report_.newest_anchor || report_.newest_anchor->time() <= anchor.time()) {
      report_.newest_anchor = anchor;
    }
  }

  Status pass_heads(env::Storage& storage, const std::string& heads_path) {
    const auto heads = storage.open(heads_path, env::Open::read);
    if (!heads) return {};  // no head, so no anchor is of one
    KIMBERLITE_TRY(std::uint64_t size, (*heads)->size());
    if (bytes_) size = std::min(size, bytes_->heads);
    SegmentReader reader{**heads, 0, size};
    while (reader.left() >= head_record_size) {
      KIMBERLITE_TRY(const Bytes bytes, reader.peek(head_record_size));
      const auto head = decode_head_record(bytes.first<head_record_size>());
      reader.skip(head_record_size);
      if (head) KIMBERLITE_CHECK(pass(*head));
    }
    return {};
  }

  Status pass(const StoredHead& head) {
    const Waiting wanted{.log_id = head.log_id, .size = head.tree.size};
    const auto [begin, end] = std::ranges::equal_range(waiting_, wanted.head(), {}, &Waiting::head);
    for (auto each = begin; each != end; ++each) {
      each->met = true;
      Buffer record(each->length);
      KIMBERLITE_TRY(const std::size_t got, file_->read_at(each->at, record));
      const auto anchor = decode_anchor(Bytes{record}.first(got));
      const Status holds = anchor ? check_evidence(*anchor, head) : Status{anchor.error()};
      if (!holds) add(holds.error(), each->at);
    }
    return {};
  }

  std::string path_;
  const std::optional<VerifyOptions::ProofBytes>& bytes_;
  const std::function<void(Finding)>& found_;
  VerifyReport& report_;
  env::File* file_ = nullptr;
  std::vector<Waiting> waiting_;  // by head, once all were taken
};

}  // namespace

void check_anchors(env::Storage& storage, const std::string& directory,
                   const std::optional<VerifyOptions::ProofBytes>& bytes,
                   const std::function<void(Finding)>& found, VerifyReport& report) {
  if (bytes && bytes->anchors == 0) return;
  const std::string path = fmt::format("{}/{}", directory, anchors_name);
  const Status done = AnchorsCheck{path, bytes, found, report}.run(
      storage, fmt::format("{}/{}", directory, heads_name));
  if (done) return;
  const Code code = done.error().code();
  const bool missing = code == Code::not_found_file || code == Code::not_found_directory;
  if (missing && !bytes) return;  // a log that was never anchored
  found({missing ? Code::integrity_missing_file : code, path, 0, Position{}, done.error().what(),
         "", ""});
}

}  // namespace kimberlite::log
