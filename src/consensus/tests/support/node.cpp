#include "support/node.hpp"

#include <algorithm>

#include "consensus/core/ring.hpp"

namespace kimberlite::consensus::testing {

Configuration group_of(std::uint8_t voters, std::uint8_t standbys) {
  std::vector<Id128> members(voters + standbys);
  for (std::size_t i = 0; i < members.size(); ++i) members[i].fill(static_cast<std::byte>(i + 1));
  return first_configuration(members, voters);
}

Genesis genesis() {
  Genesis genesis;
  genesis.cluster.fill(std::byte{0x11});
  genesis.configuration = group_of(1, 0);
  genesis.snapshot.fill(std::byte{0x33});
  genesis.keystore.fill(std::byte{0x44});
  genesis.heads.fill(std::byte{0x55});
  genesis.state.fill(std::byte{0x66});
  genesis.epoch_key.fill(std::byte{0x77});
  return genesis;
}

MutableBuffer body(BlockPool& pool, std::size_t size, std::uint64_t fill) {
  BodyBuilder builder(pool, size);
  CommandHeader header;
  header.kind = 1;
  header.item_count = 1;
  header.tenant = TenantId{1};
  header.body_size = static_cast<std::uint32_t>(size - command_header_size);
  const auto room = builder.add(header);
  if (!room) return nullptr;
  for (std::size_t i = 0; i < room->size(); ++i) {
    (*room)[i] = static_cast<std::byte>((fill * 0x9E3779B97F4A7C15ULL) >> (i % 57));
  }
  return builder.take();
}

Disk::Disk(std::uint64_t ring_size)
    : superblock(superblock_size), journal(journal_size(ring_size)) {}

ReadAt Disk::reader() const {
  return [this](std::uint64_t offset, MutBytes to) -> Status {
    if (offset + to.size() > journal.size()) {
      return Error{Code::unavailable_io, "a read past the journal's end"};
    }
    std::copy_n(journal.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
    return {};
  };
}

PrepareHeader put_frame(Disk& disk, const PrepareHeader& parent, std::uint64_t view,
                        std::uint64_t ring_offset, std::size_t sectors) {
  std::vector<std::byte> frame(sectors * sector_size, std::byte{0x5A});
  FrameHead head{.ring_offset = ring_offset, .durable = {}, .prepare = parent};
  head.prepare.parent = parent.checksum;
  head.prepare.view = ViewNumber{view};
  head.prepare.op = OpNumber{parent.op.value() + 1};
  head.prepare.commit = {};
  head.prepare.timestamp = next_timestamp(parent);
  head.prepare.size = static_cast<std::uint32_t>(sectors * sector_size - local_header_size - 8);
  head.prepare.commands = 1;
  seal_frame(head, frame);
  std::ranges::copy(frame,
                    disk.journal.begin() + static_cast<std::ptrdiff_t>(file_offset(ring_offset)));
  return head.prepare;
}

Node::Node(ReplicaOptions options) : options_(options), disk_(options.journal.ring_size) {
  const Superblock first = first_superblock(genesis());
  encode_superblock(first, std::span<std::byte, superblock_size>(disk_.superblock));
  checkpoint_ = first.checkpoint;
}

void Node::complain(const std::string& what) { wrong_ += what + "\n"; }

Status Node::open() {
  auto superblock = read_superblock(std::span<const std::byte, superblock_size>(disk_.superblock));
  if (!superblock) return superblock.error();
  auto journal = recover_journal(superblock->superblock, options_.journal, disk_.reader());
  if (!journal) return journal.error();
  recovered_ = *journal;
  const Superblock& found = superblock->superblock;
  if (found.view.value() < view_) complain("the view went back");
  if (found.incarnation < incarnation_) complain("the incarnation went back");
  if (found.checkpoint.op < checkpoint_.op) complain("the checkpoint went back");
  checkpoint_ = found.checkpoint;
  live_.clear();
  for (const LiveFrame& frame : journal->frames) {
    live_[frame.op.value()] = {frame.ring_offset, core::padded(frame.size)};
  }
  const std::uint64_t head = found.checkpoint.op.value() + journal->frames.size();
  if (head < acknowledged_.value()) complain("an acknowledged operation is lost");
  committed_in_life_ = checkpoint_.op;

  std::vector<Action> actions;
  auto replica =
      Replica::open(now_, options_, {.superblock = *std::move(superblock), .journal = recovered_},
                    pool_, actions);
  if (!replica) return replica.error();
  replica_ = *std::move(replica);
  if (replica_->incarnation() <= incarnation_) complain("the incarnation was not raised");
  if (replica_->view().value() <= view_) complain("the view was not raised");
  if (replica_->may_propose()) complain("a proposal is taken before the view is durable");
  carry_out(actions);
  return {};
}

Status Node::open_fully() {
  KIMBERLITE_CHECK(open());
  end_all_writes();
  return {};
}

std::uint64_t Node::propose(std::size_t size) {
  const std::uint64_t ticket = next_ticket_++;
  step(Propose{.ticket = ticket, .frame = body(pool_, size, ticket), .commands = 1});
  return ticket;
}

void Node::step(const Event& event) {
  trace_ += fmt::format("event {}\n", event.index());
  std::vector<Action> actions;
  replica_->step(now_, event, actions);
  carry_out(actions);
  while (!reads_.empty() && replica_ != nullptr) {
    const PrepareRead read = std::move(reads_.front());
    reads_.erase(reads_.begin());
    actions.clear();
    replica_->step(now_, read, actions);
    carry_out(actions);
  }
}

void Node::carry_out(const std::vector<Action>& actions) {
  for (const Action& action : actions) {
    trace_ += fmt::format("action {}", action.index());
    if (const auto* prepare = std::get_if<WritePrepare>(&action)) {
      start(*prepare);
    } else if (const auto* read = std::get_if<ReadPrepare>(&action)) {
      start(*read);
    } else if (const auto* mark = std::get_if<WriteMark>(&action)) {
      start(*mark);
    } else if (const auto* superblock = std::get_if<WriteSuperblock>(&action)) {
      start(*superblock);
    } else if (const auto* commit = std::get_if<Commit>(&action)) {
      saw(*commit);
    } else if (const auto* abandon = std::get_if<Abandon>(&action)) {
      abandoned_.push_back(abandon->ticket);
    } else if (const auto* checkpoint = std::get_if<StartCheckpoint>(&action)) {
      trace_ += fmt::format(" checkpoint {}", checkpoint->op.value());
      if (checkpoint_due_) complain("two checkpoints at once");
      if (checkpoint->op > committed_in_life_) complain("a checkpoint beyond the commit");
      checkpoint_due_ = checkpoint->op;
    } else {
      complain("a message to nobody");
    }
    trace_ += '\n';
  }
}

void Node::start(const WritePrepare& action) {
  const std::uint64_t begin = action.ring_offset;
  const std::uint64_t size = action.frame->size();
  trace_ += fmt::format(" prepare {} at {} {}", action.op.value(), begin,
                        to_hex(Bytes(action.header_checksum).first(4)));
  if (begin + size > options_.journal.ring_size) complain("a frame past the ring's end");
  for (const auto& [op, place] : live_) {
    if (begin < place.first + place.second && place.first < begin + size) {
      complain(fmt::format("the frame of {} overwrites that of {}", action.op.value(), op));
    }
  }
  live_[action.op.value()] = {begin, size};
  writes_.push_back({.target = Target::prepare,
                     .offset = file_offset(begin),
                     .bytes = action.frame,
                     .from = 0,
                     .size = action.frame->size(),
                     .op = action.op,
                     .checksum = action.header_checksum,
                     .sequence = 0});
}

// Reads end at once, and are reported after what else was asked for.
void Node::start(const ReadPrepare& action) {
  trace_ += fmt::format(" read {}", action.op.value());
  PrepareRead done{.op = action.op,
                   .header_checksum = action.header_checksum,
                   .status = {},
                   .frame = pool_.take(action.size)};
  done.status = disk_.reader()(file_offset(action.ring_offset), done.frame->bytes());
  reads_.push_back(std::move(done));
}

void Node::start(const WriteMark& action) {
  trace_ += fmt::format(" mark {}", action.sequence);
  const auto in_flight = [](const Write& write) { return write.target == Target::mark; };
  if (std::ranges::any_of(writes_, in_flight)) complain("two marks at once");
  writes_.push_back({.target = Target::mark,
                     .offset = action.sector * mark_size,
                     .bytes = action.bytes,
                     .from = 0,
                     .size = mark_size,
                     .op = {},
                     .checksum = {},
                     .sequence = action.sequence});
}

void Node::start(const WriteSuperblock& action) {
  trace_ += fmt::format(" superblock {}", action.sequence);
  if (superblock_) complain("two superblocks at once");
  superblock_ = action;
  second_phase_ = false;
  start_copies(0);
}

void Node::start_copies(std::size_t first) {
  copies_left_ = 2;
  for (std::size_t i = first; i < first + 2; ++i) {
    const std::size_t copy = superblock_->order[i];
    writes_.push_back({.target = Target::superblock,
                       .offset = copy * sector_size,
                       .bytes = superblock_->bytes,
                       .from = copy * sector_size,
                       .size = sector_size,
                       .op = {},
                       .checksum = {},
                       .sequence = superblock_->sequence});
  }
}

void Node::saw(const Commit& commit) {
  trace_ += fmt::format(" commit {} {}", commit.op.value(), commit.timestamp.value());
  if (commit.op.value() != committed_in_life_.value() + 1) complain("commits out of order");
  committed_in_life_ = commit.op;
  acknowledged_ = std::max(acknowledged_, commit.op);
  const Known now{.checksum = commit.header_checksum,
                  .timestamp = commit.timestamp,
                  .commands = commit.commands};
  const auto [known, is_new] = known_.try_emplace(commit.op.value(), now);
  if (!is_new && known->second.checksum != now.checksum) {
    complain(fmt::format("operation {} changed after it was acknowledged", commit.op.value()));
  }
  const auto before = known_.find(commit.op.value() - 1);
  if (before != known_.end() &&
      commit.timestamp.value() <
          before->second.timestamp.value() + std::max(1U, before->second.commands)) {
    complain("time went back");
  }
  // What the driver does after an open: read the frame again and check it.
  const Bytes ring = Bytes(disk_.journal).subspan(file_offset(commit.ring_offset));
  const auto opened = open_frame(ring.first(core::padded(commit.frame_size)), commit.ring_offset,
                                 commit.header_checksum);
  if (!opened) {
    complain("a committed frame is not on disk: " + to_string(opened.error()));
  } else if (!equal(*opened, commit.body())) {
    complain("a committed body is not the one on disk");
  }
}

void Node::end_write(std::size_t i) {
  const Write write = writes_[i];
  writes_.erase(writes_.begin() + static_cast<std::ptrdiff_t>(i));
  apply(write, {.fate = Fate::whole, .pieces = 0});
  switch (write.target) {
    case Target::prepare:
      step(PrepareWritten{.op = write.op, .header_checksum = write.checksum, .status = {}});
      break;
    case Target::mark:
      step(MarkWritten{.sequence = write.sequence, .status = {}});
      break;
    case Target::superblock: {
      if (--copies_left_ > 0) break;
      if (!second_phase_) {
        second_phase_ = true;
        start_copies(2);
        break;
      }
      const std::uint64_t sequence = superblock_->sequence;
      superblock_.reset();
      const auto read =
          read_superblock(std::span<const std::byte, superblock_size>(disk_.superblock));
      if (!read || !read->findings.empty()) {
        complain("a superblock written whole is not read whole");
      } else {
        view_ = read->superblock.view.value();
        incarnation_ = read->superblock.incarnation;
        checkpoint_ = read->superblock.checkpoint;
        std::erase_if(live_,
                      [&](const auto& frame) { return frame.first <= checkpoint_.op.value(); });
      }
      step(SuperblockWritten{.sequence = sequence, .status = {}});
      break;
    }
  }
}

void Node::fail_write(std::size_t i) {
  const Write write = writes_[i];
  writes_.erase(writes_.begin() + static_cast<std::ptrdiff_t>(i));
  const Error error{Code::unavailable_io, "the disk said no"};
  switch (write.target) {
    case Target::prepare:
      step(PrepareWritten{.op = write.op, .header_checksum = write.checksum, .status = error});
      break;
    case Target::mark:
      step(MarkWritten{.sequence = write.sequence, .status = error});
      break;
    case Target::superblock:
      step(SuperblockWritten{.sequence = write.sequence, .status = error});
      break;
  }
}

void Node::end_all_writes() {
  while (!writes_.empty()) end_write(0);
}

void Node::finish_checkpoint() {
  CheckpointDone done{.op = *checkpoint_due_};
  done.snapshot.fill(static_cast<std::byte>(done.op.value()));
  done.keystore.fill(std::byte{2});
  done.heads.fill(std::byte{3});
  done.state.fill(std::byte{4});
  done.epoch_key.fill(std::byte{5});
  checkpoint_due_.reset();
  step(done);
}

std::optional<std::uint64_t> Node::journal_offset(std::size_t i) const {
  if (writes_[i].target == Target::superblock) return std::nullopt;
  return writes_[i].offset;
}

void Node::apply(const Write& write, Death death) {
  constexpr std::size_t piece = 512;
  if (death.fate == Fate::lost) return;
  std::vector<std::byte>& to = file(write.target);
  const Bytes from = write.bytes->bytes().subspan(write.from, write.size);
  for (std::size_t at = 0; at < write.size; at += piece) {
    const bool kept = death.fate == Fate::whole || ((death.pieces >> (at / piece % 64)) & 1U) != 0;
    if (!kept) continue;
    std::ranges::copy(from.subspan(at, piece),
                      to.begin() + static_cast<std::ptrdiff_t>(write.offset + at));
  }
}

void Node::crash(const std::vector<Death>& deaths) {
  for (std::size_t i = 0; i < writes_.size(); ++i) apply(writes_[i], deaths.at(i));
  writes_.clear();
  superblock_.reset();
  checkpoint_due_.reset();
  replica_.reset();
  trace_ += "crash\n";
}

void Node::crash(Rng& rng) {
  std::vector<Death> deaths;
  deaths.reserve(writes_.size());
  for (std::size_t i = 0; i < writes_.size(); ++i) {
    deaths.push_back({.fate = static_cast<Fate>(below(rng, 3)), .pieces = rng()});
  }
  crash(deaths);
}

Result<JournalAudit> Node::audit() const {
  KIMBERLITE_TRY(const SuperblockRead superblock,
                 read_superblock(std::span<const std::byte, superblock_size>(disk_.superblock)));
  return audit_journal(superblock.superblock, options_.journal, disk_.reader());
}

}  // namespace kimberlite::consensus::testing
