#include "cli/abort.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <iostream>

#include "base/assert.hpp"

namespace kimberlite::cli {
namespace {

void fail_an_assertion() { base::assertion_failed("one == two", "here.cpp", 12); }

TEST(Abort, EndsWithWhatWasToBeSaid) {
  EXPECT_EXIT(
      {
        say_at_abort("no longer", 4);
        say_at_abort("type this\n", 3);
        fail_an_assertion();
      },
      testing::ExitedWithCode(3), "one == two.*here.cpp:12\ntype this\n");
}

TEST(Abort, MayTellMoreFirst) {
  const auto telling = [](bool is_all) {
    say_at_abort("type this\n", 3, [is_all] {
      std::cerr << "much happened\n";
      return is_all;
    });
    fail_an_assertion();
  };
  EXPECT_EXIT(telling(false), testing::ExitedWithCode(3),
              "here.cpp:12\nmuch happened\ntype this\n$");
  EXPECT_EXIT(telling(true), testing::ExitedWithCode(3), "here.cpp:12\nmuch happened\n$");
}

TEST(Abort, SaysItsWordsWhenMoreFailsToo) {
  EXPECT_EXIT(
      {
        say_at_abort("type this\n", 3, [] {
          fail_an_assertion();
          return true;
        });
        fail_an_assertion();
      },
      testing::ExitedWithCode(3), "here.cpp:12\n.*here.cpp:12\ntype this\n$");
}

TEST(Abort, IsAnEndLikeAnyOtherWhenNothingIsToBeSaid) {
  EXPECT_EXIT(
      {
        say_at_abort("no longer", 3);
        say_nothing_at_abort();
        fail_an_assertion();
      },
      testing::KilledBySignal(SIGABRT), "here.cpp:12\n$");
}

}  // namespace
}  // namespace kimberlite::cli
