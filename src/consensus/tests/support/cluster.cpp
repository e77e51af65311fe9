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

Genesis genesis_of(const ClusterOptions& options, std::uint8_t replica) {
  Genesis one = genesis();
  one.members.clear();
  for (std::uint8_t i = 0; i < options.voters + options.standbys; ++i) {
    one.members.emplace_back().fill(static_cast<std::byte>(i + 1));
  }
  one.voters = options.voters;
  one.replica = replica;
  return one;
}

}  // namespace

Cluster::Cluster(std::uint64_t seed, const ClusterOptions& options)
    : options_(options), rng_(seed), nodes_(options.voters + options.standbys) {
  for (std::uint8_t i = 0; i < members(); ++i) {
    Node& node = nodes_[i];
    node.disk = std::make_unique<Disk>(options.replica.journal.ring_size);
    node.pool = std::make_unique<BlockPool>();
    const Superblock first = first_superblock(genesis_of(options, i));
    encode_superblock(first, std::span<std::byte, superblock_size>(node.disk->superblock));
    node.states[0] = first.checkpoint;
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

std::string Cluster::story() const {
  std::string all;
  for (const std::string& line : story_) all += line + "\n";
  return all;
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
  node.applied = found.checkpoint.op;
  auto journal = recover_journal(found, options_.replica.journal, node.disk->reader());
  if (!journal) return complain(fmt::format("replica {}: {}", index, to_string(journal.error())));
  note(fmt::format("start {}: view {}/{} checkpoint {} frames {} seen {}{}", index,
                   found.view.value(), found.log_view.value(), found.checkpoint.op.value(),
                   journal->frames.size(), journal->durable_seen.value(),
                   journal->lost ? " LOST" : ""));
  std::vector<Action> actions;
  auto replica = Replica::open(
      now(), options_.replica,
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

void Cluster::heal() {
  note("heal");
  cuts_.clear();
  options_.lost = 0;
  options_.doubled = 0;
  for (std::uint8_t i = 0; i < members(); ++i) {
    if (!is_up(i)) start(i);
  }
}

bool Cluster::rot(std::uint8_t index) {
  Node& node = nodes_[index];
  if (node.replica == nullptr || index >= options_.voters) return false;
  const Replica& replica = *node.replica;
  const std::uint64_t first = replica.checkpoint().op.value() + 1;
  if (replica.durable().value() < first) return false;
  const OpNumber op{first + below(rng_, replica.durable().value() - first + 1)};
  const auto checksum = replica.checksum_at(op);
  if (!checksum) return false;
  // Only where a quorum of others is up, normal, and has it: what is left still holds all.
  std::uint32_t others = 0;
  for (std::uint8_t i = 0; i < options_.voters; ++i) {
    if (i == index || !is_up(i)) continue;
    const Replica& other = *nodes_[i].replica;
    const bool has =
        other.commit() >= op || (other.durable() >= op && other.checksum_at(op) == checksum);
    if (has && other.status() == ReplicaStatus::normal) ++others;
  }
  if (others < core::replication_quorum(options_.voters)) return false;
  const auto reader = node.disk->reader();
  const auto superblock =
      read_superblock(std::span<const std::byte, superblock_size>(node.disk->superblock));
  if (!superblock) return false;
  const auto journal = recover_journal(superblock->superblock, options_.replica.journal, reader);
  if (!journal) return false;
  for (const LiveFrame& frame : journal->frames) {
    if (frame.op != op) continue;
    const std::uint64_t at = file_offset(frame.ring_offset) + below(rng_, frame.size);
    node.disk->journal[at] ^= std::byte{0x10};
    ++counts_.rots;
    note(fmt::format("rot {}: op {}", index, op.value()));
    return true;
  }
  return false;
}

// ---- what happens -------------------------------------------------------------------------------

void Cluster::feed(std::uint8_t index, const Event& event) {
  Node& node = nodes_[index];
  if (node.replica == nullptr) return;
  ++counts_.events;
  std::vector<Action> actions;
  const OpNumber before = node.replica->head();
  node.replica->step(now(), event, actions);
  if (node.replica->head() < before) {
    counts_.truncated += before.value() - node.replica->head().value();
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
  if (replica.status() == ReplicaStatus::failed) {
    complain(fmt::format("replica {} failed: {}", index, to_string(replica.failure())));
  }
  if (replica.is_primary() && primaries_.insert(replica.view().value()).second) {
    ++counts_.views;
    note(fmt::format("primary {} of view {}, head {}", index, replica.view().value(),
                     replica.head().value()));
  }
  if (replica.commit() > replica.durable()) complain("committed before durable");
}

void Cluster::carry_out(std::uint8_t index, const std::vector<Action>& actions) {
  Node& node = nodes_[index];
  const auto later = [&](std::uint64_t max) { return now_ns_ + 1 + below(rng_, max); };
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
      write(index, {.due_ns = later(3'000'000),
                    .target = Target::prepare,
                    .offset = file_offset(prepare->ring_offset),
                    .bytes = prepare->frame,
                    .from = 0,
                    .size = prepare->frame->size(),
                    .op = prepare->op,
                    .checksum = prepare->header_checksum});
    } else if (const auto* mark = std::get_if<WriteMark>(&action)) {
      write(index, {.due_ns = later(3'000'000),
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
      PrepareRead done{.op = read->op,
                       .header_checksum = read->header_checksum,
                       .status = {},
                       .frame = node.pool->take(read->size)};
      done.status = node.disk->reader()(file_offset(read->ring_offset), done.frame->bytes());
      feed(index, done);
      if (node.replica == nullptr) return;
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
  if (cuts_.contains({from, send.to}) || below(rng_, 1000) < options_.lost) return;
  const std::size_t copies = below(rng_, 1000) < options_.doubled ? 2 : 1;
  for (std::size_t i = 0; i < copies; ++i) {
    packets_.emplace(now_ns_ + 1 + below(rng_, options_.delay_max_ns),
                     Packet{.from = from, .to = send.to, .bytes = send.message});
  }
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
    write(index, {.due_ns = now_ns_ + 1 + below(rng_, 3'000'000),
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
  std::ranges::copy(write.bytes->bytes().subspan(write.from, write.size),
                    file(node, write.target).begin() + static_cast<std::ptrdiff_t>(write.offset));
  if (write.target == Target::prepare) {
    feed(index, PrepareWritten{.op = write.op, .header_checksum = write.checksum, .status = {}});
  } else if (write.target == Target::mark) {
    feed(index, MarkWritten{.sequence = write.sequence, .status = {}});
  } else if (--node.copies_left == 0) {
    if (!node.second_half) {
      node.second_half = true;
      superblock_half(index);
      return;
    }
    const auto read =
        read_superblock(std::span<const std::byte, superblock_size>(node.disk->superblock));
    if (!read || !read->findings.empty()) return complain("a superblock written whole is not");
    node.view = read->superblock.view;
    node.log_view = read->superblock.log_view;
    node.incarnation = read->superblock.incarnation;
    node.superblock.reset();
    feed(index, SuperblockWritten{.sequence = write.sequence, .status = {}});
  }
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
    // A replication quorum has it on disk, or is past it.
    std::uint32_t have = 0;
    for (std::uint8_t i = 0; i < options_.voters; ++i) {
      const auto superblock =
          read_superblock(std::span<const std::byte, superblock_size>(nodes_[i].disk->superblock));
      if (!superblock) continue;
      if (superblock->superblock.checkpoint.op >= commit.op) {
        ++have;
        continue;
      }
      if (nodes_[i].replica != nullptr && nodes_[i].replica->durable() >= commit.op &&
          nodes_[i].replica->checksum_at(commit.op) == commit.header_checksum) {
        ++have;
        continue;
      }
      const auto journal = recover_journal(superblock->superblock, options_.replica.journal,
                                           nodes_[i].disk->reader());
      if (!journal) continue;
      for (const LiveFrame& frame : journal->frames) {
        if (frame.op == commit.op && frame.checksum == commit.header_checksum) ++have;
      }
    }
    if (have < core::replication_quorum(options_.voters) && counts_.rots == 0) {
      complain(fmt::format("operation {} is committed with {} copies", commit.op.value(), have));
    }
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
  for (std::uint8_t i = 0; i < members(); ++i) {
    Node& node = nodes_[i];
    for (const Write& write : node.writes) due = std::min(due, write.due_ns);
    if (node.checkpoint_at) due = std::min(due, *node.checkpoint_at);
    if (node.sync_at) due = std::min(due, *node.sync_at);
    if (node.replica != nullptr) {
      if (const auto wake = node.replica->wake_at())
        due = std::min(due, std::max(*wake, now_ns_ + 1));
    }
  }
  now_ns_ = std::max(now_ns_, due);
  if (!packets_.empty() && packets_.begin()->first <= now_ns_) {
    const Packet packet = packets_.begin()->second;
    packets_.erase(packets_.begin());
    if (nodes_[packet.to].replica != nullptr) {
      MutableBuffer copy = nodes_[packet.to].pool->take(packet.bytes->size());
      std::ranges::copy(packet.bytes->bytes(), copy->bytes().begin());
      feed(packet.to, Received{.from = packet.from, .message = std::move(copy)});
    }
    return;
  }
  for (std::uint8_t i = 0; i < members(); ++i) {
    Node& node = nodes_[i];
    for (std::size_t w = 0; w < node.writes.size(); ++w) {
      if (node.writes[w].due_ns <= now_ns_) return end_write(i, w);
    }
    if (node.checkpoint_at && *node.checkpoint_at <= now_ns_) {
      node.checkpoint_at.reset();
      CheckpointDone done{.op = node.checkpoint_op};
      done.state.fill(static_cast<std::byte>(done.op.value()));
      return feed(i, done);
    }
    if (node.sync_at && *node.sync_at <= now_ns_) return finish_sync(i);
    if (node.replica == nullptr) continue;
    const auto wake = node.replica->wake_at();
    if (wake && *wake <= now_ns_) {
      feed(i, Tick{});
      if (wrong_.empty() && nodes_[i].replica != nullptr) {
        const auto again = nodes_[i].replica->wake_at();
        if (again && *again <= now_ns_) complain(fmt::format("replica {} wakes for nothing", i));
      }
      return;
    }
  }
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
    const OpNumber head = nodes_[*primary()].replica->head();
    bool equal = true;
    for (const Node& node : nodes_) {
      equal = equal && node.replica != nullptr && node.replica->commit() == head &&
              node.replica->status() == ReplicaStatus::normal;
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
