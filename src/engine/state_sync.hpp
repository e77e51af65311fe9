// Taking the state of a peer's checkpoint, for a replica whose group no longer has the journal it
// would need; and giving it.
//
// The taker asks for one piece at a time and asks again until it came, so the giver keeps nothing
// in mind: what the checkpoint is, keystore and snapshot, then the records the taker's logs lack.
// Every byte is held against something: files against the hashes of the checkpoint, the state
// against its digest, each record against the log before it, and each log in the end against the
// head the state names. A giver that has gone on to another checkpoint answers that it has not what
// is asked for; the taker gives up and begins with the next one.
//
//   frame   checksum 32 (BLAKE3 of all the rest) · "KBT1" · kind u8 · zero 3 · cluster 16 ·
//           ticket u64 · checkpoint op u64, then by kind; an answer bears its question's ticket
//     1 ask what        -
//     2 it is           header checksum 32 · next timestamp u64 · keystore 32 · snapshot 32 ·
//                       heads 32 · state 32 · configuration of the group 232 · sizes of keystore
//                       and snapshot u64 each
//     3 ask file        0 keystore, 1 snapshot u8 · offset u64
//     4 file            the same · bytes
//     5 ask records     tenant u64 · lane u16 · from position u64
//     6 records         the same · frames as in segments (record/frame.hpp)
//     7 no              -
//
// The keystore file is wrapped by the giver's master key: the taker's must open it. Thread rule:
// the core's strand.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/codec.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "consensus/superblock.hpp"
#include "kernel/state.hpp"
#include "keystore/keystore.hpp"

namespace kimberlite::engine {

class Core;

// How far a sync has come.
struct SyncProgress {
  std::uint8_t from = 0;
  OpNumber op;
  std::uint64_t ticket = 0;
  Buffer question;
  std::uint64_t asked_ns = 0;
  std::uint64_t answered_ns = 0;
  std::optional<consensus::Checkpoint> checkpoint;
  consensus::Configuration configuration;
  std::uint64_t sizes[2]{};
  Buffer files[2];
  std::optional<keystore::Keystore> keys;
  std::optional<kernel::State> state;
  std::uint64_t tenant = 0;  // whose records are asked for
  std::uint8_t lane = 0;
  record::Head head;  // of that log, here
};

class StateSync {
 public:
  explicit StateSync(Core& core) : core_(core) {}

  // True if `frame` is of this kind of message.
  [[nodiscard]] static bool is_frame(Bytes frame);

  // Ends by `Core::install_state` or `Core::state_not_had`.
  void start(std::uint8_t from, OpNumber op);
  void received(std::uint8_t from, Bytes frame);
  // Asks again what was not answered; gives up after a while without an answer.
  void tick(std::uint64_t now_ns);

 private:
  void ask(std::uint8_t kind, const Writer& body);
  void next();
  void next_log();
  void begin_log();
  void give_up(const std::string& why);
  [[nodiscard]] Status take(std::uint8_t kind, Reader& body);
  [[nodiscard]] Status take_manifest(Reader& body);
  [[nodiscard]] Status take_file(Reader& body);
  [[nodiscard]] Status take_records(Reader& body);
  [[nodiscard]] Status open_files();
  [[nodiscard]] std::optional<Writer> answer(std::uint8_t kind, OpNumber op, Reader& body);
  [[nodiscard]] Buffer seal(std::uint8_t kind, std::uint64_t ticket, OpNumber op, Bytes body) const;

  Core& core_;
  std::optional<SyncProgress> taking_;
  std::uint64_t tickets_ = 0;
};

}  // namespace kimberlite::engine
