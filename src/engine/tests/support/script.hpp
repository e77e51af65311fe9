// A scripted workload for the engine: statements of several tenants, from a seed, and what running
// them did.
//
// The script is text alone: it does not depend on what became of earlier steps, so that after a
// crash or a failure the rest of it can still be run. Among its steps some are meant to be refused.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/database.hpp"
#include "keystore/master_key.hpp"
#include "platform/env.hpp"
#include "vopr/sim_env.hpp"

namespace kimberlite::engine::test {

enum class StepKind : std::uint8_t {
  statement,      // one statement
  list,           // an atomic list
  transaction,    // BEGIN, the statements, COMMIT, or ROLLBACK
  append,         // events to a stream
  create_tenant,  //
  rotate_key,     // the tenant's data key
  reopen,         // close, which makes a checkpoint, and open
  sign,           // a head of the tenant's log, and its newest record's receipt
  read_now,       // AS OF TIMESTAMP NOW(), which commits an empty prepare
};

struct Step {
  StepKind kind = StepKind::statement;
  std::string tenant;
  std::vector<std::string> texts;  // statements, or events' payloads
  std::string stream;
  std::optional<std::uint64_t> expected;  // sequence
  bool rolled_back = false;
};

[[nodiscard]] std::vector<Step> make_script(std::uint64_t seed, std::size_t steps);

struct StepResult {
  std::optional<Code> refused;  // how it failed
  std::string error;            // and the whole message
  Position position;            // of its record; 0 if it left none
  Hash leaf{};
};

// The request id a step is done under, whenever it is done.
[[nodiscard]] Id128 request_id(std::size_t step);

// The master key of every simulated database; it lives outside their disks.
[[nodiscard]] keystore::MasterKey& master_key();

[[nodiscard]] CreateOptions create_options();
[[nodiscard]] Options open_options();

// An open database on a simulated machine, and the sessions on it.
class Machine {
 public:
  Machine(std::uint64_t seed, const vopr::DiskImage& image, vopr::Faults faults = {});
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  [[nodiscard]] vopr::SimEnv& world() { return *world_; }
  [[nodiscard]] vopr::SimStorage& storage() { return world_->storage(); }
  [[nodiscard]] Database& database() { return *database_; }
  [[nodiscard]] bool is_open() const { return database_ != nullptr; }
  [[nodiscard]] Status open();
  [[nodiscard]] Status close();
  [[nodiscard]] StepResult run(const Step& step, std::size_t number);

 private:
  [[nodiscard]] Result<Session*> session(const std::string& tenant);
  [[nodiscard]] Result<Outcome> perform(const Step& step, const Why& why);
  [[nodiscard]] Result<Outcome> transaction(Session& session, const Step& step, const Why& why);

  std::unique_ptr<vopr::SimEnv> world_;
  std::unique_ptr<Database> database_;
  std::map<std::string, std::unique_ptr<Session>> sessions_;
};

// The disk right after `Database::create`.
[[nodiscard]] vopr::DiskImage fresh_disk(std::uint64_t seed);

// "--name=" of the test's command line.
[[nodiscard]] std::uint64_t option(std::string_view name, std::uint64_t otherwise);

}  // namespace kimberlite::engine::test
