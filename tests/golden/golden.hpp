// Golden vectors: the bytes of every format, committed. A test makes them again and compares; run
// with KIMBERLITE_GOLDEN=rewrite it writes the file instead, which a reviewer then sees as a change
// of the format.
//
// A file is lines `name hex`, `#` begins a comment. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace kimberlite::golden {

class File {
 public:
  // `name` of a file in tests/golden.
  explicit File(std::string_view name)
      : path_(std::string{KIMBERLITE_SOURCE_DIR} + "/tests/golden/" + std::string{name}) {
    const char* const mode = std::getenv("KIMBERLITE_GOLDEN");
    rewrite_ = mode != nullptr && std::string_view{mode} == "rewrite";
    if (!rewrite_) read();
  }
  ~File() {
    if (rewrite_) {
      std::ofstream{path_} << out_.str();
    } else {
      EXPECT_TRUE(expected_.empty()) << "no longer made: " << expected_.begin()->first;
    }
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void comment(std::string_view text) { out_ << "# " << text << '\n'; }

  void check(const std::string& name, Bytes bytes) {
    const std::string hex = to_hex(bytes);
    out_ << name << ' ' << hex << '\n';
    if (rewrite_) return;
    const auto found = expected_.find(name);
    if (found == expected_.end()) {
      ADD_FAILURE() << name << " is not in " << path_;
      return;
    }
    EXPECT_EQ(hex, found->second) << name;
    expected_.erase(found);
  }

 private:
  void read() {
    std::ifstream in{path_};
    EXPECT_TRUE(in.is_open()) << path_;
    for (std::string line; std::getline(in, line);) {
      if (line.empty() || line.front() == '#') continue;
      const std::size_t space = line.find(' ');
      expected_[line.substr(0, space)] = line.substr(space + 1);
    }
  }

  std::string path_;
  bool rewrite_ = false;
  std::map<std::string, std::string> expected_;
  std::ostringstream out_;
};

}  // namespace kimberlite::golden
