#include "log/tile_directory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "crypto/sha256.hpp"
#include "made_log.hpp"
#include "record/signed_head.hpp"

namespace kimberlite::log {
namespace {

using made::Heads;

constexpr std::string_view directory = "public";

// Long logs of small records.
constexpr made::Shape shape{.items_max = 1, .blocks_max = 1};

class LogTiles final : public TileSource {
 public:
  explicit LogTiles(TenantLog& log) : log_(log) {}
  Result<Buffer> tile(const record::TileName& name, const Tree& in) override {
    return log_.tile(name, in);
  }
  Result<Hash> root_at(std::uint64_t size) override { return log_.root_at(size); }

 private:
  TenantLog& log_;
};

crypto::SigningKey signing_key() {
  return crypto::SigningKey{crypto::Key256{record::sample::counting<std::array<std::byte, 32>>(1)}};
}
StoredHead head_at(const Heads& heads, std::uint64_t size) {
  return sign(made::log_id(0), tree_of(heads[size]), TimestampUs{size}, signing_key());
}

// A reader of what was published that knows the specification and nothing of the code above: the
// files of a directory, and the tree made from the leaf tiles as RFC 6962 defines it.
class Reader {
 public:
  explicit Reader(const vopr::DiskImage& image) : image_(image) {}

  static Hash node(const Hash& left, const Hash& right) {
    const std::array prefix{std::byte{1}};
    return crypto::sha256(prefix, left, right);
  }
  // NOLINTNEXTLINE(misc-no-recursion): the RFC defines it so.
  static Hash tree(std::span<const Hash> leaves) {
    if (leaves.size() == 1) return leaves[0];
    std::size_t half = 1;
    while (half * 2 < leaves.size()) half *= 2;
    return node(tree(leaves.first(half)), tree(leaves.subspan(half)));
  }
  static std::string path(unsigned level, std::uint64_t number, std::uint64_t width) {
    std::string digits = fmt::format("{:09}", number);
    std::string name;
    if (number >= 1'000'000) name += "x" + digits.substr(0, 3) + "/";
    if (number >= 1'000) name += "x" + digits.substr(3, 3) + "/";
    name += digits.substr(6);
    return fmt::format("public/tile/{}/{}{}", level, name,
                       width == 256 ? std::string{} : fmt::format(".p/{}", width));
  }
  // All hashes of a level, from its tiles.
  std::vector<Hash> level(unsigned level, std::uint64_t hashes) {
    std::vector<Hash> all;
    for (std::uint64_t number = 0; number * 256 < hashes; ++number) {
      const std::uint64_t width = std::min<std::uint64_t>(256, hashes - number * 256);
      const std::string name = path(level, number, width);
      EXPECT_TRUE(image_.contains(name)) << name;
      const Buffer bytes = image_.contains(name) ? image_.read(name) : Buffer(width * 32);
      EXPECT_EQ(bytes.size(), width * 32) << name;
      read_.insert(name);
      for (std::uint64_t i = 0; i < width; ++i) {
        Hash hash{};
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(i * 32), 32, hash.begin());
        all.push_back(hash);
      }
    }
    return all;
  }
  // The root over the leaf tiles; checks that every tile above says the same.
  Hash root(std::uint64_t size) {
    std::vector<Hash> below = level(0, size);
    const Hash root = tree(below);
    for (unsigned at = 1; size >> (8 * at) > 0; ++at) {
      const std::vector<Hash> here = level(at, size >> (8 * at));
      for (std::size_t i = 0; i < here.size(); ++i) {
        EXPECT_EQ(here[i], tree(std::span{below}.subspan(i * 256, 256))) << at << " " << i;
      }
      below = here;
    }
    return root;
  }
  [[nodiscard]] const std::set<std::string>& read() const { return read_; }

 private:
  const vopr::DiskImage& image_;
  std::set<std::string> read_;
};

std::string checkpoint_in(const vopr::DiskImage& image) {
  return std::string{text_of(image.read("public/checkpoint"))};
}

TEST(TileDirectory, EverySizeLeadsToItsRoot) {
  vopr::SimEnv world{1};
  const auto log = made::open(world.storage());
  LogTiles source{*log};
  Heads heads{{}};
  std::set<std::string> expected;
  for (std::uint64_t size = 1; size <= 600; ++size) {
    ASSERT_TRUE(made::extend(*log, heads, size, 0, shape));
    const auto published = publish(world.storage(), directory, head_at(heads, size), source);
    ASSERT_TRUE(published) << size << ": " << to_string(published.error());
    const vopr::DiskImage image = world.storage().image();
    Reader reader{image};
    ASSERT_EQ(reader.root(size), heads[size].frontier.root()) << size;
    ASSERT_EQ(published->tiles, reader.read().size());
    const auto head = record::check_head(checkpoint_in(image), head_at(heads, 1).verifier_key());
    ASSERT_TRUE(head) << to_string(head.error());
    ASSERT_EQ(head->tree().size, size);
    ASSERT_EQ(head->tree().root, heads[size].frontier.root());
    // One more record is a new leaf tile, or a wider one, and where it fills one, one above.
    EXPECT_EQ(published->written, size % 256 == 0 ? 2U : 1U) << size;
    expected.insert(reader.read().begin(), reader.read().end());
  }
  // Nothing else is there: no entries, nothing unfinished.
  for (const std::string& path : world.storage().image().paths()) {
    if (!path.starts_with("public/") || path == "public/checkpoint") continue;
    EXPECT_TRUE(expected.contains(path)) << path;
  }
}

// Three levels of tiles; each size into a directory of its own, and all of them out of one log.
TEST(TileDirectory, LargeTreesHaveThreeLevels) {
  vopr::SimEnv world{1};
  Heads heads{{}};
  const auto log = made::open(world.storage());
  ASSERT_TRUE(made::extend(*log, heads, 70'000, 0, shape));
  LogTiles source{*log};
  for (const std::uint64_t size : {65'535U, 65'536U, 65'537U, 66'048U, 70'000U}) {
    vopr::SimEnv other{2};
    const auto published = publish(other.storage(), directory, head_at(heads, size), source);
    ASSERT_TRUE(published) << to_string(published.error());
    const vopr::DiskImage image = other.storage().image();
    Reader reader{image};
    EXPECT_EQ(reader.root(size), heads[size].frontier.root()) << size;
    EXPECT_EQ(published->written, reader.read().size());
    EXPECT_EQ(image.paths().size(), reader.read().size() + 1);
    // The example of the specification: 273 + 1, 1 + 1, and 0 + 1.
    if (size == 70'000) {
      EXPECT_EQ(published->tiles, 277U);
    }
  }

  // Derived files made again from the entries are the same, byte for byte.
  ASSERT_TRUE(log->settle());
  const vopr::DiskImage whole = world.storage().image();
  vopr::DiskImage bare = whole;
  std::size_t derived = 0;
  for (const std::string& path : whole.paths()) {
    if (!path.ends_with("/offsets") && !path.contains("/tiles/")) continue;
    bare.remove(path);
    ++derived;
  }
  EXPECT_EQ(derived, 4U);
  vopr::SimEnv again{3, bare};
  const auto rebuilt = made::open(again.storage(), heads.back());
  const Tree tree = tree_of(heads.back());
  EXPECT_EQ(rebuilt->tile({2, 0, 1}, tree).value(), log->tile({2, 0, 1}, tree).value());
  for (const std::string& path : whole.paths()) {
    EXPECT_EQ(again.storage().image().read(path), whole.read(path)) << path;
  }
}

class PublishedDirectory : public testing::Test {
 protected:
  static constexpr std::uint64_t size = 700;
  void SetUp() override {
    const auto log = made::open(world_.storage());
    ASSERT_TRUE(made::extend(*log, heads_, size, 0, shape));
    ASSERT_TRUE(log->settle());
    LogTiles source{*log};
    ASSERT_TRUE(publish(world_.storage(), directory, head_at(heads_, 600), source));
    whole_ = world_.storage().image();
  }
  // Publishes head `of` on `image`; gives the image after it.
  [[nodiscard]] std::pair<Result<Published>, vopr::DiskImage> publish_on(
      const vopr::DiskImage& image, std::uint64_t of) const {
    vopr::SimEnv world{2, image};
    const auto log = made::open(world.storage(), heads_.back());
    LogTiles source{*log};
    auto published = publish(world.storage(), directory, head_at(heads_, of), source);
    return {std::move(published), world.storage().image()};
  }

  vopr::SimEnv world_{1};
  Heads heads_{{}};
  vopr::DiskImage whole_;
};

TEST_F(PublishedDirectory, GoesOnWhereItWas) {
  const auto [published, image] = publish_on(whole_, size);
  ASSERT_TRUE(published) << to_string(published.error());
  Reader reader{image};
  EXPECT_EQ(reader.root(size), heads_[size].frontier.root());
  EXPECT_EQ(published->written, 1U) << "leaf tile 2, wider than it was";
  // Partial tiles of a checkpoint that was published stay: someone may be reading it.
  EXPECT_EQ(Reader{image}.root(600), heads_[600].frontier.root());
  const auto [again, same] = publish_on(image, size);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->written, 0U);
}

TEST_F(PublishedDirectory, RefusesEveryFlippedTile) {
  std::size_t flipped = 0;
  for (const std::string& path : whole_.paths()) {
    if (!path.starts_with("public/tile/")) continue;
    // Partial tiles of 600 are not of the tree of 700: nobody reads them for it.
    const bool partial = path.contains(".p/") && path != "public/tile/1/000.p/2";
    for (std::uint64_t at = 0; at < whole_.size(path); at += 97) {
      vopr::DiskImage image = whole_;
      image.flip(path, at, static_cast<std::byte>(1U << (at % 8)));
      const auto [published, after] = publish_on(image, partial ? 600 : size);
      ASSERT_FALSE(published) << path << " byte " << at;
      EXPECT_EQ(published.error().code(), Code::integrity_tile);
      EXPECT_EQ(published.error().where(), path);
      EXPECT_EQ(after.read(path), image.read(path)) << "it is evidence, and stays";
      EXPECT_EQ(checkpoint_in(after), checkpoint_in(whole_));
      ++flipped;
    }
  }
  EXPECT_GT(flipped, 100U);
  // Longer and shorter ones too.
  for (const std::size_t length : {0U, 8191U, 8193U, 20'000U}) {
    vopr::DiskImage image = whole_;
    Buffer bytes = whole_.read("public/tile/0/001");
    bytes.resize(length);
    image.write("public/tile/0/001", bytes);
    EXPECT_EQ(publish_on(image, size).first.error().code(), Code::integrity_tile) << length;
  }
}

TEST_F(PublishedDirectory, RefusesAnotherHistory) {
  // The checkpoint is ahead of the log.
  EXPECT_EQ(publish_on(whole_, 599).first.error().code(), Code::integrity_rollback);
  // It was signed by the log's own key, over records the log has not.
  StoredHead forged = head_at(heads_, 600);
  forged.tree.root[0] ^= std::byte{1};
  vopr::DiskImage image = whole_;
  image.write("public/checkpoint",
              bytes_of(sign(made::log_id(0), forged.tree, TimestampUs{}, signing_key()).note()));
  EXPECT_EQ(publish_on(image, size).first.error().code(), Code::integrity_consistency);
  EXPECT_EQ(publish_on(image, 600).first.error().code(), Code::integrity_consistency);
  // It was not signed by it.
  forged = head_at(heads_, 600);
  forged.signature[5] ^= std::byte{1};
  image.write("public/checkpoint", bytes_of(forged.note()));
  EXPECT_EQ(publish_on(image, size).first.error().code(), Code::integrity_signature);
  // It is that of another log, or none.
  forged = sign(made::log_id(3), tree_of(heads_[600]), TimestampUs{}, signing_key());
  image.write("public/checkpoint", bytes_of(forged.note()));
  EXPECT_EQ(publish_on(image, size).first.error().code(), Code::integrity_foreign_file);
  image.write("public/checkpoint", bytes_of("x\n"));
  EXPECT_EQ(publish_on(image, size).first.error().code(), Code::integrity_note);
}

// The log's own tiles may be wrong: they are made again, and what is published is right.
TEST_F(PublishedDirectory, DamageInTheDerivedTilesIsMended) {
  for (const char* const file : {"0", "1"}) {
    vopr::DiskImage image = whole_;
    image.flip(std::string{"tenants/7/data/tiles/"} + file, 40, std::byte{4});
    const auto [published, after] = publish_on(image, size);
    ASSERT_TRUE(published) << to_string(published.error());
    EXPECT_EQ(Reader{after}.root(size), heads_[size].frontier.root());
  }
  // What leads to no root at all is refused.
  vopr::SimEnv world{2, whole_};
  const auto log = made::open(world.storage(), heads_.back());
  Tree other = tree_of(heads_[size]);
  other.root[0] ^= std::byte{1};
  EXPECT_EQ(log->tile({0, 0, 256}, other).error().code(), Code::integrity_tree);
  for (const record::TileName name :
       {record::TileName{0, 3, 1}, {0, 2, 256}, {0, 2, 187}, {2, 0, 1}, {8, 0, 1}, {0, 0, 0}}) {
    EXPECT_EQ(log->tile(name, tree_of(heads_[size])).error().code(), Code::not_found_position);
  }
  EXPECT_EQ(log->tile({0, 0, 1}, {701, {}}).error().code(), Code::not_found_position);
}

// Cut off at any call, what is there is a whole tree with its head, and the next run finishes.
TEST_F(PublishedDirectory, SurvivesACrashAtAnyCall) {
  std::uint64_t crashes = 0;
  for (std::uint64_t call = 1; call < 400; ++call) {
    vopr::SimEnv world{call, whole_};
    const auto log = made::open(world.storage(), heads_.back());
    LogTiles source{*log};
    world.storage().set_faults({.crash_at = world.storage().calls() + call});
    static_cast<void>(publish(world.storage(), directory, head_at(heads_, size), source));
    const bool crashed = world.storage().frozen();
    const vopr::DiskImage left = world.storage().crash();
    const auto head = record::check_head(checkpoint_in(left), head_at(heads_, 1).verifier_key());
    ASSERT_TRUE(head) << call << ": " << to_string(head.error());
    ASSERT_EQ(Reader{left}.root(head->tree().size), head->tree().root) << call;
    const auto [published, after] = publish_on(left, size);
    ASSERT_TRUE(published) << call << ": " << to_string(published.error());
    ASSERT_EQ(Reader{after}.root(size), heads_[size].frontier.root());
    if (!crashed) break;
    ++crashes;
  }
  EXPECT_GT(crashes, 10U);
}

}  // namespace
}  // namespace kimberlite::log
