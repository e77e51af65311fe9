// Changes of the group, and what must hold of them.
#include "consensus/core/quorum.hpp"
#include "support/cluster.hpp"

namespace kimberlite::consensus::testing {

bool Cluster::change_group() {
  for (std::uint8_t i = 0; i < members(); ++i) {
    if (!is_up(i) || !replica(i).may_propose()) continue;
    Configuration to = replica(i).configuration();
    const std::uint16_t voters = to.voters;
    ++to.epoch;
    const std::uint64_t first = below(rng_, members());
    bool may = false;
    for (std::uint8_t n = 0; n < members() && !may; ++n) {
      to.voters = static_cast<std::uint16_t>(voters ^ (1U << ((first + n) % members())));
      may = replica(i).check_reconfigure(to).has_value();
    }
    if (!may) return false;
    note(fmt::format("replica {} is to make it epoch {}, voters {:b}", i, to.epoch, to.voters));
    plausible_.push_back(to);
    feed(i, Reconfigure{.ticket = next_ticket_++, .configuration = to});
    return true;
  }
  return false;
}

void Cluster::saw_configuration(const Commit& commit) {
  const auto header =
      decode_prepare(commit.frame->bytes().subspan<local_header_size, prepare_header_size>());
  if (!header || !header->configures) return;
  const auto made = decode_configuration(commit.body().first<configuration_size>());
  if (!made) return complain("a configuration that cannot be read is committed");
  ++counts_.changes;
  note(fmt::format("epoch {} at {}, voters {:b}", made->epoch, commit.op.value(), made->voters));
  const Configuration before =
      configurations_.empty() ? genesis_of(0).configuration : configurations_.rbegin()->second;
  if (made->op != commit.op || !check_change(before, *made)) {
    complain("a configuration that does not follow the one before is committed");
  }
  configurations_[made->epoch] = *made;
  plausible_ = {before, *made};
}

}  // namespace kimberlite::consensus::testing
