#include "support/cluster.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "consensus/core/quorum.hpp"
#include "consensus/core/ring.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::consensus::testing {
namespace {

constexpr std::size_t story_max = 400;
constexpr std::uint64_t tick_ns = 1'000'000;
constexpr std::uint64_t write_max_ns = 3'000'000;
constexpr std::uint64_t read_max_ns = 2'000'000;
constexpr std::size_t waiting_max = 64;
constexpr std::size_t replayable_max = 32;   // of each kind
constexpr std::uint64_t storm_min = 50'000;  // messages in a millisecond
constexpr std::uint64_t epoch_us = 1'700'000'000'000'000;
// A clock that is believed is within two tolerances and a round trip of one that is right.
constexpr std::int64_t stamp_off_max_us =
    2 * clock_tolerance_us + static_cast<std::int64_t>(round_trip_max_ns) / 1000 + 10'000;
// What a replica may have in flight at once.
constexpr std::size_t reads_in_flight_max = 64 + pipeline_max;
constexpr std::size_t writes_in_flight_max = 2 * slots_max + 3;

// What a member of another cluster would have sent.
Buffer of_another_cluster(Message message, Bytes bytes, BlockPool& pool) {
  Id128 other{};
  other.fill(std::byte{0x99});
  if (!std::holds_alternative<Prepare>(message.payload)) {
    return encode_message(message, other, pool);
  }
  PrepareHeader& header = std::get<Prepare>(message.payload).header;
  header.cluster = other;
  MutableBuffer frame = pool.take(static_cast<std::size_t>(core::padded(frame_size(header))));
  std::ranges::copy(bytes, frame->bytes().begin());
  FrameHead head{.ring_offset = 0, .durable = {}, .prepare = header};
  seal_frame(head, frame->bytes());
  return encode_prepare_message(message, frame->bytes(), pool);
}

}  // namespace

void Counts::add(const Counts& other) {
  of_five += other.of_five;
  simulated_ms += other.simulated_ms;
  events += other.events;
  messages += other.messages;
  commits += other.commits;
  views += other.views;
  crashes += other.crashes;
  rots += other.rots;
  syncs += other.syncs;
  reads += other.reads;
  truncated += other.truncated;
  replays += other.replays;
  spoilt += other.spoilt;
  pauses += other.pauses;
  clock_steps += other.clock_steps;
  lost_writes += other.lost_writes;
  failed_reads += other.failed_reads;
  lost_disks += other.lost_disks;
  old_disks += other.old_disks;
  changes += other.changes;
}

Cluster::Cluster(std::uint64_t seed, const ClusterOptions& options)
    : options_(options), rng_(seed), nodes_(options.voters + options.standbys) {
  counts_.of_five = options.voters == 5 ? 1 : 0;
  for (std::uint8_t i = 0; i < members(); ++i) {
    Node& node = nodes_[i];
    plausible_ = {genesis_of(i).configuration};
    node.disk = std::make_unique<Disk>(options.replica.journal.ring_size);
    node.pool = std::make_unique<BlockPool>();
    const Superblock first = first_superblock(genesis_of(i));
    encode_superblock(first, std::span<std::byte, superblock_size>(node.disk->superblock));
    start(i);
  }
}

void Cluster::complain(const std::string& what) {
  if (wrong_.size() < 2000) wrong_ += what + "\n";
  note("WRONG: " + what);
}

void Cluster::note(std::string text) {
  text = fmt::format("{:>9} us  {}", now_ns_ / 1000, text);
  std::vector<std::byte> chained(digest_.begin(), digest_.end());
  for (const char c : text) chained.push_back(static_cast<std::byte>(c));
  digest_ = crypto::blake3(chained);
  story_.push_back(std::move(text));
  if (story_.size() > story_max) story_.pop_front();
}

Now Cluster::now(std::uint8_t index) const {
  const std::uint64_t us = epoch_us + now_ns_ / 1000;
  return {now_ns_, TimestampUs{us + static_cast<std::uint64_t>(nodes_[index].clock_us)}};
}

std::string Cluster::story() const {
  std::string all;
  for (const std::string& line : story_) all += line + "\n";
  return all;
}

Genesis Cluster::genesis_of(std::uint8_t replica) const {
  Genesis one = genesis();
  one.configuration = group_of(options_.voters, options_.standbys);
  one.replica = replica;
  return one;
}

// ---- life and death -----------------------------------------------------------------------------

void Cluster::start(std::uint8_t index) {
  Node& node = nodes_[index];
  auto superblock =
      read_superblock(std::span<const std::byte, superblock_size>(node.disk->superblock));
  if (!superblock) return complain("superblock: " + to_string(superblock.error()));
  const Superblock& found = superblock->superblock;
  if (found.view < node.view) complain(fmt::format("replica {}: the view went back", index));
  if (found.log_view < node.log_view)
    complain(fmt::format("replica {}: log_view went back", index));
  if (found.incarnation < node.incarnation) complain("the incarnation went back");
  if (found.checkpoint.op < node.checkpoint) complain("a checkpoint went back");
  node.view = found.view;
  node.log_view = found.log_view;
  node.checkpoint = found.checkpoint.op;
  node.incarnation = found.incarnation;
  node.applied = node.commit = found.checkpoint.op;
  auto journal = recover_journal(found, options_.replica.journal, node.disk->reader());
  if (!journal) return complain(fmt::format("replica {}: {}", index, to_string(journal.error())));
  note(fmt::format("start {}: view {}/{} checkpoint {} frames {} seen {}{}", index,
                   found.view.value(), found.log_view.value(), found.checkpoint.op.value(),
                   journal->frames.size(), journal->durable_seen.value(),
                   journal->lost ? " LOST: " + to_string(*journal->lost) : ""));
  node.lost_until = journal->lost ? journal->durable_seen : OpNumber{};
  node.is_lost = found.standing == Standing::lost;
  if (found.standing != Standing::member) {
    node.lost_until = std::max(node.lost_until, OpNumber{1});
  }
  node.view_durable = found.view_durable;
  std::erase_if(node.damaged,
                [&](const auto& one) { return one.first <= node.checkpoint.value(); });
  // What damage hides is still counted as written: it was acknowledged.
  if (node.damaged.empty() && !journal->lost) node.on_disk.clear();
  for (const LiveFrame& frame : journal->frames) node.on_disk[frame.op.value()] = frame.checksum;
  const std::uint64_t seen =
      journal->frames.empty() ? node.checkpoint.value() : journal->frames.back().op.value();
  std::set<std::uint64_t> hidden;
  for (auto one = node.on_disk.upper_bound(seen); one != node.on_disk.end(); ++one) {
    if (!may_know(node, OpNumber{one->first})) hidden.insert(one->first);
  }
  node.hidden = std::move(hidden);
  std::vector<Action> actions;
  ReplicaOptions replica_options = options_.replica;
  replica_options.token = rng_();
  auto replica = Replica::open(
      now(index), replica_options,
      {.superblock = *std::move(superblock), .journal = *std::move(journal)}, *node.pool, actions);
  if (!replica) return complain(to_string(replica.error()));
  node.replica = *std::move(replica);
  carry_out(index, actions);
}

void Cluster::crash(std::uint8_t index) {
  Node& node = nodes_[index];
  if (node.replica == nullptr) return;
  note(fmt::format("crash {}", index));
  ++counts_.crashes;
  for (const Write& write : node.writes) {
    const std::uint64_t fate = below(rng_, 3);
    const std::uint64_t pieces = rng_();
    if (fate == 0) continue;
    std::vector<std::byte>& to = file(node, write.target);
    const Bytes from = write.bytes->bytes().subspan(write.from, write.size);
    for (std::size_t at = 0; at < write.size; at += 512) {
      if (fate == 2 && ((pieces >> (at / 512 % 64)) & 1U) == 0) continue;
      std::ranges::copy(from.subspan(at, 512),
                        to.begin() + static_cast<std::ptrdiff_t>(write.offset + at));
    }
  }
  node.writes.clear();
  // What stands behind a gap was not acknowledged.
  std::uint64_t whole = node.checkpoint.value();
  while (node.on_disk.contains(whole + 1)) ++whole;
  node.on_disk.erase(node.on_disk.upper_bound(whole), node.on_disk.end());
  node.reads.clear();
  node.waiting.clear();
  node.paused_until_ns = 0;
  node.superblock.reset();
  node.checkpoint_at.reset();
  node.sync_at.reset();
  node.replica.reset();
}

void Cluster::cut(std::uint8_t from, std::uint8_t to, bool is_cut) {
  note(fmt::format("{} {} -> {}", is_cut ? "cut" : "join", from, to));
  if (is_cut) {
    cuts_.emplace(from, to);
  } else {
    cuts_.erase({from, to});
  }
}

void Cluster::join_all() {
  if (!cuts_.empty()) note("join all");
  cuts_.clear();
}

void Cluster::isolate(std::uint8_t replica) {
  for (std::uint8_t i = 0; i < members(); ++i) {
    if (i == replica) continue;
    cut(i, replica, true);
    cut(replica, i, true);
  }
}

void Cluster::pause(std::uint8_t replica, std::uint64_t ns) {
  Node& node = nodes_[replica];
  if (node.replica == nullptr) return;
  note(fmt::format("pause {} for {} us", replica, ns / 1000));
  ++counts_.pauses;
  node.paused_until_ns = std::max(node.paused_until_ns, now_ns_ + ns);
}

void Cluster::slow_down(std::uint8_t replica, std::uint64_t factor) {
  note(fmt::format("the disk of {} takes {} times as long", replica, factor));
  nodes_[replica].slow = factor;
}

void Cluster::step_clock(std::uint8_t replica, std::int64_t us) {
  std::size_t wrong = 0;
  for (std::uint8_t i = 0; i < members(); ++i) {
    if (i != replica && is_voter(i) && nodes_[i].clock_us != 0) ++wrong;
  }
  if (wrong >= damaged_max()) us = 0;
  note(fmt::format("the clock of {} is off by {} us", replica, us));
  ++counts_.clock_steps;
  nodes_[replica].clock_us = us;
}

void Cluster::heal() {
  note("heal");
  cuts_.clear();
  options_.lost = 0;
  options_.doubled = 0;
  options_.replayed = 0;
  options_.spoilt = 0;
  options_.lost_writes = 0;
  options_.failed_reads = 0;
  for (std::uint8_t i = 0; i < members(); ++i) {
    nodes_[i].slow = 1;
    nodes_[i].clock_us = 0;
    nodes_[i].paused_until_ns = std::min(nodes_[i].paused_until_ns, now_ns_);
    if (!is_up(i)) start(i);
  }
}

// ---- what happens -------------------------------------------------------------------------------

void Cluster::feed(std::uint8_t index, const Event& event) {
  Node& node = nodes_[index];
  if (node.replica == nullptr) return;
  ++counts_.events;
  std::vector<Action> actions;
  const OpNumber before = node.replica->head();
  node.replica->step(now(index), event, actions);
  if (node.replica->head() < before) {
    counts_.truncated += before.value() - node.replica->head().value();
    node.on_disk.erase(node.on_disk.upper_bound(node.replica->head().value()), node.on_disk.end());
    note(fmt::format("replica {} gave up {}..{}", index, node.replica->head().value() + 1,
                     before.value()));
  }
  carry_out(index, actions);
  check(index);
}

void Cluster::check(std::uint8_t index) {
  Node& node = nodes_[index];
  const Replica& replica = *node.replica;
  if (replica.view() < node.view) complain("a view went back");
  if (node.is_old && replica.status() == ReplicaStatus::failed &&
      replica.failure().code() == Code::integrity_rollback) {
    note(fmt::format("replica {} has noticed that it is old", index));
    return make_anew(index);
  }
  if (replica.status() == ReplicaStatus::failed) {
    complain(fmt::format("replica {} failed: {}", index, to_string(replica.failure())));
  }
  if (replica.is_primary()) {
    const auto [first, is_new] = primaries_.try_emplace(replica.view().value(), index);
    if (first->second != index) complain("two primaries of one view");
    if (is_new) {
      ++counts_.views;
      note(fmt::format("primary {} of view {}, head {}", index, replica.view().value(),
                       replica.head().value()));
    }
  }
  if (replica.status() == ReplicaStatus::normal && !node.superblock && !node.is_lost &&
      !node.is_old && replica.durable() >= std::max(node.lost_until, node.view_durable)) {
    node.lost_until = {};
    node.had.clear();
  }
  if (replica.commit() > replica.durable()) complain("committed before durable");
  const auto made = configurations_.find(replica.configuration().epoch);
  if (made != configurations_.end() && made->second != replica.configuration()) {
    complain("two configurations of one epoch");
  }
  if (replica.commit() < node.commit) complain("a commit went back");
  node.commit = replica.commit();
  if (node.reads.size() > reads_in_flight_max) complain("too many reads in flight");
  if (node.writes.size() > writes_in_flight_max) complain("too many writes in flight");
}

void Cluster::carry_out(std::uint8_t index, const std::vector<Action>& actions) {
  Node& node = nodes_[index];
  const auto later = [&](std::uint64_t max) { return now_ns_ + 1 + below(rng_, max) * node.slow; };
  for (const Action& action : actions) {
    if (const auto* sent = std::get_if<Send>(&action)) {
      send(index, *sent);
    } else if (const auto* prepare = std::get_if<WritePrepare>(&action)) {
      for (const Write& other : node.writes) {
        const std::uint64_t offset = file_offset(prepare->ring_offset);
        if (other.target == Target::prepare && other.op != prepare->op &&
            offset < other.offset + other.size && other.offset < offset + prepare->frame->size()) {
          complain("two writes in flight overlap");
        }
      }
      write(index, {.due_ns = later(write_max_ns),
                    .target = Target::prepare,
                    .offset = file_offset(prepare->ring_offset),
                    .bytes = prepare->frame,
                    .from = 0,
                    .size = prepare->frame->size(),
                    .op = prepare->op,
                    .checksum = prepare->header_checksum});
    } else if (const auto* mark = std::get_if<WriteMark>(&action)) {
      write(index, {.due_ns = later(write_max_ns),
                    .target = Target::mark,
                    .offset = mark->sector * mark_size,
                    .bytes = mark->bytes,
                    .from = 0,
                    .size = mark_size,
                    .sequence = mark->sequence});
    } else if (const auto* superblock = std::get_if<WriteSuperblock>(&action)) {
      if (node.superblock) complain("two superblocks at once");
      node.superblock = *superblock;
      node.second_half = false;
      superblock_half(index);
    } else if (const auto* read = std::get_if<ReadPrepare>(&action)) {
      node.reads.push_back({.due_ns = later(read_max_ns), .what = *read});
    } else if (const auto* commit = std::get_if<Commit>(&action)) {
      saw(index, *commit);
    } else if (const auto* checkpoint = std::get_if<StartCheckpoint>(&action)) {
      if (node.checkpoint_at) complain("two checkpoints at once");
      node.checkpoint_at = later(10'000'000);
      node.checkpoint_op = checkpoint->op;
    } else if (const auto* sync = std::get_if<StartSync>(&action)) {
      note(fmt::format("replica {} takes the state of {} at {}", index, sync->from,
                       sync->op.value()));
      node.sync_at = later(10'000'000);
      node.sync_from = sync->from;
      ++counts_.syncs;
    } else if (const auto* ready = std::get_if<ReadReady>(&action)) {
      const auto asked = reads_.find(ready->ticket);
      if (asked != reads_.end()) {
        ++counts_.reads;
        if (node.replica->commit() < asked->second) complain("a stale read");
        reads_.erase(asked);
      }
    } else if (const auto* abandoned = std::get_if<Abandon>(&action)) {
      reads_.erase(abandoned->ticket);
    }
  }
}

void Cluster::send(std::uint8_t from, const Send& send) {
  ++counts_.messages;
  const auto message = decode_message(send.message->bytes(), genesis().cluster);
  if (!message) return complain("a message that is none: " + to_string(message.error()));
  check_sent(from, *message);
  check_storm();
  const Packet packet{.from = from, .to = send.to, .bytes = send.message};
  if (options_.replayed > 0) {
    std::deque<Packet>& alike = sent_[message->payload.index()];
    alike.push_back(packet);
    if (alike.size() > replayable_max) alike.pop_front();
  }
  if (below(rng_, 1000) < options_.replayed) {
    auto kind = sent_.begin();
    std::advance(kind, below(rng_, sent_.size()));
    const Packet& old = kind->second[below(rng_, kind->second.size())];
    packets_.emplace(now_ns_ + 1 + below(rng_, options_.delay_max_ns), old);
    ++counts_.replays;
  }
  if (cuts_.contains({from, send.to}) || below(rng_, 1000) < options_.lost) return;
  const std::size_t copies = below(rng_, 1000) < options_.doubled ? 2 : 1;
  for (std::size_t i = 0; i < copies; ++i) {
    const std::uint64_t at = now_ns_ + 1 + below(rng_, options_.delay_max_ns);
    if (below(rng_, 1000) < options_.spoilt) {
      Packet spoilt = packet;
      spoil(spoilt);
      packets_.emplace(at, std::move(spoilt));
    } else {
      packets_.emplace(at, packet);
    }
  }
}

// What no replica may say, whatever it goes through. (R2), (R4), and the atlas' side of a nack.
void Cluster::check_sent(std::uint8_t from, const Message& message) {
  const Node& node = nodes_[from];
  if (message.from != from) complain("a message in another's name");
  const bool asks = std::holds_alternative<StartViewChange>(message.payload) ||
                    std::holds_alternative<RequestPrepares>(message.payload) ||
                    std::holds_alternative<RequestStartView>(message.payload) ||
                    std::holds_alternative<Ping>(message.payload) ||
                    std::holds_alternative<Pong>(message.payload);
  if (!asks && message.view > node.view) {
    complain(fmt::format("replica {} sends a {} of a view that is not durable", from,
                         name(message.payload)));
  }
  if (const auto* prepare = std::get_if<Prepare>(&message.payload)) {
    const PrepareHeader& header = prepare->header;
    const auto [first, is_new] =
        prepares_.try_emplace({header.view.value(), header.op.value()}, header.checksum);
    if (first->second != header.checksum) complain("two prepares of one view and operation");
    if (is_new) check_stamp(from, header);
  } else if (const auto* ok = std::get_if<PrepareOk>(&message.payload)) {
    if (message.view > node.log_view) complain("an acknowledgement before the log was adopted");
    if (!has_written(node, ok->op, ok->checksum)) {
      complain(
          fmt::format("replica {} acknowledges {} before it is on disk", from, ok->op.value()));
    }
  } else if (const auto* dvc = std::get_if<DoViewChange>(&message.payload)) {
    if (dvc->log_view > node.log_view) complain("a log_view that is not durable");
    for (std::size_t i = 0; i < dvc->suffix.headers.size(); ++i) {
      const PrepareHeader& header = dvc->suffix.headers[i];
      const bool had = has_written(node, header.op, header.checksum);
      if (((dvc->present >> i) & 1U) != 0 && !had) {
        complain(fmt::format("replica {} says that it has {}", from, header.op.value()));
      }
      if (((dvc->nacked >> i) & 1U) != 0 && had && may_know(node, header.op)) {
        complain(fmt::format("replica {} nacks {}, which it had", from, header.op.value()));
      }
    }
  }
}

// Two that answer each other at once do so without an end, and no time passes where a network has
// no delay.
void Cluster::check_storm() {
  constexpr std::uint64_t window_ns = 1'000'000;
  if (now_ns_ / window_ns != std::exchange(sent_in_, now_ns_ / window_ns)) sent_then_ = 0;
  if (++sent_then_ == storm_min) complain("a storm of messages");
}

// A majority's clocks are right at any time: a stamp is what they said when it was made.
void Cluster::check_stamp(std::uint8_t from, const PrepareHeader& header) {
  const auto stamp = static_cast<std::int64_t>(header.timestamp.value());
  const auto right = static_cast<std::int64_t>(epoch_us + now_ns_ / 1000);
  if (std::abs(stamp - right) <= stamp_off_max_us) return;
  complain(fmt::format("replica {} stamps {} with a time that is {} ms off", from,
                       header.op.value(), (stamp - right) / 1000));
}

// As no member would send it.
void Cluster::spoil(Packet& packet) {
  packet.spoilt = true;
  BlockPool& pool = *nodes_[packet.from].pool;
  const Bytes bytes = packet.bytes->bytes();
  const auto copy = [&](std::size_t size) {
    MutableBuffer to = pool.take(size);
    std::ranges::fill(to->bytes(), std::byte{0});
    std::ranges::copy(bytes.first(std::min(size, bytes.size())), to->bytes().begin());
    return to;
  };
  switch (below(rng_, 4)) {
    case 0: {
      const MutableBuffer damaged = copy(bytes.size());
      damaged->bytes()[below(rng_, bytes.size())] ^= static_cast<std::byte>(1U << below(rng_, 8));
      packet.bytes = damaged;
      return;
    }
    case 1:
      packet.bytes = copy(1 + below(rng_, bytes.size() - 1));
      return;
    case 2:
      packet.bytes = copy(bytes.size() + 1 + below(rng_, 8000));
      return;
    default:
      packet.bytes = of_another_cluster(*decode_message(bytes, genesis().cluster), bytes, pool);
  }
}

void Cluster::deliver(const Packet& packet) {
  Node& node = nodes_[packet.to];
  if (node.replica == nullptr) return;
  if (now_ns_ < node.paused_until_ns) {
    if (node.waiting.size() < waiting_max) node.waiting.push_back(packet);
    return;
  }
  const std::uint64_t dropped = node.replica->dropped();
  MutableBuffer copy = node.pool->take(packet.bytes->size());
  std::ranges::copy(packet.bytes->bytes(), copy->bytes().begin());
  feed(packet.to, Received{.from = packet.from, .message = std::move(copy)});
  if (!packet.spoilt || node.replica == nullptr) return;
  ++counts_.spoilt;
  if (node.replica->dropped() == dropped) complain("a spoilt message was taken for a good one");
}

void Cluster::write(std::uint8_t index, Write write) {
  nodes_[index].writes.push_back(std::move(write));
}

void Cluster::superblock_half(std::uint8_t index) {
  Node& node = nodes_[index];
  node.copies_left = 2;
  const std::size_t first = node.second_half ? 2 : 0;
  for (std::size_t i = first; i < first + 2; ++i) {
    const std::size_t copy = node.superblock->order[i];
    write(index, {.due_ns = now_ns_ + 1 + below(rng_, write_max_ns) * node.slow,
                  .target = Target::superblock,
                  .offset = copy * sector_size,
                  .bytes = node.superblock->bytes,
                  .from = copy * sector_size,
                  .size = sector_size,
                  .sequence = node.superblock->sequence});
  }
}

void Cluster::end_write(std::uint8_t index, std::size_t which) {
  Node& node = nodes_[index];
  const Write write = node.writes[which];
  node.writes.erase(node.writes.begin() + static_cast<std::ptrdiff_t>(which));
  const bool lost = write.target == Target::prepare && below(rng_, 1000) < options_.lost_writes &&
                    options_.replica.strict && may_lose(index, write);
  if (!lost) {
    std::ranges::copy(write.bytes->bytes().subspan(write.from, write.size),
                      file(node, write.target).begin() + static_cast<std::ptrdiff_t>(write.offset));
  }
  if (write.target == Target::prepare) {
    node.on_disk[write.op.value()] = write.checksum;
    if (!lost) {
      node.damaged.erase(write.op.value());
      node.hidden.erase(write.op.value());
    }
    feed(index, PrepareWritten{.op = write.op, .header_checksum = write.checksum, .status = {}});
  } else if (write.target == Target::mark) {
    feed(index, MarkWritten{.sequence = write.sequence, .status = {}});
  } else if (--node.copies_left == 0) {
    if (!node.second_half) {
      node.second_half = true;
      superblock_half(index);
      return;
    }
    // All four say the same, so one tells what.
    const std::span<const std::byte, superblock_size> there(node.disk->superblock);
    const auto read = decode_superblock_copy(there.first<sector_size>(), 0);
    if (!read || !std::ranges::equal(there, node.superblock->bytes->bytes())) {
      return complain("a superblock written whole is not");
    }
    node.view = read->view;
    node.log_view = read->log_view;
    node.checkpoint = read->checkpoint.op;
    node.view_durable = read->view_durable;
    node.on_disk.erase(node.on_disk.begin(), node.on_disk.upper_bound(node.checkpoint.value()));
    node.incarnation = read->incarnation;
    node.is_lost = read->standing == Standing::lost;
    node.superblock.reset();
    feed(index, SuperblockWritten{.sequence = write.sequence, .status = {}});
  }
}

// The device says that it wrote what it did not.
bool Cluster::may_lose(std::uint8_t index, const Write& write) {
  if (!may_damage(index, write.op, write.checksum, 0)) return false;
  ++counts_.lost_writes;
  note(fmt::format("replica {} loses the write of {}", index, write.op.value()));
  return true;
}

// The sector cannot be read for as long as it is not written again.
void Cluster::end_read(std::uint8_t index, std::size_t which) {
  Node& node = nodes_[index];
  const ReadPrepare what = node.reads[which].what;
  node.reads.erase(node.reads.begin() + static_cast<std::ptrdiff_t>(which));
  PrepareRead done{.op = what.op,
                   .header_checksum = what.header_checksum,
                   .status = {},
                   .frame = node.pool->take(what.size)};
  done.status = node.disk->reader()(file_offset(what.ring_offset), done.frame->bytes());
  if (below(rng_, 1000) < options_.failed_reads &&
      may_damage(index, what.op, what.header_checksum, 1)) {
    ++counts_.failed_reads;
    note(fmt::format("replica {} cannot read {}", index, what.op.value()));
    done.status = Error{Code::unavailable_io, "the disk said no"};
  }
  feed(index, done);
}

void Cluster::saw(std::uint8_t index, const Commit& commit) {
  Node& node = nodes_[index];
  if (commit.op.value() != node.applied.value() + 1) {
    complain(fmt::format("replica {} commits {} after {}", index, commit.op.value(),
                         node.applied.value()));
  }
  node.applied = commit.op;
  const Known here{.checksum = commit.header_checksum,
                   .timestamp = commit.timestamp,
                   .commands = commit.commands};
  const auto [known, is_new] = known_.try_emplace(commit.op.value(), here);
  if (!is_new && known->second.checksum != commit.header_checksum) {
    complain(fmt::format("replica {} commits another operation {}", index, commit.op.value()));
  }
  if (is_new) {
    ++counts_.commits;
    if (commit.op.value() != committed_.value() + 1) complain("a hole in what was committed");
    committed_ = commit.op;
    const auto before = known_.find(commit.op.value() - 1);
    if (before != known_.end() &&
        commit.timestamp.value() <
            before->second.timestamp.value() + std::max(1U, before->second.commands)) {
      complain("time went back");
    }
    const auto has = [&](std::uint8_t i) {
      // A disk that was lost since was one of those the group can do without.
      const bool did = nodes_[i].had.contains({commit.op.value(), commit.header_checksum});
      return did || has_written(nodes_[i], commit.op, commit.header_checksum);
    };
    const bool by_some = std::ranges::any_of(plausible_, [&](const Configuration& one) {
      std::uint32_t have = 0;
      for (std::uint8_t i = 0; i < members(); ++i) have += one.votes(i) && has(i) ? 1U : 0U;
      return have >= core::replication_quorum(one.voter_count());
    });
    if (!by_some) complain(fmt::format("operation {} has too few copies", commit.op.value()));
    saw_configuration(commit);
  }
  if (crypto::blake3(commit.body()) !=
      decode_prepare(commit.frame->bytes().subspan<local_header_size, prepare_header_size>())
          ->body_checksum) {
    complain("a committed body is another");
  }
}

void Cluster::finish_sync(std::uint8_t index) {
  Node& node = nodes_[index];
  node.sync_at.reset();
  const Node& from = nodes_[node.sync_from];
  SyncDone done;
  if (from.replica != nullptr && !cuts_.contains({node.sync_from, index})) {
    done.checkpoint = from.replica->checkpoint();
    done.configuration = from.replica->configuration();
  }
  if (done.checkpoint && done.checkpoint->op > node.replica->commit()) {
    node.applied = done.checkpoint->op;
  }
  feed(index, done);
}

void Cluster::step() {
  // The next thing that is due anywhere.
  std::uint64_t due = now_ns_ + tick_ns;
  if (!packets_.empty()) due = std::min(due, packets_.begin()->first);
  for (Node& node : nodes_) {
    if (node.replica == nullptr) continue;
    const auto by = [&](std::uint64_t at) {
      due = std::min(due, std::max({at, node.paused_until_ns, now_ns_}));
    };
    if (!node.waiting.empty()) by(now_ns_);
    for (const Write& write : node.writes) by(write.due_ns);
    for (const Read& read : node.reads) by(read.due_ns);
    if (node.checkpoint_at) by(*node.checkpoint_at);
    if (node.sync_at) by(*node.sync_at);
    if (const auto wake = node.replica->wake_at()) by(std::max(*wake, now_ns_ + 1));
  }
  now_ns_ = std::max(now_ns_, due);
  counts_.simulated_ms = now_ns_ / 1'000'000;
  if (!packets_.empty() && packets_.begin()->first <= now_ns_) {
    const Packet packet = packets_.begin()->second;
    packets_.erase(packets_.begin());
    return deliver(packet);
  }
  for (std::uint8_t i = 0; i < members(); ++i) {
    if (is_up(i) && now_ns_ >= nodes_[i].paused_until_ns && step(i)) return;
  }
}

// True if something happened there.
bool Cluster::step(std::uint8_t index) {
  Node& node = nodes_[index];
  if (!node.waiting.empty()) {
    const Packet packet = node.waiting.front();
    node.waiting.pop_front();
    deliver(packet);
    return true;
  }
  for (std::size_t i = 0; i < node.writes.size(); ++i) {
    if (node.writes[i].due_ns > now_ns_) continue;
    end_write(index, i);
    return true;
  }
  for (std::size_t i = 0; i < node.reads.size(); ++i) {
    if (node.reads[i].due_ns > now_ns_) continue;
    end_read(index, i);
    return true;
  }
  if (node.checkpoint_at && *node.checkpoint_at <= now_ns_) {
    node.checkpoint_at.reset();
    CheckpointDone done{.op = node.checkpoint_op};
    done.state.fill(static_cast<std::byte>(done.op.value()));
    feed(index, done);
    return true;
  }
  if (node.sync_at && *node.sync_at <= now_ns_) {
    finish_sync(index);
    return true;
  }
  const auto wake = node.replica->wake_at();
  if (!wake || *wake > now_ns_) return false;
  feed(index, Tick{});
  const auto again = node.replica->wake_at();
  if (again && *again <= now_ns_) complain(fmt::format("replica {} wakes for nothing", index));
  return true;
}

void Cluster::run_for(std::uint64_t ns) {
  const std::uint64_t end = now_ns_ + ns;
  while (now_ns_ < end && wrong_.empty()) step();
}

bool Cluster::converge(std::uint64_t ns) {
  const std::uint64_t end = now_ns_ + ns;
  while (now_ns_ < end && wrong_.empty()) {
    run_for(20'000'000);
    if (!primary()) continue;
    const Replica& leader = *nodes_[*primary()].replica;
    bool equal = leader.head() >= committed_;
    for (const Node& node : nodes_) {
      equal = equal && node.replica != nullptr && node.replica->commit() == leader.head() &&
              node.replica->status() == ReplicaStatus::normal &&
              node.replica->view() == leader.view();
      if (!equal) break;
      if (node.replica->checksum_at(leader.head()) != leader.checksum_at(leader.head())) {
        complain("two replicas have another log");
      }
    }
    if (equal) return true;
  }
  return false;
}

std::string Cluster::picture() const {
  std::string all;
  for (const Node& node : nodes_) {
    if (node.replica == nullptr) continue;
    const Replica& replica = *node.replica;
    all +=
        fmt::format("\n  {} {} view {}/{} head {} durable {} commit {} checkpoint {} ring {}",
                    replica.index(), name(replica.status()), replica.view().value(),
                    replica.log_view().value(), replica.head().value(), replica.durable().value(),
                    replica.commit().value(), replica.checkpoint().op.value(), replica.ring_used());
  }
  return all;
}

std::optional<std::uint8_t> Cluster::primary() const {
  std::optional<std::uint8_t> newest;
  for (std::uint8_t i = 0; i < members(); ++i) {
    const Replica* replica = nodes_[i].replica.get();
    if (replica == nullptr || !replica->is_primary()) continue;
    if (!newest || nodes_[*newest].replica->view() < replica->view()) newest = i;
  }
  return newest;
}

bool Cluster::propose(std::size_t size) {
  for (std::uint8_t i = 0; i < members(); ++i) {
    if (!is_up(i) || !replica(i).may_propose()) continue;
    const std::uint64_t ticket = next_ticket_++;
    feed(i, Propose{.ticket = ticket, .frame = body(*nodes_[i].pool, size, ticket), .commands = 1});
    return true;
  }
  return false;
}

bool Cluster::read_index() {
  for (std::uint8_t i = 0; i < members(); ++i) {
    if (!is_up(i) || !replica(i).is_primary()) continue;
    const std::uint64_t ticket = next_ticket_++;
    reads_[ticket] = committed_;
    feed(i, ReadIndex{ticket});
  }
  return true;
}

}  // namespace kimberlite::consensus::testing
