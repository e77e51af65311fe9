#include "support/solo.hpp"

#include <algorithm>

#include "consensus/core/ring.hpp"
#include "crypto/blake3.hpp"

namespace kimberlite::consensus::testing {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::size_t body_size = 300;

}  // namespace

Solo::Solo(std::uint8_t index, std::uint8_t voters, std::uint64_t format)
    : options_{.journal = {.ring_size = 64 * sector_size, .prepare_size_max = 4 * sector_size},
               .token = 1,
               .format = format},
      disk_(options_.journal.ring_size) {
  genesis_ = genesis();
  cluster_ = genesis_.cluster;
  genesis_.configuration = group_of(voters, 0);
  genesis_.replica = index;
  known_.fill(genesis_.configuration);
  encode_superblock(first_superblock(genesis_),
                    std::span<std::byte, superblock_size>(disk_.superblock));
  open();
  end_writes();
  forget();
}

void Solo::lose_disk() {
  crash();
  disk_ = Disk{options_.journal.ring_size};
  genesis_.anew = now_.realtime;
  encode_superblock(first_superblock(genesis_),
                    std::span<std::byte, superblock_size>(disk_.superblock));
}

void Solo::expect(bool holds, const std::string& what) {
  if (!holds) wrong_ += what + "\n";
}

void Solo::hear_hello(std::uint8_t from) {
  hear(from, 0,
       Hello{.seen = lives().at(replica_->index()),
             .answered = true,
             .tokens = {},
             .configuration = {}});
}

Lives Solo::lives() const {
  Lives all = lives_;
  all.at(replica_->index()) = {.incarnation = replica_->incarnation(), .token = options_.token};
  return all;
}

std::string Solo::why_not_open() {
  const std::string before = std::exchange(wrong_, {});
  open();
  return std::exchange(wrong_, before);
}

void Solo::open() {
  auto superblock = read_superblock(std::span<const std::byte, superblock_size>(disk_.superblock));
  if (!superblock) return expect(false, "superblock: " + to_string(superblock.error()));
  auto journal = recover_journal(superblock->superblock, options_.journal, disk_.reader());
  if (!journal) return expect(false, "journal: " + to_string(journal.error()));
  std::vector<Action> actions;
  auto replica = Replica::open(
      now_, options_, {.superblock = *std::move(superblock), .journal = *std::move(journal)}, pool_,
      actions);
  if (!replica) return expect(false, "replica: " + to_string(replica.error()));
  replica_ = *std::move(replica);
  carry_out(actions);
}

void Solo::crash() {
  replica_.reset();
  options_.token = options_.token * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
  writes_.clear();
  reads_.clear();
  commits_.clear();
  checkpointing_.reset();
  greeted_ = 0;
  forget();
}

void Solo::step(const Event& event) {
  std::vector<Action> actions;
  replica_->step(now_, event, actions);
  carry_out(actions);
}

void Solo::carry_out(const std::vector<Action>& actions) {
  for (const Action& action : actions) {
    if (const auto* send = std::get_if<Send>(&action)) {
      auto message = decode_message(send->message->bytes(), cluster_);
      if (message) {
        sent_.push_back(*std::move(message));
      } else {
        expect(false, "said what is no message: " + to_string(message.error()));
      }
    } else if (const auto* commit = std::get_if<Commit>(&action)) {
      commits_.push_back(commit->op.value());
    } else if (const auto* read = std::get_if<ReadPrepare>(&action)) {
      reads_.push_back(*read);
    } else if (std::holds_alternative<Abandon>(action)) {
      ++abandoned_;
    } else if (std::holds_alternative<ReadReady>(action)) {
      ++reads_ready_;
    } else if (const auto* checkpoint = std::get_if<StartCheckpoint>(&action)) {
      checkpointing_ = checkpoint->op;
    } else if (std::holds_alternative<WritePrepare>(action) ||
               std::holds_alternative<WriteMark>(action) ||
               std::holds_alternative<WriteSuperblock>(action)) {
      writes_.push_back(action);
    }
  }
}

void Solo::end_writes() {
  end_those_in_flight();
  if (!is_greeted_ || replica_->status() == ReplicaStatus::failed ||
      greeted_ == replica_->incarnation()) {
    return;
  }
  greeted_ = replica_->incarnation();
  for (std::uint8_t member = 0; member < members_max; ++member) {
    if (member != replica_->index() && configuration().has(member)) hear_hello(member);
  }
  end_those_in_flight();
}

void Solo::end_those_in_flight() {
  while (!writes_.empty()) end_write();
}

void Solo::end_write(std::size_t which) {
  const auto at = writes_.begin() + static_cast<std::ptrdiff_t>(which);
  const Action write = std::move(*at);
  writes_.erase(at);
  if (const auto* prepare = std::get_if<WritePrepare>(&write)) {
    std::ranges::copy(
        prepare->frame->bytes(),
        disk_.journal.begin() + static_cast<std::ptrdiff_t>(file_offset(prepare->ring_offset)));
    places_[prepare->op.value()] = prepare->ring_offset;
    step(PrepareWritten{prepare->op, prepare->header_checksum, {}});
  } else if (const auto* mark = std::get_if<WriteMark>(&write)) {
    std::ranges::copy(
        mark->bytes->bytes(),
        disk_.journal.begin() + static_cast<std::ptrdiff_t>(mark->sector * sector_size));
    step(MarkWritten{mark->sequence, {}});
  } else if (const auto* superblock = std::get_if<WriteSuperblock>(&write)) {
    std::ranges::copy(superblock->bytes->bytes(), disk_.superblock.begin());
    step(SuperblockWritten{superblock->sequence, {}});
  }
}

void Solo::end_reads() {
  for (const ReadPrepare& read : std::exchange(reads_, {})) {
    PrepareRead done{read.op, read.header_checksum, {}, pool_.take(read.size)};
    done.status = disk_.reader()(file_offset(read.ring_offset), done.frame->bytes());
    step(done);
  }
}

void Solo::end_sync(const Checkpoint& of_peer) {
  step(SyncDone{.checkpoint = of_peer, .configuration = configuration()});
  end_writes();
}

void Solo::checkpoint() {
  step(RequestCheckpoint{});
  if (!checkpointing_) return expect(false, "no checkpoint was begun");
  step(CheckpointDone{.op = *std::exchange(checkpointing_, std::nullopt)});
  end_writes();
}

void Solo::wait(std::uint64_t how_long_ms) {
  for (std::uint64_t i = 0; i < how_long_ms; ++i) {
    now_.monotonic_ns += ms;
    now_.realtime = TimestampUs{now_.realtime.value() + 1000};
    step(Tick{});
  }
}

void Solo::propose() {
  const std::uint64_t ticket = next_ticket_++;
  step(Propose{.ticket = ticket, .frame = body(pool_, body_size, ticket), .commands = 1});
}

void Solo::change(const Configuration& to) {
  step(Reconfigure{.ticket = next_ticket_++, .configuration = to});
}

void Solo::read_index() { step(ReadIndex{.ticket = next_ticket_++}); }

void Solo::hear_clock(std::uint8_t from, std::int64_t off_us) {
  const auto asked = said<Ping>();
  if (asked.empty()) return expect(false, "no ping was sent");
  const auto wall = static_cast<std::int64_t>(now_.realtime.value()) + off_us;
  hear(from, replica_->view().value(),
       Pong{.round = asked.back().round, .wall = TimestampUs{static_cast<std::uint64_t>(wall)}});
}

void Solo::step_clock(std::int64_t us) {
  const auto wall = static_cast<std::int64_t>(now_.realtime.value()) + us;
  now_.realtime = TimestampUs{static_cast<std::uint64_t>(wall)};
}

Solo::Made Solo::next(const PrepareHeader& parent, std::uint64_t view, std::uint64_t fill,
                      std::optional<TimestampUs> timestamp, std::uint64_t commit) const {
  BlockPool pool;
  MutableBuffer frame = body(pool, body_size, fill);
  FrameHead head{.ring_offset = 0, .durable = {}, .prepare = parent};
  head.prepare.parent = parent.checksum;
  head.prepare.view = ViewNumber{view};
  head.prepare.op = OpNumber{parent.op.value() + 1};
  head.prepare.commit = OpNumber{commit};
  head.prepare.timestamp =
      timestamp.value_or(std::max(next_timestamp(parent), TimestampUs{1'700'000'000'000'000}));
  head.prepare.size = static_cast<std::uint32_t>(frame->size() - local_header_size);
  head.prepare.commands = 1;
  frame->resize(core::padded(frame->size()));
  seal_frame(head, frame->bytes());
  return {head.prepare, frame};
}

Suffix Solo::log_of(const std::vector<Made>& prepares) const {
  Suffix suffix{.base = {}, .base_checksum = root().checksum, .headers = {}};
  for (const Made& made : prepares) suffix.headers.push_back(made.header);
  return suffix;
}

void Solo::ask_for_view(std::uint64_t view, std::uint8_t a, std::uint8_t b) {
  const ViewNumber current = replica().view();
  hear(a, view, StartViewChange{current});
  hear(b, view, StartViewChange{current});
}

void Solo::hear(std::uint8_t from, std::uint64_t view, Payload payload, std::uint64_t commit) {
  if (auto* hello = std::get_if<Hello>(&payload)) hello->configuration = known_.at(from);
  const Buffer bytes = encode_message({.from = from,
                                       .life = lives_.at(from),
                                       .epoch = static_cast<std::uint32_t>(known_.at(from).epoch),
                                       .view = ViewNumber{view},
                                       .commit = OpNumber{commit},
                                       .payload = std::move(payload)},
                                      cluster_, pool_);
  MutableBuffer copy = pool_.take(bytes->size());
  std::ranges::copy(bytes->bytes(), copy->bytes().begin());
  step(Received{from, std::move(copy)});
}

void Solo::hear(std::uint8_t from, std::uint64_t view, const Made& prepare, std::uint64_t commit) {
  const Buffer bytes =
      encode_prepare_message({.from = from,
                              .epoch = static_cast<std::uint32_t>(known_.at(from).epoch),
                              .view = ViewNumber{view},
                              .commit = OpNumber{commit},
                              .payload = Prepare{prepare.header}},
                             prepare.frame->bytes(), pool_);
  MutableBuffer copy = pool_.take(bytes->size());
  std::ranges::copy(bytes->bytes(), copy->bytes().begin());
  step(Received{from, std::move(copy)});
}

void Solo::rot(std::uint64_t op) {
  disk_.journal[file_offset(places_.at(op)) + frame_header_size + 5] ^= std::byte{1};
}

void Solo::rot_marks() {
  for (const std::size_t at : {std::size_t{0}, sector_size}) {
    disk_.journal[at + 5] ^= std::byte{1};
  }
}

void Solo::rot_head(std::uint64_t op) {
  disk_.journal[file_offset(places_.at(op)) + 5] ^= std::byte{1};
}

bool Solo::writes_prepare() const {
  return std::ranges::any_of(
      writes_, [](const Action& write) { return std::holds_alternative<WritePrepare>(write); });
}

}  // namespace kimberlite::consensus::testing
