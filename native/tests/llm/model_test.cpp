#include "mlxnx/llm/model.h"

#include <fmt/format.h>
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
  for (const char* type : {"mistral3", "llava"}) {
    EXPECT_THAT(error_of<FormatError>(loading(fmt::format(R"("model_type": "{}")", type))),
                HasSubstr("text_config"))
        << type;
  }
}

// Each would make all logits NaN, or none of them mean anything.
TEST(Model, RefusesNumbersThatMakeNoSense) {
  const auto making = [](const std::string& more) { return [more] { tiny_llama(more); }; };
  for (const char* scaling :
       {R"("type": "linear", "factor": 0)", R"("type": "dynamic", "factor": 0)",
        R"("type": "llama3", "factor": -8)", R"("type": "yarn", "factor": 0)",
        R"("type": "proportional", "factor": 0)"}) {
    EXPECT_THAT(error_of<FormatError>(making(fmt::format(
                    R"("max_position_embeddings": 64, "rope_scaling": {{{}}})", scaling))),
                HasSubstr("factor is"))
        << scaling;
  }
  EXPECT_THAT(error_of<FormatError>(
                  making(R"("rope_scaling": {"type": "yarn", "factor": 2, "beta_fast": 0})")),
              HasSubstr("beta_fast is 0"));
  EXPECT_THAT(error_of<FormatError>(making(
                  R"("rope_scaling": {"type": "yarn", "factor": 2,
                                      "original_max_position_embeddings": 0})")),
              HasSubstr("original_max_position_embeddings is 0"));
  EXPECT_THAT(error_of<FormatError>(making(R"("rms_norm_eps": {"__float__": "Infinity"})")),
              HasSubstr("epsilon of norms is inf"));
}

TEST(Model, TakesOneFactorForAllLongWavelengths) {
  const auto logits = [](const char* factors) {
    return logits_of(tiny_llama(fmt::format(
                         R"("rope_scaling": {{"type": "longrope", "long_factor": {},
                                              "original_max_position_embeddings": 64}})",
                         factors)),
                     {1, 2, 3});
  };
  EXPECT_EQ(distance(logits("1.5"), logits("[1.5]")), 0);
}

// Of small random models of a family; `settings` are JSON, `more` is put into them.
Tensor logits_of_family(const std::string& settings, const std::string& more) {
  const std::string common = R"("hidden_size": 32, "intermediate_size": 48, "vocab_size": 300,
    "num_attention_heads": 4, "rms_norm_eps": 1e-5)";
  return logits_of(llm::Model::random(Config::parse("{" + common + ", " + settings + more + "}"),
                                      random::key(3)),
                   {1, 2, 3, 4, 5});
}

TEST(Model, OfGemma2WithoutCapsHasNone) {
  const auto logits = [](const char* caps) {
    return logits_of_family(
        R"("model_type": "gemma2", "num_hidden_layers": 2, "num_key_value_heads": 2,
                        "head_dim": 8)",
        caps);
  };
  const Tensor none =
      logits(R"(, "attn_logit_softcapping": null, "final_logit_softcapping": null)");
  EXPECT_LT(distance(none, logits(R"(, "attn_logit_softcapping": 1e6,
                                       "final_logit_softcapping": 1e6)")),
            1e-5);
  EXPECT_GT(distance(none, logits("")), 1e-4) << "the family's own caps";
}

// What is said of positions decides, wherever it stands.
TEST(Model, OfOlmoHybridTurnsHeadsUnlessTheBaseIsNull) {
  const auto logits = [](const char* more) {
    return logits_of_family(R"("model_type": "olmo_hybrid", "num_hidden_layers": 4,
                        "num_key_value_heads": 4, "tie_word_embeddings": false,
                        "attention_bias": false, "linear_allow_neg_eigval": true,
                        "linear_num_key_heads": 2, "linear_num_value_heads": 2,
                        "linear_key_head_dim": 8, "linear_value_head_dim": 8,
                        "linear_conv_kernel_dim": 4, "max_position_embeddings": 64)",
                            more);
  };
  const Tensor plain = logits(""), none = logits(R"(, "rope_theta": null)");
  EXPECT_GT(distance(plain, none), 1e-4);
  EXPECT_EQ(distance(logits(R"(, "rope_parameters": {"rope_theta": null})"), none), 0);
  EXPECT_EQ(distance(logits(R"(, "rope_theta": 7, "rope_parameters": {"a": 1})"), plain), 0);
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
