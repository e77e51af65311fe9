// A group of whole databases on simulated machines: made, opened, written to by clients that follow
// the primary, struck by what its user does, and compared at the end.
//
// The databases are the product's own; only what is under them is simulated (sim_group.hpp). All of
// a group follows from its seed and the calls made.
//
// Thread rule: one thread. Errors: those of the database, as a client would hear them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/database.hpp"
#include "engine/verify.hpp"
#include "keystore/master_key.hpp"
#include "vopr/sim_group.hpp"

namespace kimberlite::vopr {

struct GroupPlan {
  std::uint8_t voters = 3;
  std::uint8_t standbys = 0;  // numbered after the voters
  std::uint8_t spares = 0;    // machines that are off, numbered after these: of members to come
  std::uint64_t ring_size = std::uint64_t{64} << 20;
  std::uint64_t checkpoint_commands = 1'000'000;
  std::uint64_t quorum_timeout_ns = 10'000'000'000;
  std::uint64_t cluster_head_every_ns = 0;  // as the database's option
  bool strict = false;                      // acknowledge only what a mark names
  bool forward = false;                     // writes asked at a backup are carried to the primary
};

// How two replicas that ought to be alike are not.
enum class Unlike : std::uint8_t { state, heads, rows, nothing_read };
struct Difference {
  Unlike what = Unlike::nothing_read;
  std::string text;
};

// What is asked of a session: a write, or a read that says in `Outcome::returning` what it saw.
using Ask = std::function<Result<engine::Outcome>(engine::Session&)>;

class Group {
 public:
  // Makes the replicas' directories and opens them.
  [[nodiscard]] static Result<std::unique_ptr<Group>> make(std::uint64_t seed,
                                                           const GroupPlan& plan);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  [[nodiscard]] SimGroup& world() { return world_; }
  [[nodiscard]] engine::Database& database(std::uint8_t replica) { return *databases_[replica]; }
  [[nodiscard]] bool is_up(std::uint8_t replica) const { return world_.is_on(replica); }
  [[nodiscard]] std::uint8_t size() const { return world_.size(); }

  // Its power goes. If a call is under way there, the caller hears nothing any more, and the
  // replica can be started again when the call has returned.
  void kill(std::uint8_t replica);
  // Left off if its database refuses to open.
  [[nodiscard]] Status start(std::uint8_t replica);
  // `cluster recover` on its machine, which is off, and stays so: a directory made anew on an empty
  // disk.
  [[nodiscard]] Status recover(std::uint8_t replica);
  // The one a client's call is under way at; of several calls the last one made.
  [[nodiscard]] std::optional<std::uint8_t> busy() const {
    return calls_.empty() ? std::nullopt : std::optional{calls_.back()};
  }
  // A call is under way there, a client's or one that another replica forwarded.
  [[nodiscard]] bool is_busy(std::uint8_t replica) const {
    return std::ranges::find(calls_, replica) != calls_.end() || serving_.contains(replica);
  }
  // Changes the group, by one try at its primary, or at one replica.
  [[nodiscard]] Status change(const engine::MemberChange& change);
  [[nodiscard]] Status change_at(std::uint8_t replica, const engine::MemberChange& change);
  // Adds a standby of a new id to the group, and makes its directory on its machine's empty disk;
  // the machine stays off.
  [[nodiscard]] Status add(std::uint8_t index);
  // Who is in the group, as of the last change that was done here.
  [[nodiscard]] const engine::Membership& membership() const { return membership_; }
  // Who says that it is the primary of the newest view.
  [[nodiscard]] std::optional<std::uint8_t> primary();
  [[nodiscard]] bool wait_for_primary(std::uint64_t ns);

  // What one replica says of itself.
  [[nodiscard]] Result<engine::StatusReport> status(std::uint8_t replica);
  // Where consensus stands there; nothing of a replica that is down.
  [[nodiscard]] std::optional<engine::Glance> glance(std::uint8_t replica) const;
  // The database there ends in good order; the machine stays on, with nobody on it.
  [[nodiscard]] Status close(std::uint8_t replica);
  // What `verify`, with projections, finds in a copy of its directory as it is now.
  [[nodiscard]] Result<engine::VerifyReport> verify(std::uint8_t replica);

  // What one try at one replica answered.
  [[nodiscard]] Result<engine::Outcome> perform_at(std::uint8_t replica, std::string_view tenant,
                                                   const Ask& ask);
  // By another client than all others, in a session of its own: nothing of theirs is open in it.
  [[nodiscard]] Result<engine::Outcome> perform_beside(std::uint8_t replica,
                                                       std::string_view tenant, const Ask& ask);
  // Tries every replica until one takes it, so it must be what may be asked twice; the last error
  // after `ns`.
  [[nodiscard]] Result<engine::Outcome> perform(std::string_view tenant, const Ask& ask,
                                                std::uint64_t ns);
  [[nodiscard]] Result<engine::Outcome> rotate_data_key(std::string_view tenant,
                                                        const Id128& request_id, std::uint64_t ns);
  // `perform` of one statement, under one request id.
  [[nodiscard]] Result<engine::Outcome> execute_at(std::uint8_t replica, std::string_view tenant,
                                                   std::string_view sql, const engine::Why& why);
  [[nodiscard]] Result<engine::Outcome> execute(std::string_view tenant, std::string_view sql,
                                                const Id128& request_id, std::uint64_t ns);
  // The first value of the first row.
  [[nodiscard]] Result<Value> ask_at(std::uint8_t replica, std::string_view tenant,
                                     std::string_view sql);
  // One event; and how many a stream has.
  [[nodiscard]] Result<engine::Outcome> append_at(std::uint8_t replica, std::string_view tenant,
                                                  std::string_view stream, std::string_view payload,
                                                  const engine::Why& why);
  [[nodiscard]] Result<std::size_t> events_at(std::uint8_t replica, std::string_view tenant,
                                              std::string_view stream);
  [[nodiscard]] Status create_tenant(std::string_view name, std::uint64_t ns);

  // Everyone is up and has applied the same; false after `ns`.
  [[nodiscard]] bool converge(std::uint64_t ns);
  // What differs between the replicas that are up: state digests, log heads, projection dumps.
  // Empty is good.
  [[nodiscard]] std::vector<Difference> compare(std::string_view tenant);
  [[nodiscard]] std::string differences(std::string_view tenant);
  [[nodiscard]] std::string picture();

 private:
  Group(std::uint64_t seed, const GroupPlan& plan);
  [[nodiscard]] Status found();
  [[nodiscard]] engine::GroupOptions options_of(std::uint8_t replica) const;
  void bury(std::uint8_t replica);
  void turn(std::uint8_t replica);
  [[nodiscard]] Result<engine::Session*> session(std::uint8_t replica, std::string_view tenant);
  [[nodiscard]] Result<engine::Outcome> follow(
      const std::function<Result<engine::Outcome>(std::uint8_t replica)>& ask, std::uint64_t ns);
  // What `call` answers, a call into the database of that replica; an error if it died meanwhile.
  template <class Call>
  [[nodiscard]] auto call_at(std::uint8_t replica, Call call) -> decltype(call());

  GroupPlan plan_;
  SimEnv key_world_;  // where the master key is kept, and its randomness
  std::unique_ptr<keystore::MasterKey> master_;
  Buffer keys_;  // as the first replica gave them
  engine::Membership membership_;
  SimGroup world_;
  std::vector<std::uint8_t> calls_;  // under way, the innermost last
  std::set<std::uint8_t> serving_;
  std::vector<std::unique_ptr<engine::Database>> databases_;
  std::vector<std::map<std::string, std::unique_ptr<engine::Session>, std::less<>>> sessions_;
};

}  // namespace kimberlite::vopr
