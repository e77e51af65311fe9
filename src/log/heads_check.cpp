#include "heads_check.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "record/signed_head.hpp"

namespace kimberlite::log {

HeadsCheck::HeadsCheck(env::Storage& storage, const std::string& directory,
                       const record::VerifierKey* pinned, std::optional<std::uint64_t> bytes,
                       Found found)
    : path_(fmt::format("{}/{}", directory, heads_name)),
      pinned_(pinned),
      end_known_(bytes.has_value()),
      found_(std::move(found)) {
  if (bytes == 0) return;
  auto file = storage.open(path_, env::Open::read);
  if (!file) {
    const Code code = file.error().code();
    const bool missing = code == Code::not_found_file || code == Code::not_found_directory;
    if (!missing || end_known_) {
      add(missing ? Code::integrity_missing_file : code, 0, 0, file.error().what());
    }
    return;  // else a log that has signed nothing
  }
  const auto size = (*file)->size();
  if (!size) {
    add(size.error().code(), 0, 0, size.error().what());
    return;
  }
  file_ = *std::move(file);
  if (bytes && *size < *bytes) {
    add(Code::integrity_missing_file, *size, 0, "signed heads are missing at the end",
        fmt::format("{} bytes", *bytes), fmt::format("{} bytes", *size));
  }
  reader_.emplace(*file_, 0, std::min(*size, bytes.value_or(*size)));
  load();
}

void HeadsCheck::add(Code code, std::uint64_t at, std::uint64_t size, std::string what,
                     std::string expected, std::string found) {
  found_({code, path_, at, Position{size}, std::move(what), std::move(expected), std::move(found)});
}

// The next record that can be read; those that cannot are findings.
void HeadsCheck::load() {
  next_.reset();
  while (reader_ && reader_->left() > 0) {
    const std::uint64_t at = reader_->at();
    const auto bytes = reader_->peek(head_record_size);
    if (!bytes) {
      add(bytes.error().code(), at, 0, bytes.error().what());
      reader_.reset();
      return;
    }
    // What a crash leaves of an append; nobody was given a signature of it. The end alone, for the
    // writer goes on there.
    if (bytes->size() < head_record_size ||
        (!end_known_ && all_zero(*bytes) && reader_->left() <= head_record_size)) {
      tail_bytes_ += bytes->size();
      reader_->skip(bytes->size());
      continue;
    }
    const auto head = decode_head_record(bytes->first<head_record_size>());
    reader_->skip(head_record_size);
    if (!head) {
      add(head.error().code(), at, 0,
          fmt::format("{}: {}", head.error().what(), head.error().why()));
      continue;
    }
    next_ = Next{at, *head};
    check(*next_, newest_);
    newest_ = *head;
    return;
  }
}

// Of itself, and against the one before.
void HeadsCheck::check(const Next& next, const std::optional<StoredHead>& before) {
  const StoredHead& head = next.head;
  ++heads_;
  if (!head.signature_holds()) {
    add(Code::integrity_signature, next.at + 104, head.tree.size, "the signature of a stored head");
  }
  const bool of_pinned = pinned_ != nullptr && pinned_->name == record::origin_of(head.log_id);
  if (of_pinned && head.key != pinned_->key) {
    add(Code::integrity_signature, next.at + 72, head.tree.size,
        "the key a head is signed by, against the one given", to_hex(pinned_->key),
        to_hex(head.key));
  } else if (of_pinned) {
    ++pinned_heads_;
  }
  if (!before || before->log_id != head.log_id) return;
  if (before->key != head.key) {
    add(Code::integrity_signature, next.at + 72, head.tree.size,
        "the key a head is signed by, against the head before it", to_hex(before->key),
        to_hex(head.key));
  }
  if (before->tree.size >= head.tree.size) {
    add(Code::integrity_head, next.at + 24, head.tree.size,
        "the size of a signed head, against the one before it",
        fmt::format("more than {}", before->tree.size), fmt::format("{}", head.tree.size));
  }
}

void HeadsCheck::pass(const record::Head& head, const Id128& log_id, bool rooted) {
  while (next_ && next_->head.tree.size <= head.position.value()) {
    const StoredHead& stored = next_->head;
    if (stored.tree.size == head.position.value()) {
      if (stored.log_id != log_id) {
        add(Code::integrity_foreign_file, next_->at + 8, stored.tree.size,
            "the log id of a signed head", to_hex(log_id), to_hex(stored.log_id));
      } else if (rooted && stored.tree.root != head.frontier.root()) {
        add(Code::integrity_consistency, next_->at + 32, stored.tree.size,
            "the records give another root than the one that was signed", to_hex(stored.tree.root),
            to_hex(head.frontier.root()));
      }
    }
    load();
  }
}

void HeadsCheck::finish(const record::Head& head, VerifyReport& report) {
  while (next_) {
    add(Code::integrity_rollback, next_->at + 24, next_->head.tree.size,
        "the log has fewer records than a head it signed", fmt::format("{}", next_->head.tree.size),
        fmt::format("{}", head.position.value()));
    load();
  }
  report.heads = heads_;
  report.heads_pinned = pinned_heads_;
  report.newest_head = newest_;
  if (tail_bytes_ > 0) report.heads_tail_bytes = tail_bytes_;
}

}  // namespace kimberlite::log
