// The recovery table: what a frame found in the ring, or missing from it, means. Core subset:
// proved by ESBMC as shipped.
//
// A replica that opens walks its ring from the checkpoint. The superblock says in which view the
// log was last adopted (`log_view`) and which operation was its head then (`adopted`). What was
// beyond that head and of an older view was judged at that open and never counts again, however
// readable it becomes.
//
// Source: design, storage.md "Journal", consensus.md rules 1, 4, 8 and 11.
#pragma once

#include <stdint.h>

namespace kimberlite::consensus::core {

// What the superblock knows.
struct Adopted {
  uint64_t view = 0;      // no prepare of a higher view ever left this replica
  uint64_t log_view = 0;  // <= view; or a later one from which words count
  uint64_t op = 0;        // head of the log when log_view was adopted; at least the checkpoint's
};

enum class Standing : uint8_t {
  counts = 0,      // may be the next operation of the log
  superseded = 1,  // beyond the adopted head and older than it: dropped for good
  impossible = 2,  // of a view this superblock never had: the superblock is older than the journal
};

constexpr Standing standing(Adopted adopted, uint64_t view, uint64_t op) noexcept {
  if (view > adopted.view) return Standing::impossible;
  if (op > adopted.op && view < adopted.log_view) return Standing::superseded;
  return Standing::counts;
}

// True if what a frame or mark of `view` says was durable still binds: an older view's word was
// judged when log_view was adopted.
constexpr bool word_binds(Adopted adopted, uint64_t view) noexcept {
  return view >= adopted.log_view && view <= adopted.view;
}

enum class Branch : uint8_t { none = 0, first = 1, second = 2, equivocation = 3 };

// Of two frames that both chain to the same operation, the higher view wins; two of one view mean
// that one primary issued two different prepares.
constexpr Branch choose(bool first, uint64_t first_view, bool second,
                        uint64_t second_view) noexcept {
  if (!first && !second) return Branch::none;
  if (!second) return Branch::first;
  if (!first) return Branch::second;
  if (first_view == second_view) return Branch::equivocation;
  return first_view > second_view ? Branch::first : Branch::second;
}

enum class Verdict : uint8_t {
  keep = 0,  // there: part of the log
  lost = 1,  // it was durable once and is not there now: fetch it from a peer, never nack it
  torn = 2,  // nothing says it ever was durable: the log ends before it
};

constexpr Verdict judge(bool there, uint64_t op, uint64_t durable_seen) noexcept {
  if (there) return Verdict::keep;
  return op <= durable_seen ? Verdict::lost : Verdict::torn;
}

}  // namespace kimberlite::consensus::core
