#include "vfs_seal.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/le.hpp"

namespace kimberlite::projection {
namespace {

constexpr std::size_t nonce_at = page_usable;
constexpr std::size_t tag_at = nonce_at + crypto::xaes_nonce_size;
constexpr std::size_t origin_at = tag_at + crypto::tag_size;
constexpr std::size_t origin_size = 16;
constexpr std::size_t context_size = 16;

static_assert(origin_at + origin_size == page_size);

}  // namespace

// file id 16 · kind 1 · zero 11 · number u32 · context 16
PageSealer::Associated PageSealer::associated(std::byte kind, std::uint32_t number,
                                              Bytes context) const {
  Associated data{};
  std::ranges::copy(file_id_, data.begin());
  data[16] = kind;
  store_le(&data[28], number);
  KIMBERLITE_ASSERT(context.size() == context_size);
  std::ranges::copy(context, data.begin() + 32);
  return data;
}

// The context is the header's page number and commit size, and the generation. The rest of the
// header is SQLite's own, and changes when it rewrites a frame.
PageSealer::Associated PageSealer::frame_associated(std::uint32_t frame, Generation generation,
                                                    FrameHeader header) const {
  std::array<std::byte, context_size> context{};
  std::copy_n(header.begin(), 8, context.begin());
  store_le(&context[8], generation);
  return associated(std::byte{'W'}, frame, context);
}

void PageSealer::seal(const Associated& associated, Page page, env::Random& random) const {
  crypto::XaesNonce nonce;
  random.fill(nonce);
  const crypto::Tag tag = crypto::xaes_seal(key_, nonce, associated, page.first<page_usable>());
  std::ranges::copy(nonce, page.begin() + nonce_at);
  std::ranges::copy(tag, page.begin() + tag_at);
}

bool PageSealer::open(const Associated& associated, Page page) const {
  crypto::XaesNonce nonce;
  crypto::Tag tag;
  std::copy_n(page.begin() + nonce_at, nonce.size(), nonce.begin());
  std::copy_n(page.begin() + tag_at, tag.size(), tag.begin());
  const bool authentic = crypto::xaes_open(key_, nonce, associated, page.first<page_usable>(), tag);
  std::ranges::fill(page.last<page_reserved>(), std::byte{0});
  return authentic;
}

void PageSealer::seal_page(std::uint32_t number, const Origin& origin, Page page,
                           env::Random& random) const {
  KIMBERLITE_ASSERT(all_zero(page.last<page_reserved>()));
  store_le(&page[origin_at], origin.generation);
  store_le(&page[origin_at + 8], origin.frames);
  seal(associated(std::byte{'P'}, number, page.last<origin_size>()), page, random);
}

bool PageSealer::open_page(std::uint32_t number, Page page) const {
  return open(associated(std::byte{'P'}, number, page.last<origin_size>()), page);
}

void PageSealer::seal_frame(std::uint32_t frame, Generation generation, FrameHeader header,
                            Page page, env::Random& random) const {
  KIMBERLITE_ASSERT(all_zero(page.last<page_reserved>()));
  seal(frame_associated(frame, generation, header), page, random);
}

bool PageSealer::open_frame(std::uint32_t frame, Generation generation, FrameHeader header,
                            Page page) const {
  // A frame has no origin; its place is written as zeros, and read as nothing else.
  const bool padded = all_zero(page.last<origin_size>());
  return open(frame_associated(frame, generation, header), page) && padded;
}

Origin PageSealer::origin_of(std::span<const std::byte, page_size> page) {
  return {.generation = load_le<std::uint64_t>(&page[origin_at]),
          .frames = load_le<std::uint32_t>(&page[origin_at + 8])};
}

}  // namespace kimberlite::projection
