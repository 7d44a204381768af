// What families take from the settings of a model: names, defaults, and what null means.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "error_of.h"
#include "llm/parts/decoder.h"
#include "llm/parts/moe.h"

namespace mlxnx::llm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;

TEST(Settings, OfNullAreNoDefaults) {
  const Config config = with_defaults(Config::parse(R"({"cap": null, "flag": null})"),
                                      R"({"cap": 30.0, "flag": true, "size": 4})");
  EXPECT_EQ(config.get<double>("cap", 0), 0);
  EXPECT_FALSE(config.get<bool>("flag"));
  EXPECT_EQ(config.get<std::int64_t>("size"), 4);
  EXPECT_FALSE(is_tied(Config::parse(R"({"tie_word_embeddings": null})"), true));
  EXPECT_TRUE(is_tied(Config(), true));
}

TEST(Settings, OfPositionsMayBeNested) {
  const auto base = [](const char* json) { return rope_settings(Config::parse(json), 8, 5).base; };
  EXPECT_EQ(base("{}"), 5);
  EXPECT_EQ(base(R"({"rope_theta": 7})"), 7);
  EXPECT_EQ(base(R"({"rope_parameters": {"rope_theta": 9}})"), 9);
  const Config both = Config::parse(R"({"rope_theta": 7, "rope_parameters": {"rope_theta": 9}})");
  EXPECT_EQ(rope_settings(both, 8, 5).base, 7);
  EXPECT_EQ(nested_base(both, 7), 9);
  EXPECT_EQ(nested_base(Config(), 7), 7);
  EXPECT_FALSE(rope_scaling(Config::parse(R"({"rope_scaling": {}})")));
}

TEST(Settings, NameAKindForEachLayer) {
  const auto types = [](const char* layers) {
    return layer_types(Config::parse(std::string(R"({"layer_types": ["a", "b"], )") +
                                     R"("num_hidden_layers": )" + layers + "}"));
  };
  EXPECT_THAT(types("2"), ElementsAre("a", "b"));
  EXPECT_THAT(types("1"), ElementsAre("a"));
  EXPECT_THAT(error_of<FormatError>([&] { types("3"); }), HasSubstr("2 entries for 3 layers"));
}

TEST(Settings, OfOneGroupOfExpertsKeepNone) {
  EXPECT_NO_THROW(check({.experts = 8, .count = 6, .groups = 1, .kept_groups = 2}));
  EXPECT_THROW(check({.experts = 8, .count = 2, .groups = 2, .kept_groups = 3}), FormatError);
}

TEST(Settings, LeaveItToTheWeightsWhetherThereIsAHead) {
  EXPECT_TRUE(is_tied(tied_without_head(Config(), {}), false));
  EXPECT_FALSE(is_tied(tied_without_head(Config(), {{"lm_head.weight", Tensor(1.0)}}), true));
}

}  // namespace
}  // namespace mlxnx::llm
