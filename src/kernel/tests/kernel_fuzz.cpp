// What decodes must encode to the same bytes, and applying to it must not assert. The first byte
// chooses between a control payload and the blob of tenant 0.
#include <cstddef>
#include <cstdint>

#include "base/assert.hpp"
#include "sample.hpp"

namespace kimberlite::kernel {
namespace {

void control(Bytes input) {
  const Result<Control> decoded = decode_control(input);
  if (!decoded) return;
  KIMBERLITE_ASSERT(equal(encode_control(*decoded), input));
  sample::Cluster cluster;
  cluster.populate(1);
  cluster.run(sample::control(cluster.state, TenantId{1}, *decoded));
  cluster.run(sample::control(cluster.state, TenantId{}, *decoded));
  KIMBERLITE_ASSERT(sample::reload(cluster.state).has_value());
}

void blob(Bytes input) {
  constexpr std::size_t cluster_at = 16;
  if (input.size() < cluster_at + sizeof(Id128)) return;
  Id128 cluster{};
  std::ranges::copy(input.subspan(cluster_at, cluster.size()), cluster.begin());
  Result<State> state = decode(cluster, std::vector<Blob>{{TenantId{}, input}});
  if (!state) return;
  KIMBERLITE_ASSERT(equal(sample::blobs(*state)[0], input));
  sample::Request made = sample::control(*state, TenantId{}, sample::actor(9));
  static_cast<void>(apply(*state, TimestampUs{1'000'000}, made.ready()));
}

}  // namespace
}  // namespace kimberlite::kernel

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kimberlite::kernel;
  if (size == 0) return 0;
  const auto input = std::as_bytes(std::span{data, size}).subspan(1);
  if (data[0] % 2 == 0) {
    control(input);
  } else {
    blob(input);
  }
  return 0;
}
