// What a scenario does to the disks of its group: calls struck as they are made, and images damaged
// while their machines are off.
//
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "vopr/disk_image.hpp"
#include "vopr/sim_group.hpp"

namespace kimberlite::vopr {

// Of `file_words`; "" if it is none.
[[nodiscard]] std::string_view file_of(std::string_view path);

enum class StrikeAction : std::uint8_t { crash, fail, lose, misdirect };

// Strikes wait for the calls they are for, over restarts.
class DiskScript {
 public:
  explicit DiskScript(std::uint8_t machines) : waiting_(machines) {}

  // At the `number`th such call from now on, 1 the next.
  void add(std::uint8_t machine, StrikeAction action, std::string_view call, std::string_view file,
           std::uint64_t number);
  // Watches the calls of this storage, which it must outlive.
  void watch(std::uint8_t machine, SimStorage& storage);
  [[nodiscard]] bool all_struck(std::uint8_t machine) const { return waiting_[machine].empty(); }
  void clear();

 private:
  struct Waiting {
    StrikeAction action = StrikeAction::crash;
    std::string_view call;
    std::string_view file;
    std::uint64_t left = 0;
  };
  Strike strike(std::uint8_t machine, CallKind kind, std::string_view path);

  std::vector<std::vector<Waiting>> waiting_;
};

// Where a journal has the frame of an op. `op`: a number, "first", "head", "head-1".
struct FramePlace {
  OpNumber op;
  std::uint64_t offset = 0;  // in the file
  std::uint64_t size = 0;    // whole sectors
};
[[nodiscard]] Result<FramePlace> find_op(const DiskImage& image, std::string_view op);
// The newest file of a word of `file_words`, by name.
[[nodiscard]] Result<std::string> find_file(const DiskImage& image, std::string_view file);

// Damage. A byte of the op's body changes; or the op's frame is zeros behind its first `keep`
// bytes.
[[nodiscard]] Result<FramePlace> rot_op(DiskImage& image, std::string_view op);
[[nodiscard]] Result<FramePlace> blank_op(DiskImage& image, std::string_view op, std::size_t keep);
// Of mark 0 or 1, of superblock copy 0 to 3.
[[nodiscard]] Status rot_mark(DiskImage& image, std::uint64_t mark);
[[nodiscard]] Status rot_copy(DiskImage& image, std::uint64_t copy);
// What `old` has is there again: one superblock copy, or all files of a word of `file_words`.
[[nodiscard]] Status put_copy_back(DiskImage& image, const DiskImage& old, std::uint64_t copy);
void put_files_back(DiskImage& image, const DiskImage& old, std::string_view file);

}  // namespace kimberlite::vopr
