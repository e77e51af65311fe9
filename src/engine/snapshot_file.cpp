#include "snapshot_file.hpp"

#include <array>
#include <vector>

#include "base/codec.hpp"
#include "crypto/blake3.hpp"
#include "kernel/snapshot.hpp"

namespace kimberlite::engine {
namespace {

constexpr std::array<std::byte, 8> magic{std::byte{'K'}, std::byte{'B'}, std::byte{'S'},
                                         std::byte{'N'}, std::byte{'A'}, std::byte{'P'},
                                         std::byte{1},   std::byte{0}};
constexpr std::size_t header_size = 8 + 8 + 16 + 8;
constexpr std::size_t checksum_size = sizeof(Hash);

Error damaged(std::string_view why) {
  return Error{Code::integrity_snapshot, "the snapshot is not what was written"}.why("{}", why);
}

}  // namespace

Buffer encode_snapshot(const kernel::State& state, OpNumber op, const keystore::Keystore& keys,
                       env::Random& random) {
  Writer text;
  text.u64(state.tenant_count());
  kernel::encode_all(state, [&](TenantId tenant, Bytes blob) {
    text.id(tenant);
    text.u64(blob.size());
    text.bytes(blob);
  });
  const Buffer sealed = keys.seal_local(text.buffer(), random);
  Writer file;
  file.bytes(magic);
  file.id(op);
  file.bytes(state.cluster());
  file.u64(sealed.size());
  file.bytes(sealed);
  file.bytes(crypto::blake3(file.buffer()));
  return std::move(file).take();
}

Result<SnapshotHeader> read_snapshot_header(Bytes file) {
  if (file.size() < header_size + checksum_size) return damaged("it is too short");
  Reader reader{file};
  if (!equal(reader.bytes(magic.size()), magic))
    return damaged("it does not begin as a snapshot does");
  SnapshotHeader header;
  header.op = reader.id<OpNumber>();
  header.cluster = reader.array<16>();
  header.sealed_size = reader.u64();
  header.sealed_at = reader.at();
  if (header.sealed_size != file.size() - header_size - checksum_size)
    return damaged("its size is wrong");
  const std::size_t checked = file.size() - checksum_size;
  if (!equal(crypto::blake3(file.first(checked)), file.subspan(checked))) {
    return damaged("its checksum is wrong");
  }
  return header;
}

Result<kernel::State> decode_snapshot(Bytes file, const keystore::Keystore& keys) {
  KIMBERLITE_TRY(const SnapshotHeader header, read_snapshot_header(file));
  KIMBERLITE_TRY(const Buffer text,
                 keys.open_local(file.subspan(header.sealed_at, header.sealed_size)));
  Reader reader{text};
  const std::uint64_t count = reader.u64();
  std::vector<kernel::Blob> blobs;
  for (std::uint64_t i = 0; i < count && !reader.failed(); ++i) {
    const TenantId tenant = reader.id<TenantId>();
    const std::uint64_t size = reader.u64();
    blobs.push_back({tenant, reader.bytes(size)});
  }
  if (!reader.finished()) return damaged("its list of tenants does not fit");
  return kernel::decode(header.cluster, blobs);
}

}  // namespace kimberlite::engine
