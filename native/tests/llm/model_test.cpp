#include "mlxnx/llm/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "error_of.h"
#include "llm/tiny_models.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "temp_folder.h"

namespace mlxnx {
namespace {

using namespace testing_support;
using testing::AllOf;
using testing::HasSubstr;

void write_model(const TempFolder& folder, const Config& config, const nn::NamedTensors& tensors) {
  folder.write("config.json", config.to_json());
  save_safetensors(folder / "model.safetensors", {tensors.begin(), tensors.end()});
}

TEST(Model, IsTheSameFromItsFiles) {
  const TempFolder folder;
  const llm::Model model = tiny_llama();
  write_model(folder, model.config(), model.named_tensors());
  const llm::Model loaded = llm::Model::load(folder.path());
  EXPECT_EQ(loaded.family(), "llama");
  EXPECT_EQ(logits_of(loaded, {1, 2, 3}).to_bytes(), logits_of(model, {1, 2, 3}).to_bytes());
}

TEST(Model, SaysWhatItsWeightsLack) {
  const TempFolder folder;
  nn::NamedTensors tensors = tiny_llama().named_tensors();
  tensors.pop_back();
  tensors.emplace_back("model.extra.weight", Tensor(1.0F));
  write_model(folder, llama_config(), tensors);
  EXPECT_THAT(
      error_of<ArgumentError>([&] { llm::Model::load(folder.path()); }),
      AllOf(HasSubstr("missing"), HasSubstr("model.norm.weight"), HasSubstr("model.extra.weight")));
}

TEST(Model, RefusesSettingsThatLie) {
  const TempFolder folder;
  const nn::NamedTensors tensors = tiny_llama().named_tensors();
  const auto loading = [&](const std::string& more) {
    write_model(folder, llama_config(more), tensors);
    return [&] { llm::Model::load(folder.path()); };
  };
  EXPECT_THAT(error_of<ArgumentError>(loading(R"("vocab_size": 301)")), HasSubstr("another shape"));
  EXPECT_THAT(error_of<FormatError>(loading(R"("hidden_size": 0)")), HasSubstr("hidden_size is 0"));
  EXPECT_THAT(error_of<FormatError>(loading(R"("num_hidden_layers": -1)")), HasSubstr("-1"));
  EXPECT_THAT(error_of<FormatError>(loading(R"("num_key_value_heads": 3)")), HasSubstr("share 3"));
  EXPECT_THAT(error_of<FormatError>(loading(R"("layer_types": ["full_attention"])")),
              HasSubstr("1 entries for 2 layers"));
  EXPECT_THAT(error_of<UnsupportedError>(loading(R"("rope_scaling": {"type": "new"})")),
              HasSubstr("yarn"));
  EXPECT_THAT(error_of<UnsupportedError>(loading(R"("model_file": "model.py")")),
              HasSubstr("model.py"));
}

TEST(Model, NamesTheNearestTypes) {
  const auto refused = [](const std::string& type) {
    return error_of<UnsupportedError>([&] {
      llm::Model::random(Config::parse(R"({"model_type": ")" + type + "\"}"), random::key(1));
    });
  };
  EXPECT_THAT(refused("lama"), HasSubstr("llama"));
  EXPECT_THAT(refused("mistrall"), HasSubstr("mistral"));
}

TEST(Model, WantsTokensOfTheVocabulary) {
  const llm::Model model = tiny_llama();
  llm::Cache cache = model.make_cache();
  const Tensor outside = tokens_of({{300}});
  eval(outside);  // what is not known yet is clamped
  EXPECT_THROW(model.forward(outside, cache), ValueError);
  EXPECT_THROW(model.forward(Tensor(1), cache), ShapeError);
  EXPECT_THROW(model.forward(tensor({{1.5}}), cache), TypeError);
}

TEST(Model, OfSettingsAloneHasTheirTypeAndQuantization) {
  const llm::Model model =
      tiny_llama(R"("torch_dtype": "bfloat16", "quantization": {"bits": 4, "group_size": 32})");
  std::map<std::string, DType> types;
  for (const auto& [name, tensor] : model.named_tensors()) types.emplace(name, tensor.dtype());
  EXPECT_EQ(types.at("model.norm.weight"), DType::bf16);
  EXPECT_EQ(types.at("model.layers.0.mlp.up_proj.weight"), DType::u32);
  EXPECT_EQ(types.at("model.layers.0.mlp.up_proj.scales"), DType::bf16);
  EXPECT_EQ(logits_of(model, {1, 2}).dtype(), DType::bf16);
}

}  // namespace
}  // namespace mlxnx
