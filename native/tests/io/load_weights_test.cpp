// Models with the weights of checkpoints and adapters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "error_of.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/embedding.h"
#include "mlxnx/nn/linear.h"
#include "mlxnx/nn/weights.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::TempFolder;

Tensor key(std::int64_t seed) { return as_type(tensor({0, seed}), DType::u32); }

struct Model {
  nn::Embedding embed_tokens;
  nn::Linear first, second;
  MLXNX_MEMBERS(embed_tokens, first, second)

  explicit Model(std::int64_t seed)
      : embed_tokens({.num_embeddings = 8, .dims = 64}, key(seed)),
        first({.input_dims = 64, .output_dims = 32}, key(seed + 1)),
        second({.input_dims = 32, .output_dims = 4}, key(seed + 2)) {}

  Tensor operator()(const Tensor& numbers) const { return second(first(embed_tokens(numbers))); }
};

bool are_close(const Tensor& a, const Tensor& b) { return all_close(a, b).item<bool>(); }

TEST(LoadWeights, TakesMatricesInTheFormThatACheckpointHas) {
  const TempFolder folder;
  const Model dense(1);
  const Tensor numbers = tensor({1, 5, 7});
  // One layer has a form of its own, one is dense, and both stand in the settings.
  Model saved = nn::quantize(dense, [](std::string_view name) { return name == "embed_tokens"; },
                             {.bits = 4});
  saved = nn::quantize(saved, [](std::string_view name) { return name == "first"; },
                       {.mode = QuantizationMode::kMxfp4});
  nn::save_weights(saved, folder / "model.safetensors");
  folder.write("config.json", R"({"quantization": {"bits": 4, "group_size": 64}})");
  const Model loaded = nn::load_weights(Model(9), Checkpoint(folder.path()));
  EXPECT_TRUE(are_close(loaded(numbers), saved(numbers)));
  EXPECT_EQ(loaded.first.form.mode, QuantizationMode::kMxfp4);
  EXPECT_FALSE(loaded.second.form.is_quantized());
}

TEST(LoadWeights, NamesWhatIsMissingAndWhatIsMisshapen) {
  const TempFolder folder;
  const nn::Linear wide({.input_dims = 128, .output_dims = 4}, key(1));
  nn::save_weights(nn::quantize(wide), folder / "model.safetensors");
  folder.write("config.json", R"({"quantization": {"bits": 4, "group_size": 64}})");
  const Checkpoint checkpoint(folder.path());
  EXPECT_TRUE(nn::load_weights(wide, checkpoint).form.is_quantized());
  const nn::Linear narrow({.input_dims = 64, .output_dims = 4}, key(1));
  EXPECT_THAT(error_of<ArgumentError>([&] { nn::load_weights(narrow, checkpoint); }),
              AllOf(HasSubstr("u32[4][16]"), HasSubstr("u32[4][8]")));
  EXPECT_THAT(error_of<ArgumentError>([&] { nn::load_weights(Model(1), checkpoint); }),
              AllOf(HasSubstr("missing: embed_tokens.weight"), HasSubstr("unknown to the model")));
}

TEST(LoadWeights, PutsChangesOfLowRankBesideMatrices) {
  const TempFolder folder;
  const Model base(1);
  const Tensor numbers = tensor({1, 5, 7});
  for (const bool has_lengths : {false, true}) {
    const nn::NamePredicate which = [](std::string_view name) { return name == "first"; };
    Model changed = has_lengths ? nn::to_dora(base, {.rank = 2, .scale = 3}, key(4), which)
                                : nn::to_lora(base, {.rank = 2, .scale = 3}, key(4), which);
    changed.first.form.lora_b = random::normal(key(5), {2, 32});
    std::map<std::string, Tensor> tensors{{"first.lora_a", *changed.first.form.lora_a},
                                          {"first.lora_b", *changed.first.form.lora_b}};
    if (has_lengths) tensors.emplace("first.m", *changed.first.form.m);
    save_safetensors(folder / "adapters.safetensors", tensors);
    folder.write("adapter_config.json",
                 std::string(R"({"fine_tune_type": ")") + (has_lengths ? "dora" : "lora") +
                     R"(", "num_layers": 1, "lora_parameters": {"rank": 2, "scale": 3.0}})");
    const Model loaded = nn::load_adapter(base, Adapter::read(folder.path()));
    EXPECT_TRUE(are_close(loaded(numbers), changed(numbers)));
    EXPECT_FALSE(are_close(loaded(numbers), base(numbers)));
  }
  folder.write("adapter_config.json", R"({"fine_tune_type": "full"})");
  const Model other(2);
  save_safetensors(folder / "adapters.safetensors", {{"second.bias", other.second.bias.value()}});
  const Model loaded = nn::load_adapter(base, Adapter::read(folder.path()));
  EXPECT_EQ(loaded.second.bias->to_bytes(), other.second.bias->to_bytes());
  EXPECT_EQ(loaded.first.weight.to_bytes(), base.first.weight.to_bytes());
}

struct Experts {
  Tensor weight;
  nn::WeightForm form = {};
  MLXNX_MEMBERS(weight, form)
};

TEST(LoadWeights, PutsAChangeBesideEachOfSeveralMatrices) {
  const TempFolder folder;
  folder.write("adapter_config.json", R"({"lora_parameters": {"scale": 3}})");
  const Experts base{.weight = random::normal(key(1), {3, 32, 64})};
  const Tensor a = random::normal(key(2), {3, 2, 64}), b = random::normal(key(3), {3, 32, 2});
  save_safetensors(folder / "adapters.safetensors", {{"lora_a", a}, {"lora_b", b}});
  const Experts fused = nn::fuse(nn::load_adapter(base, Adapter::read(folder.path())));
  EXPECT_TRUE(are_close(fused.weight, base.weight + dot(b, {2}, {0}, a, {1}, {0}) * 3));
  save_safetensors(folder / "adapters.safetensors",
                   {{"lora_a", reshape(a, {2, 3, 64})}, {"lora_b", b}});
  EXPECT_THAT(
      error_of<ArgumentError>([&] { nn::load_adapter(base, Adapter::read(folder.path())); }),
      AllOf(HasSubstr("weights {3, 32, 64}"), HasSubstr("lora_a f32[2][3][64]")));
}

TEST(LoadWeights, RefusesAnAdapterOfAnotherModel) {
  const TempFolder folder;
  const Model base(1);
  folder.write("adapter_config.json", R"({"lora_parameters": {"scale": 1}})");
  const auto told = [&] {
    return error_of<ArgumentError>([&] { nn::load_adapter(base, Adapter::read(folder.path())); });
  };
  const Tensor a = constant(0.0, DType::f32, {64, 2}), b = constant(0.0, DType::f32, {2, 32});
  save_safetensors(folder / "adapters.safetensors", {{"first.lora_a", a}});
  EXPECT_THAT(told(), AllOf(HasSubstr("\"first\""), HasSubstr("missing")));
  save_safetensors(folder / "adapters.safetensors", {{"first.lora_a", b}, {"first.lora_b", b}});
  EXPECT_THAT(told(), HasSubstr("lora_a f32[2][32]"));
  save_safetensors(folder / "adapters.safetensors", {{"third.lora_a", a}, {"third.lora_b", b}});
  EXPECT_THAT(told(), AllOf(HasSubstr("2 tensors"), HasSubstr("third.lora_a")));
  save_safetensors(folder / "adapters.safetensors",
                   {{"embed_tokens.lora_a", constant(0.0, DType::f32, {8, 2})},
                    {"embed_tokens.lora_b", constant(0.0, DType::f32, {2, 64})}});
  EXPECT_THAT(
      error_of<UnsupportedError>([&] { nn::load_adapter(base, Adapter::read(folder.path())); }),
      HasSubstr("embeddings take no adapters"));
  folder.write("adapter_config.json", R"({"fine_tune_type": "prompt"})");
  EXPECT_THAT(error_of<FormatError>([&] { Adapter::read(folder.path()); }), HasSubstr("prompt"));
}

}  // namespace
}  // namespace mlxnx
