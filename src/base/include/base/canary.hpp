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
  wait_for_more,           // a new primary waits for a commit of its own, which nobody may propose
  ignore_sync,             // a state that is to be taken from a peer is never asked for
  skip_segment_sync,       // a checkpoint names segments and files that are not synced
  keep_answered,           // a batch that was answered is kept as if it were under way
  forget_session,          // who follows applies a command without its session now and then
  skip_base_check,         // a command made for another state of its tenant is applied
  count_apart,             // now and then the bytes sealed under a key are not counted
  forget_request,          // an append that was done under its request id is not known
  forget_outcome,          // a request asked again is answered with no rows
  skip_expected,           // an append is taken at any sequence
  lose_change,             // the last of many row changes does not come into the record
  skip_row,                // who follows leaves out a removal now and then
  as_of_now,               // the past is read as the present
  read_unconfirmed,        // a database reads without asking whether its replica still is primary
  cross_tenant,            // a session made after an open may get another tenant
  reuse_nonce,             // items are sealed under one nonce
  skip_leaf,               // a leaf of the tree that proofs are made from is another
  state_of_file,           // a checkpoint says of its state what it says of its file
  trust_stale_keystore,    // any keystore that can be read is taken for the one that is named
  trust_own_clock,         // a primary asks no other clock, and a jump is believed
  count_later_epoch,       // the word of who knows a later configuration counts in an earlier one
  lead_by_hearsay,         // a primary that hears of a configuration goes on, and counts by it
  change_unheard,          // a group is changed again before a quorum knows of the last change
  commit_by_last,          // what follows a configuration is committed by the voters before it
  nack_by_next,            // what an earlier configuration committed is nacked by the next ones'
  keep_acknowledged,       // what was acknowledged for one configuration counts in the next
  propose_unseen,          // a write is proposed beside operations its evaluation did not see
  change_before_lives,     // a group is changed before who stays knows who was made anew
  confirm_forgotten,       // a lost disk says of others' lives that it has seen no later ones
  count_other_rounds,      // answers to heartbeats of an earlier life are counted
  take_later_number,       // a lost disk takes the life of the higher number, whatever went before
  forget_lost_head,        // that a head was lost is known in the life only that found it
};

inline constexpr std::array<std::string_view, 61> canary_names{"none",
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
                                                               "speak_unconfirmed",
                                                               "wait_for_more",
                                                               "ignore_sync",
                                                               "skip_segment_sync",
                                                               "keep_answered",
                                                               "forget_session",
                                                               "skip_base_check",
                                                               "count_apart",
                                                               "forget_request",
                                                               "forget_outcome",
                                                               "skip_expected",
                                                               "lose_change",
                                                               "skip_row",
                                                               "as_of_now",
                                                               "read_unconfirmed",
                                                               "cross_tenant",
                                                               "reuse_nonce",
                                                               "skip_leaf",
                                                               "state_of_file",
                                                               "trust_stale_keystore",
                                                               "trust_own_clock",
                                                               "count_later_epoch",
                                                               "lead_by_hearsay",
                                                               "change_unheard",
                                                               "commit_by_last",
                                                               "nack_by_next",
                                                               "keep_acknowledged",
                                                               "propose_unseen",
                                                               "change_before_lives",
                                                               "confirm_forgotten",
                                                               "count_other_rounds",
                                                               "take_later_number",
                                                               "forget_lost_head"};
static_assert(canary_names.size() == static_cast<std::size_t>(Canary::forget_lost_head) + 1);

[[nodiscard]] constexpr std::string_view name(Canary canary) {
  return canary_names[static_cast<std::size_t>(canary)];
}

#ifdef KIMBERLITE_CANARIES
inline Canary planted = Canary::none;
inline std::uint64_t planted_met = 0;
[[nodiscard]] inline bool is_planted(Canary canary) { return planted == canary; }
// For what must not happen alike everywhere: one time in `times` that it is asked, by anybody.
[[nodiscard]] inline bool is_planted_once_in(std::uint64_t times, Canary canary) {
  return planted == canary && ++planted_met % times == 0;
}
#else
[[nodiscard]] constexpr bool is_planted(Canary) { return false; }
[[nodiscard]] constexpr bool is_planted_once_in(std::uint64_t, Canary) { return false; }
#endif

}  // namespace kimberlite
