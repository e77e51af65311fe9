#include "nonces.hpp"

#include <fmt/format.h>

#include <set>
#include <tuple>

#include "log/segment.hpp"
#include "record/body.hpp"
#include "record/frame.hpp"

namespace kimberlite::vopr {
namespace {

using Nonce = decltype(record::ItemHeader::nonce);
using Used = std::set<std::tuple<std::string, KeyId, Nonce>>;

std::optional<std::string> look(const std::string& path, Bytes segment, Used& used) {
  const std::string tenant = path.substr(0, path.find('/', path.find('/') + 1));
  std::size_t at = std::min(segment.size(), log::segment_header_size);
  while (at < segment.size()) {
    const auto frame = record::parse_frame(segment.subspan(at));
    if (!frame) return std::nullopt;
    const auto items = record::split_body(frame->body);
    if (!items) return std::nullopt;
    for (const record::ItemView& item : *items) {
      if (used.emplace(tenant, item.header.key, item.header.nonce).second) continue;
      return fmt::format("{}, byte {}: key {} was used with this nonce before", path, at,
                         item.header.key.value());
    }
    at += frame->size;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> nonce_used_twice(const DiskImage& image) {
  Used used;
  for (const auto& [path, file] : image.files()) {
    if (!path.ends_with(".segment")) continue;
    Buffer bytes(file.bytes.size());
    file.bytes.read(0, bytes);
    if (auto twice = look(path, bytes, used)) return twice;
  }
  return std::nullopt;
}

}  // namespace kimberlite::vopr
