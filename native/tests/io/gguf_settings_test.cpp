// Settings on their way into GGUF files and out of them.
#include "io/gguf_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "error_of.h"
#include "io/rope_settings.h"
#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;

std::vector<files::GgufEntry> written(const char* architecture, const std::string& json,
                                      std::int64_t rows = 0) {
  return gguf_settings(Config::parse(json), *find_gguf_architecture(architecture), rows);
}

// What stands under a key behind the architecture's name, as a T.
template <typename T>
std::optional<T> value(const std::vector<files::GgufEntry>& entries, const std::string& key) {
  for (const files::GgufEntry& entry : entries) {
    if (!entry.key.ends_with("." + key)) continue;
    return std::get<T>(entry.value);
  }
  return std::nullopt;
}

std::string refusal(const char* architecture, const std::string& json) {
  return error_of<UnsupportedError>([&] { written(architecture, json); });
}

TEST(GgufSettings, FindRotaryPositionsWhereverTheyStand) {
  for (const char* json :
       {R"({"rope_theta": 5000, "rope_scaling": {"type": "linear", "factor": 2}})",
        R"({"rope_parameters": {"rope_theta": 5000, "rope_type": "linear", "factor": 2}})"}) {
    const auto entries = written("llama", json);
    EXPECT_EQ(value<float>(entries, "rope.freq_base"), 5000.0f) << json;
    EXPECT_EQ(value<std::string>(entries, "rope.scaling.type"), "linear");
    EXPECT_EQ(value<float>(entries, "rope.scaling.factor"), 2.0f);
  }
  const auto gemma = written("gemma3", R"({"rope_parameters": {
      "full_attention": {"rope_theta": 1000000, "rope_type": "default"},
      "sliding_attention": {"rope_theta": 9000, "rope_type": "default"}},
      "layer_types": ["sliding_attention", "sliding_attention", "full_attention",
                      "sliding_attention"]})");
  EXPECT_EQ(value<float>(gemma, "rope.freq_base"), 1000000.0f);
  EXPECT_EQ(value<float>(gemma, "rope.freq_base_swa"), 9000.0f);
  EXPECT_EQ(value<std::uint32_t>(gemma, "attention.sliding_window_pattern"), 3u);
  const auto phi = written("phi3", R"({"hidden_size": 64, "num_attention_heads": 4,
                                       "partial_rotary_factor": 0.5})");
  EXPECT_EQ(value<std::uint32_t>(phi, "rope.dimension_count"), 8u);
  const auto yarn = written("llama", R"({"rope_scaling": {"rope_type": "yarn", "factor": 4,
                                         "beta_fast": 16, "beta_slow": 2, "mscale": 1}})");
  EXPECT_EQ(value<float>(yarn, "rope.scaling.yarn_beta_fast"), 16.0f);
  EXPECT_EQ(value<float>(yarn, "rope.scaling.yarn_beta_slow"), 2.0f);
}

TEST(GgufSettings, RefuseWhatSuchAFileWouldNotMean) {
  EXPECT_THAT(refusal("llama", R"({"rope_traditional": true})"),
              AllOf(HasSubstr("rope_traditional of true"), HasSubstr("llama")));
  EXPECT_THAT(refusal("llama", R"({"partial_rotary_factor": 0.5})"),
              HasSubstr("partial_rotary_factor of 0.5"));
  EXPECT_THAT(refusal("llama", R"({"layer_types": ["full_attention", "sliding_attention"]})"),
              HasSubstr("layer_types"));
  EXPECT_THAT(refusal("gemma3", R"({"sliding_window_pattern": 2,
                      "layer_types": ["full_attention", "sliding_attention"]})"),
              HasSubstr("layer_types"));
  EXPECT_THAT(refusal("smollm3", R"({"no_rope_layers": [1, 1, 1, 1]})"),
              HasSubstr("no_rope_layers"));
  EXPECT_THAT(refusal("qwen3moe", R"({"norm_topk_prob": false})"), HasSubstr("norm_topk_prob"));
  EXPECT_THAT(refusal("qwen3moe", R"({"mlp_only_layers": [0]})"), HasSubstr("mlp_only_layers"));
  EXPECT_THAT(refusal("llama", R"({"hidden_act": "gelu"})"), HasSubstr(R"("gelu")"));
  EXPECT_THAT(refusal("qwen3", R"({"rope_scaling": {"type": "llama3", "factor": 2}})"),
              HasSubstr("llama3"));
  EXPECT_THAT(refusal("llama", R"({"rope_scaling": {"type": "dynamic", "factor": 2}})"),
              HasSubstr("dynamic"));
  EXPECT_THAT(refusal("llama", R"({"rope_scaling": {"type": "yarn", "factor": 2, "mscale": 2}})"),
              HasSubstr("mscale of 2"));
  EXPECT_THAT(refusal("llama", R"({"embedding_multiplier": 12.0})"),
              HasSubstr("embedding_multiplier"));
  EXPECT_THAT(refusal("gemma2", R"({"query_pre_attn_scalar": 144, "head_dim": 16})"),
              HasSubstr("query_pre_attn_scalar of 144"));
  // What such a file means anyway.
  written("smollm3", R"({"no_rope_layers": [1, 1, 1, 0], "hidden_act": "silu",
                         "layer_types": ["full_attention"]})");
  written("gemma2", R"({"query_pre_attn_scalar": 16, "head_dim": 16, "hidden_act": "gelu",
                        "layer_types": ["sliding_attention", "full_attention"]})");
  written("qwen3moe", R"({"norm_topk_prob": true, "mlp_only_layers": [],
                          "decoder_sparse_step": 1})");
}

TEST(GgufSettings, KeepNumbersInTheirRange) {
  const auto told = [](const std::string& json) {
    return error_of<FormatError>([&] { written("llama", json); });
  };
  EXPECT_THAT(told(R"({"hidden_size": 4294967296})"), HasSubstr("hidden_size is 4294967296"));
  EXPECT_THAT(told(R"({"num_attention_heads": -1})"), HasSubstr("num_attention_heads is -1"));
  EXPECT_THAT(told(R"({"rope_theta": 1e300})"), HasSubstr("rope_theta is 1e+300"));
  EXPECT_EQ(value<std::uint32_t>(written("llama", R"({"vocab_size": 9})", 12), "vocab_size"), 12u);
  EXPECT_EQ(value<std::uint32_t>(written("llama", R"({"num_local_experts": 8})"), "expert_count"),
            8u);
  EXPECT_FALSE(value<std::uint32_t>(
      written("qwen2", R"({"sliding_window": 8, "use_sliding_window": false})"),
      "attention.sliding_window"));
}

TEST(GgufSettings, TellFromFrequenciesHowTheyWereScaled) {
  const Config scaling = Config::parse(R"({"factor": 32, "low_freq_factor": 1,
      "high_freq_factor": 4, "original_max_position_embeddings": 4096})");
  const std::vector<double> exact = llama3_factors(scaling, 500000, 64);
  const std::vector<float> factors(exact.begin(), exact.end());
  ASSERT_EQ(factors.size(), 32u);
  EXPECT_EQ(factors.front(), 1);
  EXPECT_EQ(factors.back(), 32);
  // As llama 3's formula has it between, by hand for one of them.
  const double turns = 4096 / (2 * M_PI * std::pow(500000.0, 26.0 / 64));
  const double smooth = (turns - 1) / 3;
  ASSERT_GT(smooth, 0);
  ASSERT_LT(smooth, 1);
  EXPECT_NEAR(factors[13], 1 / ((1 - smooth) / 32 + smooth), 1e-5);
  const Config back = llama3_scaling(factors, 500000).value();
  EXPECT_EQ(back.get<std::string>("rope_type"), "llama3");
  EXPECT_EQ(back.get<double>("factor"), 32);
  EXPECT_EQ(back.get<std::int64_t>("original_max_position_embeddings"), 4096);
  EXPECT_FALSE(llama3_scaling(std::vector<float>(32, 1), 500000));
  EXPECT_THAT(error_of<UnsupportedError>([&] {
                llama3_scaling({1, 3, 2, 5}, 10000);
              }),
              HasSubstr("rope_freqs"));
}

}  // namespace
}  // namespace mlxnx::io
