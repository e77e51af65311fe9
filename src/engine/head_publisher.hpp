// Heads of the cluster: one signature for all logs that changed.
//
// Every so long, if a log has records that were not published, a record of the cluster's own log
// (tenant 0, kernel::PublishHeads) says log id, size and root of each such log, and then that log
// is signed: whoever holds its head, and is shown the record in it, holds all of them. Where
// nothing changed nothing is written; records of the cluster's log itself are published by its
// head.
//
// (H1) What is published is committed, of the log's present epoch, and never smaller than what was
//      published of it before: it is taken from the kernel's state, which only grows, and the
//      kernel holds it against its state again.              [kept: changed, kernel::apply]
// (H2) A head of the cluster is signed after the record it is signed for is committed, and stands
// on
//      the disk before anyone sees it. A crash between the two leaves a record without a head: the
//      next opening signs.                            [kept: answered, start; Prover, P1 and P2]
// (H3) One is under way at a time.                    [kept: tick]
//
// In a group the primary publishes, as the one actor of all its replicas; whoever becomes primary
// goes on from what it had read when it began, and may publish once more what others did since.
//
// What was published is not part of any state: it is read back from the newest records of the
// cluster's log. A log that was published before those is published again, once.
//
// Timers of the executor run it, on the strands of the core and of tenant 0, and whoever drives
// writes it: while no thread is in any call of the database, nothing moves. Thread rule: `start`
// and `stop` are for the owner's thread; all else is for the core's strand.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core.hpp"
#include "life.hpp"
#include "request.hpp"
#include "tenant.hpp"

namespace kimberlite::engine {

class HeadPublisher {
 public:
  HeadPublisher(Core& core, Tenant& cluster, Principal principal, std::uint64_t every_ns)
      : core_(core), cluster_(cluster), principal_(std::move(principal)), every_ns_(every_ns) {}
  HeadPublisher(const HeadPublisher&) = delete;
  HeadPublisher& operator=(const HeadPublisher&) = delete;

  // Reads what was published last.
  [[nodiscard]] Status start();
  // Waits for what is under way; nothing more is begun.
  void stop();

 private:
  using Key = std::pair<TenantId, kernel::Lane>;
  [[nodiscard]] static Key key_of(const kernel::PublishedHead& head) {
    return {head.tenant, head.lane};
  }
  void arm();
  void tick();
  [[nodiscard]] std::vector<kernel::PublishedHead> changed();
  void settle();
  void publish(std::vector<kernel::PublishedHead> heads);
  void settled();
  void answered();
  void sign();
  void done();

  Core& core_;
  Tenant& cluster_;
  Principal principal_;
  std::uint64_t every_ns_;
  std::map<Key, kernel::PublishedHead> published_;
  Key last_{};             // where the last record ended, if it had no room for all
  bool unsigned_ = false;  // a record was published, and its head is not signed yet
  std::unique_ptr<Request> request_;
  bool under_way_ = false;
  bool stopped_ = false;
  Signal* waits_ = nullptr;  // of `stop`
  Life life_;
};

}  // namespace kimberlite::engine
