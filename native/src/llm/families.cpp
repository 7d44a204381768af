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
    {&kAfmoe, "Arcee's Trinity", Checked::kDrawn},
    {&kApertus, "Apertus", Checked::kDrawn},
    {&kBailingMoe, "Ling and Ring", Checked::kDrawn},
    {&kBailingMoeLinear, "Ling and Ring 2 linear", Checked::kDrawn},
    {&kCohere, "Command R", Checked::kDrawn},
    {&kCohere2, "Command R7B and its like", Checked::kRecorded},
    {&kDbrx, "DBRX", Checked::kDrawn},
    {&kDeepseek, "DeepSeekMoE", Checked::kDrawn},
    {&kDeepseekV2, "DeepSeek-V2", Checked::kRecorded,
     "`norm_topk_prob` is left aside; `lm_head` is always wanted"},
    {&kDeepseekV3, "DeepSeek-V3, R1, Kimi-K2", Checked::kRecorded,
     "the layer numbered 61 is dropped, whatever their count; `lm_head` is always wanted"},
    {&kDeepseekV32, "DeepSeek-V3.2", Checked::kDrawn},
    {&kDots1, "dots.llm1", Checked::kDrawn},
    {&kErnie45, "ERNIE 4.5 without experts", Checked::kRecorded},
    {&kErnie45Moe, "ERNIE 4.5 of many experts", Checked::kDrawn},
    {&kExaone, "EXAONE 3 and 3.5", Checked::kDrawn},
    {&kExaone4, "EXAONE 4", Checked::kRecorded, "windows follow the pattern, not `layer_types`"},
    {&kExaoneMoe, "EXAONE of many experts", Checked::kDrawn},
    {&kFalconH1, "Falcon H1", Checked::kRecorded,
     "`key_multiplier` is never applied; multipliers are put into the weights of checkpoints in "
     "the published layout"},
    {&kGemma, "Gemma", Checked::kRecorded, "gelu is the exact one, not the approximation by tanh"},
    {&kGemma2, "Gemma 2", Checked::kRecorded, "sliding windows are left aside"},
    {&kGemma3, "Gemma 3, its text", Checked::kDrawn},
    {&kGemma3Text, "Gemma 3 for text", Checked::kRecorded, "`attention_bias` is left aside"},
    {&kGemma3n, "Gemma 3n, its text", Checked::kDrawn},
    {&kGemma4, "Gemma 4, its text", Checked::kDrawn},
    {&kGemma4Text, "Gemma 4 for text", Checked::kRecorded},
    {&kGlm, "GLM-4 and GLM-Edge as transformers has them", Checked::kDrawn},
    {&kGlm4, "GLM-4-0414", Checked::kDrawn},
    {&kGlm4Moe, "GLM-4.5 and its like", Checked::kRecorded, "`lm_head` is always wanted"},
    {&kGlm4MoeLite, "GLM-4.7-Flash", Checked::kDrawn},
    {&kGpt2, "GPT-2", Checked::kRecorded},
    {&kGptBigcode, "StarCoder and SantaCoder", Checked::kDrawn},
    {&kGptNeoX, "GPT-NeoX and Pythia", Checked::kRecorded, "gelu is the approximation by tanh"},
    {&kGptOss, "GPT-OSS", Checked::kRecorded,
     "`swiglu_limit` is always 7; `truncate` of yarn is left aside"},
    {&kGranite, "Granite", Checked::kRecorded},
    {&kGranitemoe, "Granite of many experts", Checked::kRecorded},
    {&kGraniteMoeHybrid, "Granite 4", Checked::kRecorded},
    {&kHelium, "Helium", Checked::kDrawn},
    {&kHunyuan, "Hunyuan-Large", Checked::kDrawn},
    {&kHunyuanV1Dense, "Hunyuan without experts", Checked::kDrawn},
    {&kInternLm2, "InternLM2", Checked::kDrawn},
    {&kInternLm3, "InternLM3", Checked::kRecorded},
    {&kJamba, "Jamba", Checked::kDrawn},
    {&kKimiLinear, "Kimi Linear", Checked::kDrawn},
    {&kKlear, "Klear", Checked::kDrawn},
    {&kLfm2, "LFM 2", Checked::kRecorded},
    {&kLfm2Moe, "LFM 2 with experts", Checked::kDrawn},
    {&kLille130m, "Lille 130M", Checked::kDrawn},
    {&kLlama, "Llama, Mistral and their like", Checked::kRecorded,
     "windows only where `layer_types` has \"sliding_attention\""},
    {&kLlama4, "Llama 4, its text", Checked::kDrawn},
    {&kLlama4Text, "Llama 4's small text models", Checked::kRecorded,
     "chunks of attention and the tuning of temperature are left aside; an untied head is named "
     "`output`"},
    {&kLongcatFlash, "LongCat-Flash", Checked::kDrawn},
    {&kMamba, "The first Mamba and Falcon Mamba", Checked::kDrawn},
    {&kMamba2, "Mamba 2", Checked::kRecorded, "`rms_norm` and `norm_before_gate` are left aside"},
    {&kMiMo, "MiMo", Checked::kDrawn},
    {&kMimoV2Flash, "MiMo-V2-Flash", Checked::kDrawn},
    {&kMiniCpm, "MiniCPM", Checked::kRecorded},
    {&kMiniCpm3, "MiniCPM3", Checked::kDrawn},
    {&kMinimax, "MiniMax-M2", Checked::kDrawn},
    {&kMinistral3, "Ministral 3", Checked::kRecorded},
    {&kMistral3, "Mistral 3, Pixtral and LLaVA, its text", Checked::kDrawn},
    {&kMixtral, "Mixtral", Checked::kRecorded},
    {&kNanoChat, "nanochat", Checked::kDrawn},
    {&kNemotron, "Nemotron-4 and Minitron", Checked::kDrawn},
    {&kNemotronH, "Nemotron H", Checked::kRecorded, "`lm_head` is always wanted"},
    {&kOlmo, "OLMo", Checked::kDrawn},
    {&kOlmo2, "OLMo 2", Checked::kRecorded},
    {&kOlmo3, "OLMo 3", Checked::kDrawn},
    {&kOlmoHybrid, "OLMo hybrid", Checked::kDrawn},
    {&kOlmoe, "OLMoE", Checked::kRecorded},
    {&kOpenElm, "OpenELM", Checked::kDrawn},
    {&kPhi, "Phi-1 to Phi-2", Checked::kDrawn},
    {&kPhi3, "Phi-3 and Phi-4", Checked::kRecorded,
     "sliding windows are left aside; longrope always takes the factors of long texts"},
    {&kPhimoe, "Phi-3.5-MoE", Checked::kDrawn},
    {&kPhixtral, "Phixtral", Checked::kDrawn},
    {&kPlamo, "PLaMo", Checked::kDrawn},
    {&kPlamo2, "PLaMo 2", Checked::kDrawn},
    {&kQwen, "Qwen (the first)", Checked::kDrawn},
    {&kQwen2, "Qwen2 and Qwen2.5", Checked::kRecorded, "sliding windows are left aside"},
    {&kQwen2Moe, "Qwen1.5 and Qwen2 of many experts", Checked::kRecorded,
     "sliding windows are left aside"},
    {&kQwen2Vl, "Qwen2-VL and Qwen2.5-VL, its text", Checked::kDrawn},
    {&kQwen3, "Qwen3", Checked::kRecorded, "`attention_bias` is left aside"},
    {&kQwen35, "Qwen 3.5, its text", Checked::kRecorded,
     "1 is added to norms only where the checkpoint has the published layout"},
    {&kQwen3Moe, "Qwen3 of many experts", Checked::kRecorded},
    {&kQwen3Next, "Qwen 3 Next", Checked::kRecorded,
     "1 is added to norms only where the checkpoint has the published layout"},
    {&kQwen3Vl, "Qwen3-VL, its text", Checked::kDrawn},
    {&kRecurrentGemma, "Recurrent Gemma (Griffin)", Checked::kDrawn},
    {&kRwkv7, "RWKV 7", Checked::kDrawn},
    {&kSeedOss, "Seed-OSS", Checked::kDrawn},
    {&kSmolLm3, "SmolLM3", Checked::kRecorded},
    {&kStableLm, "StableLM", Checked::kRecorded, "`lm_head` is always wanted"},
    {&kStarcoder2, "StarCoder2", Checked::kRecorded,
     "sliding windows and `use_bias` are left aside; gelu is the exact one"},
    {&kStep3p5, "Step-3.5", Checked::kDrawn},
    {&kTeleChat3, "TeleChat 3", Checked::kDrawn},
    {&kYoutuLlm, "Youtu-LLM", Checked::kDrawn},
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
