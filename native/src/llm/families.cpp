#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "files/nearest.h"
#include "llm/models/models.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/model.h"

namespace mlxnx::llm {
namespace {

struct FamilyRow {
  const Family* family;
  std::string_view title;
  FamilyInfo::Checked checked;
  /// What mlx-lm, and so this, does otherwise than the settings or the family's definition say.
  std::string_view note = "";
};

using Checked = FamilyInfo::Checked;

// In the order of their types.
const FamilyRow kFamilies[] = {
    {&afmoe::kFamily, "Arcee's Trinity", Checked::kDrawn},
    {&apertus::kFamily, "Apertus", Checked::kDrawn},
    {&bailing_moe::kFamily, "Ling and Ring", Checked::kDrawn},
    {&bailing_moe_linear::kFamily, "Ling and Ring 2 linear", Checked::kDrawn},
    {&cohere::kFamily, "Command R", Checked::kDrawn},
    {&cohere2::kFamily, "Command R7B and its like", Checked::kRecorded},
    {&dbrx::kFamily, "DBRX", Checked::kDrawn},
    {&deepseek::kFamily, "DeepSeekMoE", Checked::kDrawn},
    {&deepseek_v2::kFamily, "DeepSeek-V2", Checked::kRecorded,
     "`norm_topk_prob` is left aside; `lm_head` is always wanted"},
    {&deepseek_v3::kFamily, "DeepSeek-V3, R1, Kimi-K2", Checked::kRecorded,
     "the layer numbered 61 is dropped, whatever their count; `lm_head` is always wanted"},
    {&deepseek_v32::kFamily, "DeepSeek-V3.2", Checked::kDrawn},
    {&dots1::kFamily, "dots.llm1", Checked::kDrawn},
    {&ernie4_5::kFamily, "ERNIE 4.5 without experts", Checked::kRecorded},
    {&ernie4_5_moe::kFamily, "ERNIE 4.5 of many experts", Checked::kDrawn},
    {&exaone::kFamily, "EXAONE 3 and 3.5", Checked::kDrawn},
    {&exaone4::kFamily, "EXAONE 4", Checked::kRecorded,
     "windows follow the pattern, not `layer_types`"},
    {&exaone_moe::kFamily, "EXAONE of many experts", Checked::kDrawn},
    {&falcon_h1::kFamily, "Falcon H1", Checked::kRecorded,
     "`key_multiplier` is never applied; multipliers are put into the weights of checkpoints in "
     "the published layout"},
    {&gemma::kFamily, "Gemma", Checked::kRecorded,
     "gelu is the exact one, not the approximation by tanh"},
    {&gemma2::kFamily, "Gemma 2", Checked::kRecorded, "sliding windows are left aside"},
    {&gemma3::kFamily, "Gemma 3, its text", Checked::kDrawn},
    {&gemma3_text::kFamily, "Gemma 3 for text", Checked::kRecorded,
     "`attention_bias` is left aside"},
    {&gemma3n::kFamily, "Gemma 3n, its text", Checked::kDrawn},
    {&gemma4_text::kNested, "Gemma 4, its text", Checked::kDrawn},
    {&gemma4_text::kFamily, "Gemma 4 for text", Checked::kRecorded},
    {&glm::kFamily, "GLM-4 and GLM-Edge as transformers has them", Checked::kDrawn},
    {&glm4::kFamily, "GLM-4-0414", Checked::kDrawn},
    {&glm4_moe::kFamily, "GLM-4.5 and its like", Checked::kRecorded, "`lm_head` is always wanted"},
    {&glm4_moe_lite::kFamily, "GLM-4.7-Flash", Checked::kDrawn},
    {&gpt2::kFamily, "GPT-2", Checked::kRecorded},
    {&gpt_bigcode::kFamily, "StarCoder and SantaCoder", Checked::kDrawn},
    {&gpt_neox::kFamily, "GPT-NeoX and Pythia", Checked::kRecorded,
     "gelu is the approximation by tanh"},
    {&gpt_oss::kFamily, "GPT-OSS", Checked::kRecorded,
     "`swiglu_limit` is always 7; `truncate` of yarn is left aside"},
    {&granite::kFamily, "Granite", Checked::kRecorded},
    {&granitemoe::kFamily, "Granite of many experts", Checked::kRecorded},
    {&granitemoehybrid::kFamily, "Granite 4", Checked::kRecorded},
    {&helium::kFamily, "Helium", Checked::kDrawn},
    {&hunyuan::kFamily, "Hunyuan-Large", Checked::kDrawn},
    {&hunyuan_v1_dense::kFamily, "Hunyuan without experts", Checked::kDrawn},
    {&internlm2::kFamily, "InternLM2", Checked::kDrawn},
    {&internlm3::kFamily, "InternLM3", Checked::kRecorded},
    {&jamba::kFamily, "Jamba", Checked::kDrawn},
    {&kimi_linear::kFamily, "Kimi Linear", Checked::kDrawn},
    {&klear::kFamily, "Klear", Checked::kDrawn},
    {&lfm2::kFamily, "LFM 2", Checked::kRecorded},
    {&lfm2_moe::kFamily, "LFM 2 with experts", Checked::kDrawn},
    {&lille_130m::kFamily, "Lille 130M", Checked::kDrawn},
    {&llama::kFamily, "Llama, Mistral and their like", Checked::kRecorded,
     "windows only where `layer_types` has \"sliding_attention\""},
    {&llama4::kFamily, "Llama 4, its text", Checked::kDrawn},
    {&llama4_text::kFamily, "Llama 4's small text models", Checked::kRecorded,
     "chunks of attention and the tuning of temperature are left aside; an untied head is named "
     "`output`"},
    {&longcat_flash::kFamily, "LongCat-Flash", Checked::kDrawn},
    {&mamba::kFamily, "The first Mamba and Falcon Mamba", Checked::kDrawn},
    {&mamba2::kFamily, "Mamba 2", Checked::kRecorded,
     "`rms_norm` and `norm_before_gate` are left aside"},
    {&mimo::kFamily, "MiMo", Checked::kDrawn},
    {&mimo_v2_flash::kFamily, "MiMo-V2-Flash", Checked::kDrawn},
    {&minicpm::kFamily, "MiniCPM", Checked::kRecorded},
    {&minicpm3::kFamily, "MiniCPM3", Checked::kDrawn},
    {&minimax::kFamily, "MiniMax-M2", Checked::kDrawn},
    {&ministral3::kFamily, "Ministral 3", Checked::kRecorded},
    {&mistral3::kFamily, "Mistral 3, Pixtral and LLaVA, its text", Checked::kDrawn},
    {&mixtral::kFamily, "Mixtral", Checked::kRecorded},
    {&nanochat::kFamily, "nanochat", Checked::kDrawn},
    {&nemotron::kFamily, "Nemotron-4 and Minitron", Checked::kDrawn},
    {&nemotron_h::kFamily, "Nemotron H", Checked::kRecorded, "`lm_head` is always wanted"},
    {&olmo::kFamily, "OLMo", Checked::kDrawn},
    {&olmo2::kFamily, "OLMo 2", Checked::kRecorded},
    {&olmo3::kFamily, "OLMo 3", Checked::kDrawn},
    {&olmo_hybrid::kFamily, "OLMo hybrid", Checked::kDrawn},
    {&olmoe::kFamily, "OLMoE", Checked::kRecorded},
    {&openelm::kFamily, "OpenELM", Checked::kDrawn},
    {&phi::kFamily, "Phi-1 to Phi-2", Checked::kDrawn},
    {&phi3::kFamily, "Phi-3 and Phi-4", Checked::kRecorded,
     "sliding windows are left aside; longrope always takes the factors of long texts"},
    {&phimoe::kFamily, "Phi-3.5-MoE", Checked::kDrawn},
    {&phixtral::kFamily, "Phixtral", Checked::kDrawn},
    {&plamo::kFamily, "PLaMo", Checked::kDrawn},
    {&plamo2::kFamily, "PLaMo 2", Checked::kDrawn},
    {&qwen::kFamily, "Qwen (the first)", Checked::kDrawn},
    {&qwen2::kFamily, "Qwen2 and Qwen2.5", Checked::kRecorded, "sliding windows are left aside"},
    {&qwen2_moe::kFamily, "Qwen1.5 and Qwen2 of many experts", Checked::kRecorded,
     "sliding windows are left aside"},
    {&qwen2_vl::kFamily, "Qwen2-VL and Qwen2.5-VL, its text", Checked::kDrawn},
    {&qwen3::kFamily, "Qwen3", Checked::kRecorded, "`attention_bias` is left aside"},
    {&qwen3_5::kFamily, "Qwen 3.5, its text", Checked::kRecorded,
     "1 is added to norms only where the checkpoint has the published layout"},
    {&qwen3_moe::kFamily, "Qwen3 of many experts", Checked::kRecorded},
    {&qwen3_next::kFamily, "Qwen 3 Next", Checked::kRecorded,
     "1 is added to norms only where the checkpoint has the published layout"},
    {&qwen3_vl::kFamily, "Qwen3-VL, its text", Checked::kDrawn},
    {&recurrent_gemma::kFamily, "Recurrent Gemma (Griffin)", Checked::kDrawn},
    {&rwkv7::kFamily, "RWKV 7", Checked::kDrawn},
    {&seed_oss::kFamily, "Seed-OSS", Checked::kDrawn},
    {&smollm3::kFamily, "SmolLM3", Checked::kRecorded},
    {&stablelm::kFamily, "StableLM", Checked::kRecorded, "`lm_head` is always wanted"},
    {&starcoder2::kFamily, "StarCoder2", Checked::kRecorded,
     "sliding windows and `use_bias` are left aside; gelu is the exact one"},
    {&step3p5::kFamily, "Step-3.5", Checked::kDrawn},
    {&telechat3::kFamily, "TeleChat 3", Checked::kDrawn},
    {&youtu_llm::kFamily, "Youtu-LLM", Checked::kDrawn},
};

/// Types that are made as others are.
struct OtherName {
  std::string_view name, family;
};
constexpr OtherName kOtherNames[] = {
    {"falcon_mamba", "mamba"},  {"gemma4_unified", "gemma4"},
    {"iquestcoder", "llama"},   {"joyai_llm_flash", "deepseek_v3"},
    {"kimi_k2", "deepseek_v3"}, {"llava", "mistral3"},
    {"minimax_m2", "minimax"},  {"mistral", "llama"},
    {"phi-msft", "phixtral"},   {"qwen2_5_vl", "qwen2_vl"},
    {"qwen3_5_moe", "qwen3_5"}, {"solar_open", "glm4_moe"},
    {"xverse", "llama"},
};

const Family* find(std::string_view name) {
  const auto* const found =
      std::ranges::find(kFamilies, name, [](const FamilyRow& row) { return row.family->name; });
  return found == std::end(kFamilies) ? nullptr : found->family;
}

}  // namespace

const std::vector<FamilyInfo>& families() {
  static const std::vector<FamilyInfo> all = [] {
    std::vector<FamilyInfo> infos;
    for (const FamilyRow& row : kFamilies) {
      FamilyInfo& info =
          infos.emplace_back(FamilyInfo{row.family->name, row.title, {}, row.checked, row.note});
      for (const OtherName& other : kOtherNames) {
        if (other.family == info.name) info.other_names.push_back(other.name);
      }
    }
    return infos;
  }();
  return all;
}

const Family& family_of(std::string_view model_type) {
  if (const Family* family = find(model_type)) return *family;
  const auto* const other = std::ranges::find(kOtherNames, model_type, &OtherName::name);
  if (other != std::end(kOtherNames)) return *find(other->family);
  std::vector<std::string_view> names;
  for (const FamilyInfo& family : families()) {
    names.push_back(family.name);
    names.insert(names.end(), family.other_names.begin(), family.other_names.end());
  }
  throw UnsupportedError(fmt::format("[load] models of the type {:?} are not known{}", model_type,
                                     files::nearest_hint(model_type, names)));
}

}  // namespace mlxnx::llm
