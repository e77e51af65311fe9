// Seeded bugs: places where a test build can break a rule on purpose, so that the tests that ought
// to notice are seen to. One at a time; each says beside it what breaks.
//
// In every build without -DKIMBERLITE_CANARIES `is_planted` is constant and false: nothing of it is
// in the program. Thread rule: the test sets `planted` before it starts anything.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kimberlite {

enum class Canary : std::uint8_t {
  none,
  skip_sync,                // a prepare counts as on disk when its write starts
  wrong_quorum,             // one acknowledgement too few commits
  forget_fault_bit,         // what was here once, and is lost, is nacked
  lose_nack,                // one nack alone truncates
  skip_body_hash,           // a body in a message may be another than its header's
  skip_read_hash,           // a prepare read back may be another than the one written
  send_before_durable,      // a view is spoken of before it is on disk
  stale_read,               // a primary reads without asking whether it still is one
  commit_before_canonical,  // what is here is committed, whether it is the view's or not
  log_view_of_head,         // log_view is taken to be the view of the newest prepare
  adopt_without_headers,    // log_view goes to disk before the headers of its log
  regress_view,             // a start-view of an older view is taken
  truncate_at_break,        // a prepare that does not fit makes known headers forgotten
  reuse_acknowledgements,   // an acknowledgement counts in every later view too
  any_nonce,                // a lost head is taken from an answer to anyone
  keep_superseded,          // frames the adopted log gave up count again after an open
  lower_view_wins,          // of two frames of one operation the older view's is taken
  take_old_prepare,         // a prepare of an older view is taken and acknowledged
  count_old_vote,           // a do-view-change of an older view counts
  vote_once,                // a vote that was lost is not said again
  truncate_before_sync,     // the log is cut to the commit when a state is asked for
  lower_commit,             // a start-view sets the commit, whatever was committed
  leave_on_vote,            // whoever votes leaves his view
  take_older_life,         // what a member said in an earlier life counts as if it were of this one
  ignore_other_life,       // a member that is told of a later life of it goes on
  recover_from_one,        // a lost disk is made up for by the first primary that answers
  forget_lives_of_others,  // a lost disk's knowledge of the others' lives is not had again
  speak_unconfirmed,       // a life counts before the others said that they know of no later one
};

inline constexpr std::array<std::string_view, 29> canary_names{"none",
                                                               "skip_sync",
                                                               "wrong_quorum",
                                                               "forget_fault_bit",
                                                               "lose_nack",
                                                               "skip_body_hash",
                                                               "skip_read_hash",
                                                               "send_before_durable",
                                                               "stale_read",
                                                               "commit_before_canonical",
                                                               "log_view_of_head",
                                                               "adopt_without_headers",
                                                               "regress_view",
                                                               "truncate_at_break",
                                                               "reuse_acknowledgements",
                                                               "any_nonce",
                                                               "keep_superseded",
                                                               "lower_view_wins",
                                                               "take_old_prepare",
                                                               "count_old_vote",
                                                               "vote_once",
                                                               "truncate_before_sync",
                                                               "lower_commit",
                                                               "leave_on_vote",
                                                               "take_older_life",
                                                               "ignore_other_life",
                                                               "recover_from_one",
                                                               "forget_lives_of_others",
                                                               "speak_unconfirmed"};
static_assert(canary_names.size() == static_cast<std::size_t>(Canary::speak_unconfirmed) + 1);

[[nodiscard]] constexpr std::string_view name(Canary canary) {
  return canary_names[static_cast<std::size_t>(canary)];
}

#ifdef KIMBERLITE_CANARIES
inline Canary planted = Canary::none;
[[nodiscard]] inline bool is_planted(Canary canary) { return planted == canary; }
#else
[[nodiscard]] constexpr bool is_planted(Canary) { return false; }
#endif

}  // namespace kimberlite
