// Settings by their types.
#include "mlxnx/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "error_of.h"
#include "mlxnx/error.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;

TEST(Config, AnswersMembersByTheirTypes) {
  const Config config = Config::parse(
      R"({"n": 576, "f": 1e5, "t": true, "s": "silu", "l": [1, 2], "o": {"x": 0.5}, "none": null,
          "whole": 4.0, "inf": {"__float__": "-Infinity"}, "many": [{"a": 1}, {"a": 2}]})");
  EXPECT_EQ(config.get<std::int64_t>("n"), 576);
  EXPECT_EQ(config.get<double>("n"), 576.0);
  EXPECT_EQ(config.get<double>("f"), 1e5);
  EXPECT_TRUE(config.get<bool>("t"));
  EXPECT_EQ(config.get<std::string>("s"), "silu");
  EXPECT_THAT(config.get<std::vector<std::int64_t>>("l"), ElementsAre(1, 2));
  EXPECT_EQ(config.get<Config>("o").get<double>("x"), 0.5);
  EXPECT_EQ(config.get<std::int64_t>("whole"), 4);
  EXPECT_EQ(config.get<double>("inf"), -INFINITY);
  EXPECT_EQ(config.get<std::vector<Config>>("many")[1].get<std::int64_t>("a"), 2);
  EXPECT_FALSE(config.contains("none"));
  EXPECT_EQ(config.get<std::int64_t>("none", 7), 7);
  EXPECT_TRUE(config.is_null("none"));
  EXPECT_FALSE(config.is_null("absent"));
  EXPECT_FALSE(config.get<bool>("none", true));  // as Python's None
  EXPECT_TRUE(config.get<bool>("absent", true));
  EXPECT_EQ(config.get<std::string>("absent", "x"), "x");
  EXPECT_TRUE(config.holds_object("o"));
  EXPECT_FALSE(config.holds_object("n"));
}

TEST(Config, TakesNumbersThatOnlyPythonWrites) {
  const Config config = Config::parse(
      R"({"most": Infinity, "least": -Infinity, "none": [NaN, 1], "text": "a \"NaN\" \\", "NaN": -1})");
  EXPECT_EQ(config.get<double>("most"), INFINITY);
  EXPECT_EQ(config.get<double>("least"), -INFINITY);
  EXPECT_TRUE(std::isnan(config.get<std::vector<double>>("none")[0]));
  EXPECT_EQ(config.get<std::string>("text"), R"(a "NaN" \)");
  EXPECT_EQ(config.get<std::int64_t>("NaN"), -1);
  EXPECT_THAT(config.to_json(), HasSubstr(R"("most":{"__float__":"Infinity"})"));
  EXPECT_THROW(Config::parse(R"({"a": Infinit})"), FormatError);
}

TEST(Config, NamesTheFileThatItIsOf) {
  const testing_support::TempFolder folder;
  folder.write("config.json", R"({"a": {"b": 1}})");
  const Config config = Config::read(folder / "config.json");
  EXPECT_THAT(error_of<FormatError>([&] { config.get<Config>("a").get<std::string>("b"); }),
              AllOf(HasSubstr((folder / "config.json").string()), HasSubstr("\"b\" is 1")));
  EXPECT_THAT(error_of<FormatError>([&] { config.get<bool>("c"); }),
              HasSubstr((folder / "config.json").string() + ": \"c\" is missing"));
}

TEST(Config, NamesWhatIsSomethingElse) {
  const Config config = Config::parse(
      R"({"n": 1.5, "big": 18446744073709551615, "l": [1, "x"], "huge": 1e300, "f": "1"})");
  const auto told = [&](auto get) { return error_of<FormatError>(get); };
  EXPECT_THAT(told([&] { config.get<std::int64_t>("n"); }),
              AllOf(HasSubstr("\"n\""), HasSubstr("1.5"), HasSubstr("an integer is wanted")));
  EXPECT_THAT(told([&] { config.get<std::int64_t>("big"); }), HasSubstr("18446744073709551615"));
  EXPECT_THAT(told([&] { config.get<std::int64_t>("huge"); }), HasSubstr("1e+300"));
  EXPECT_THAT(told([&] { config.get<double>("f"); }), HasSubstr("a number is wanted"));
  EXPECT_THAT(told([&] { config.get<std::vector<std::int64_t>>("l"); }), HasSubstr("\"x\""));
  EXPECT_THAT(told([&] { config.get<bool>("absent"); }), HasSubstr("\"absent\" is missing"));
  EXPECT_THAT(told([&] { Config::parse("[1]"); }), HasSubstr("no object"));
  EXPECT_THAT(told([&] { Config::parse("{\"a\": "); }), HasSubstr("no JSON"));
  EXPECT_THAT(told([&] { Config::parse(std::string(10'000, '[')); }), HasSubstr("nested deeper"));
}

TEST(Config, IsReadFromAFileThatErrorsName) {
  const testing_support::TempFolder folder;
  folder.write("config.json", R"({"a": 1})");
  EXPECT_EQ(Config::read(folder / "config.json").get<std::int64_t>("a"), 1);
  const auto told = [&](const std::string& text) {
    folder.write("config.json", text);
    return error_of<FormatError>([&] { Config::read(folder / "config.json"); });
  };
  EXPECT_THAT(told("[]"), AllOf(HasSubstr("config.json: []"), HasSubstr("no object")));
  EXPECT_THAT(told("{"), HasSubstr("config.json: no JSON"));
  EXPECT_THAT(told(std::string(5 << 20, ' ')), HasSubstr("4194304 are the most"));
  EXPECT_THAT(error_of<ArgumentError>([&] { Config::read(folder / "none"); }),
              HasSubstr("No such file"));
}

TEST(Config, ChangesNoCopyOfItself) {
  Config config = Config::parse(R"({"a": 1})");
  const Config copy = config;
  config.set("b", std::vector<std::int64_t>{1, 2});
  config.set("c", copy);
  config.erase("a");
  EXPECT_EQ(config.to_json(), R"({"b":[1,2],"c":{"a":1}})");
  EXPECT_EQ(copy.to_json(), R"({"a":1})");
  EXPECT_EQ(Config().to_json(2), "{}");
}

}  // namespace
}  // namespace mlxnx
