#include "cli/infer.hpp"

#include <gtest/gtest.h>

#include "sql/types.hpp"

namespace kimberlite::cli {
namespace {

std::string inferred(const std::vector<std::string>& values) {
  ColumnInference column;
  for (const std::string& value : values) column.see(value);
  return sql::type_name(column.type());
}

TEST(Infer, TakesTheFirstTypeThatPrintsEveryValueBack) {
  EXPECT_EQ(inferred({"true", "false"}), "BOOLEAN");
  EXPECT_EQ(inferred({"0", "-7", "9223372036854775807"}), "BIGINT");
  EXPECT_EQ(inferred({"77.49", "-0.50", "1000.00"}), "DECIMAL(18,2)");
  EXPECT_EQ(inferred({"2014-10-06", "1999-12-31"}), "DATE");
  EXPECT_EQ(inferred({"2014-10-06T10:30:00Z", "2014-10-06T10:30:00.25Z"}), "TIMESTAMP");
  EXPECT_EQ(inferred({"3edac2e3-d223-6fae-d515-daf96ef6bc76"}), "UUID");
  EXPECT_EQ(inferred({"42.36877442769006", "-71.1"}), "DOUBLE");
  EXPECT_EQ(inferred({"Boston"}), "TEXT");
}

// Each would be read, and come back as another text: the file's spelling is evidence.
TEST(Infer, LeavesATextAloneThatWouldComeBackDifferent) {
  EXPECT_EQ(inferred({"02155"}), "TEXT");
  EXPECT_EQ(inferred({"+1"}), "TEXT");
  EXPECT_EQ(inferred({"True"}), "TEXT");
  EXPECT_EQ(inferred({"t", "f"}), "TEXT");
  EXPECT_EQ(inferred({"2014-10-06 10:30:00"}), "TEXT");
  EXPECT_EQ(inferred({"2014-10-06T10:30:00.250Z"}), "TEXT");
  EXPECT_EQ(inferred({"2014-10-06T12:30:00+02:00"}), "TEXT");
  EXPECT_EQ(inferred({"3EDAC2E3-D223-6FAE-D515-DAF96EF6BC76"}), "TEXT");
  EXPECT_EQ(inferred({" 7"}), "TEXT");
  EXPECT_EQ(inferred({"7", ""}), "TEXT");  // the empty text, not NULL
  EXPECT_EQ(inferred({"2014-13-06"}), "TEXT");
  EXPECT_EQ(inferred({std::string(100'000, '9')}), "TEXT");
}

TEST(Infer, GoesDownTheListAsValuesDemand) {
  EXPECT_EQ(inferred({"1", "9223372036854775808"}), "TEXT");  // no DECIMAL(18,0), no exact double
  EXPECT_EQ(inferred({"77.49", "77.5"}), "DOUBLE");           // no one scale
  EXPECT_EQ(inferred({"1.0", "2.5"}), "DECIMAL(18,1)");
  EXPECT_EQ(inferred({"1.5", "49112.87100000001"}), "DOUBLE");
  EXPECT_EQ(inferred({"7", "1.5"}), "TEXT");  // 7 as a double prints 7.0
  EXPECT_EQ(inferred({"true", "1"}), "TEXT");
  EXPECT_EQ(inferred({"2014-10-06", "2014-10-06T10:30:00Z"}), "TEXT");
}

TEST(Infer, TakesAnEmptyColumnForText) { EXPECT_EQ(inferred({}), "TEXT"); }

// The rule, as it is stated: whatever is chosen prints every value back.
TEST(Infer, NeverChangesAValue) {
  const std::vector<std::vector<std::string>> columns{
      {"1e5"},   {"-0"},   {"-0.0"},       {"0.10", "0.20"}, {"1.10", "999999999999999999.10"},
      {"inf"},   {"nan"},  {"0001-01-01"}, {".5"},           {"5."},
      {"1_000"}, {"0x10"}, {"1e400"},      {"\x01"}};
  for (const auto& values : columns) {
    ColumnInference column;
    for (const std::string& value : values) column.see(value);
    for (const std::string& value : values) {
      const auto stored = sql::canonicalise(ValueView{std::string_view{value}}, column.type());
      ASSERT_TRUE(stored.has_value()) << value << " as " << sql::type_name(column.type());
      EXPECT_EQ(sql::print(view(*stored), column.type()), value) << sql::type_name(column.type());
    }
  }
}

}  // namespace
}  // namespace kimberlite::cli
