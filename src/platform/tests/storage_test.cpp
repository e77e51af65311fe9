// One contract, two storages: each test runs on a directory of the file system and in memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "platform/env.hpp"

namespace kimberlite::platform {
namespace {

struct AlignedFree {
  void operator()(std::byte* p) const { std::free(p); }
};
using Sectors = std::unique_ptr<std::byte, AlignedFree>;

Sectors sectors(std::size_t size, std::byte fill) {
  Sectors memory{static_cast<std::byte*>(std::aligned_alloc(4096, size))};
  std::fill_n(memory.get(), size, fill);
  return memory;
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "kimberlite-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string path() const { return path_; }

 private:
  std::string path_;
};

class StorageContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string_view{GetParam()} == "linux") {
      storage_ = std::make_unique<LinuxStorage>(directory_.path() + "/data");
    } else {
      storage_ = std::make_unique<MemoryStorage>();
    }
  }
  void put(std::string_view path, std::string_view text) {
    auto file = storage_->open(path, env::Open::create);
    ASSERT_TRUE(file) << to_string(file.error());
    ASSERT_TRUE((*file)->write_at(0, bytes_of(text)));
  }
  std::string get(std::string_view path) {
    auto file = storage_->open(path, env::Open::read);
    if (!file) return to_string(file.error());
    Buffer all(static_cast<std::size_t>((*file)->size().value()));
    EXPECT_EQ((*file)->read_at(0, all).value(), all.size());
    return std::string{text_of(all)};
  }

  TemporaryDirectory directory_;
  std::unique_ptr<env::Storage> storage_;
};

TEST_P(StorageContract, AFileReadsBackWhatWasWrittenAndIsShortOnlyAtItsEnd) {
  auto file = storage_->open("a/b/c", env::Open::create);
  ASSERT_TRUE(file) << to_string(file.error());
  ASSERT_TRUE((*file)->write_at(5, bytes_of("world")));
  EXPECT_EQ((*file)->size().value(), 10U);
  Buffer read(20);
  EXPECT_EQ((*file)->read_at(0, read).value(), 10U);
  EXPECT_TRUE(all_zero(Bytes{read}.first(5))) << "a hole is zeros";
  EXPECT_EQ(text_of(Bytes{read}.subspan(5, 5)), "world");
  EXPECT_EQ((*file)->read_at(10, read).value(), 0U);
  EXPECT_EQ((*file)->read_at(1000, read).value(), 0U);
  ASSERT_TRUE((*file)->truncate(7));
  EXPECT_EQ((*file)->size().value(), 7U);
  EXPECT_EQ((*file)->read_at(5, read).value(), 2U);
  EXPECT_TRUE((*file)->sync());
  EXPECT_TRUE(storage_->sync_all());
}

TEST_P(StorageContract, CreateKeepsAnExistingFileAndTheOthersNeedOne) {
  EXPECT_EQ(storage_->open("x", env::Open::read).error().code(), Code::not_found_file);
  EXPECT_EQ(storage_->open("x", env::Open::write).error().code(), Code::not_found_file);
  put("x", "kept");
  auto again = storage_->open("x", env::Open::create);
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->size().value(), 4U);
}

// Of several that try at once one makes it, and what is there is left as it is.
TEST_P(StorageContract, CreateNewMakesAFileOnce) {
  auto made = storage_->open("a/once", env::Open::create_new);
  ASSERT_TRUE(made) << to_string(made.error());
  ASSERT_TRUE((*made)->write_at(0, bytes_of("kept")));
  for (int i = 0; i < 2; ++i) {
    const auto again = storage_->open("a/once", env::Open::create_new);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), Code::constraint_exists);
    EXPECT_TRUE(again.error().where().ends_with("a/once"));
  }
  EXPECT_EQ(get("a/once"), "kept");
  ASSERT_TRUE(storage_->remove("a/once"));
  EXPECT_TRUE(storage_->open("a/once", env::Open::create_new));
}

TEST_P(StorageContract, NoFileTakesTheNumberOfAStandardStream) {
  const int kept = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  ::close(STDIN_FILENO);
  auto file = storage_->open("a", env::Open::create);
  auto device = storage_->open_device("b", 8192);
  const bool still_free = ::fcntl(STDIN_FILENO, F_GETFD) == -1;
  if (kept >= 0) {
    ::dup2(kept, STDIN_FILENO);
    ::close(kept);
  }
  EXPECT_TRUE(still_free);
  EXPECT_TRUE(file && device);
}

TEST_P(StorageContract, ListsSortedWithDirectoriesMarked) {
  EXPECT_EQ(storage_->list("none").error().code(), Code::not_found_directory);
  put("d/2", "");
  put("d/10", "");
  put("d/sub/x", "");
  EXPECT_EQ(storage_->list("d").value(), (std::vector<std::string>{"10", "2", "sub/"}));
  EXPECT_EQ(storage_->list("").value(), (std::vector<std::string>{"d/"}));
}

TEST_P(StorageContract, RenameReplacesAndRemoveRemoves) {
  put("old", "new text");
  put("target", "old text");
  ASSERT_TRUE(storage_->rename("old", "target"));
  EXPECT_EQ(get("target"), "new text");
  EXPECT_EQ(storage_->open("old", env::Open::read).error().code(), Code::not_found_file);
  ASSERT_TRUE(storage_->remove("target"));
  EXPECT_EQ(storage_->remove("target").error().code(), Code::not_found_file);
  EXPECT_EQ(storage_->rename("target", "x").error().code(), Code::not_found_file);
}

TEST_P(StorageContract, ALockHasOneHolderAndTheErrorNamesIt) {
  auto first = storage_->lock("lock", "process 42 (kimberlite sql)");
  ASSERT_TRUE(first) << to_string(first.error());
  const auto second = storage_->lock("lock", "process 43");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::unavailable_in_use);
  EXPECT_NE(second.error().what().find("process 42 (kimberlite sql)"), std::string::npos);
  first->reset();
  EXPECT_TRUE(storage_->lock("lock", "process 43"));
  EXPECT_EQ(get("lock"), "process 43") << "a shorter text leaves nothing of the longer one";
}

TEST_P(StorageContract, ADeviceIsZeroKeepsItsSizeAndCompletesEveryOperation) {
  constexpr std::uint64_t size = 1U << 20U;
  EXPECT_EQ(storage_->open_device("journal", 0).error().code(), Code::not_found_file);
  auto device = storage_->open_device("journal", size);
  ASSERT_TRUE(device) << to_string(device.error());
  EXPECT_EQ((*device)->size(), size);

  const Sectors to = sectors(8192, std::byte{1});
  std::array<env::IoDone, 64> done;
  (*device)->read(1, 4096, {to.get(), 8192});
  ASSERT_EQ((*device)->poll(done, 1'000'000'000), 1U);
  ASSERT_TRUE(done[0].status);
  EXPECT_TRUE(all_zero({to.get(), 8192}));

  std::vector<Sectors> buffers;
  for (std::uint64_t i = 0; i < 32; ++i) {
    buffers.push_back(sectors(4096, static_cast<std::byte>(i + 1)));
    (*device)->write(100 + i, i * 4096, {buffers.back().get(), 4096});
  }
  std::uint64_t seen = 0;
  for (int round = 0; round < 1000 && seen != 0xFFFFFFFF; ++round) {
    const std::size_t count = (*device)->poll(done, 1'000'000'000);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(done[i].status);
      seen |= std::uint64_t{1} << (done[i].tag - 100);
    }
  }
  EXPECT_EQ(seen, 0xFFFFFFFFU);

  device->reset();
  EXPECT_EQ(storage_->open_device("journal", 2 * size).error().code(),
            Code::integrity_foreign_file);
  device = storage_->open_device("journal", 0);
  ASSERT_TRUE(device);
  EXPECT_EQ((*device)->size(), size);
  (*device)->read(2, std::uint64_t{31} * 4096, {to.get(), 4096});
  ASSERT_EQ((*device)->poll(done, 1'000'000'000), 1U);
  EXPECT_EQ(to.get()[0], std::byte{32});
}

TEST_P(StorageContract, ACallerThatNeverWaitsStillGetsItsCompletion) {
  auto device = storage_->open_device("journal", 8192);
  ASSERT_TRUE(device);
  const Sectors from = sectors(4096, std::byte{7});
  (*device)->write(9, 0, {from.get(), 4096});
  std::array<env::IoDone, 1> done;
  std::size_t count = 0;
  for (int i = 0; i < 5000 && count == 0; ++i) {
    count = (*device)->poll(done, 0);
    if (count == 0) ::usleep(1000);
  }
  ASSERT_EQ(count, 1U);
  EXPECT_EQ(done[0].tag, 9U);
  EXPECT_TRUE(done[0].status);
}

TEST_P(StorageContract, ManyWrittenFilesAreSyncedToo) {
  for (int i = 0; i < 100; ++i) put("many/" + std::to_string(i), "x");
  EXPECT_TRUE(storage_->sync_all());
  EXPECT_TRUE(storage_->sync_all());
}

INSTANTIATE_TEST_SUITE_P(Storages, StorageContract, testing::Values("linux", "memory"),
                         [](const auto& each) { return each.param; });

TEST(LinuxStorage, FilesAreForTheirOwnerAlone) {
  const TemporaryDirectory directory;
  LinuxStorage storage{directory.path() + "/data"};
  ASSERT_TRUE(storage.open("tenants/1/x", env::Open::create));
  ASSERT_TRUE(storage.open_device("journal", 4096));
  struct stat info{};
  ASSERT_EQ(::stat((directory.path() + "/data/tenants/1/x").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat((directory.path() + "/data/journal").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  ASSERT_EQ(::stat((directory.path() + "/data/tenants").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
}

TEST(LinuxStorage, LookingAtAMissingRootMakesNothing) {
  const TemporaryDirectory directory;
  LinuxStorage storage{directory.path() + "/data"};
  EXPECT_FALSE(storage.exists());
  EXPECT_FALSE(storage.open("x", env::Open::read));
  EXPECT_FALSE(storage.list(""));
  EXPECT_FALSE(storage.open_device("journal", 0));
  EXPECT_TRUE(storage.free_bytes().value() > 0) << "of the file system the root would be on";
  EXPECT_FALSE(std::filesystem::exists(directory.path() + "/data"));
}

TEST(LinuxStorage, AnEmptyRootTakesThePathsOfTheOperatingSystem) {
  const TemporaryDirectory directory;
  LinuxStorage storage{""};
  auto file = storage.open(directory.path() + "/x", env::Open::create);
  ASSERT_TRUE(file) << to_string(file.error());
  EXPECT_EQ(storage.list(directory.path()).value(), std::vector<std::string>{"x"});
  EXPECT_TRUE(storage.exists());
}

TEST(LinuxStorage, ErrorsNameThePathAndTheOffset) {
  LinuxStorage storage{""};
  auto full = storage.open("/dev/full", env::Open::write);
  ASSERT_TRUE(full);
  const Status written = (*full)->write_at(4096, bytes_of("x"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), Code::unavailable_disk_full);
  EXPECT_EQ(written.error().where(), "/dev/full, byte 4096");
  EXPECT_EQ(storage.open("/proc", env::Open::read).error().code(), Code::unavailable_io);
  const TemporaryDirectory directory;
  ASSERT_TRUE(storage.open(directory.path() + "/file", env::Open::create));
  EXPECT_EQ(storage.open(directory.path() + "/file/below", env::Open::read).error().code(),
            Code::not_found_directory);
}

TEST(LinuxStorage, AnUnfinishedDeviceIsNotTakenForOne) {
  const TemporaryDirectory directory;
  LinuxStorage storage{directory.path()};
  auto leftover = storage.open("journal.new", env::Open::create);
  ASSERT_TRUE(leftover);
  ASSERT_TRUE((*leftover)->write_at(0, bytes_of("torn")));
  auto device = storage.open_device("journal", 8192);
  ASSERT_TRUE(device);
  EXPECT_EQ(storage.list("").value(), std::vector<std::string>{"journal"});
}

}  // namespace
}  // namespace kimberlite::platform
