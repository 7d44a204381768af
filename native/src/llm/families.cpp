#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "files/nearest.h"
#include "llm/models/models.h"
#include "mlxnx/error.h"

namespace mlxnx::llm {
namespace {

const Family* const kFamilies[] = {
    &kAfmoe,
    &kApertus,
    &kBailingMoe,
    &kBailingMoeLinear,
    &kCohere,
    &kCohere2,
    &kDbrx,
    &kDeepseek,
    &kDeepseekV2,
    &kDeepseekV3,
    &kDeepseekV32,
    &kDots1,
    &kErnie45,
    &kErnie45Moe,
    &kExaone,
    &kExaone4,
    &kExaoneMoe,
    &kFalconH1,
    &kGemma,
    &kGemma2,
    &kGemma3,
    &kGemma3n,
    &kGemma3Text,
    &kGemma4,
    &kGemma4Text,
    &kGlm,
    &kGlm4,
    &kGlm4Moe,
    &kGlm4MoeLite,
    &kGpt2,
    &kGptBigcode,
    &kGptNeoX,
    &kGptOss,
    &kGranite,
    &kGranitemoe,
    &kGraniteMoeHybrid,
    &kHelium,
    &kHunyuan,
    &kHunyuanV1Dense,
    &kInternLm2,
    &kInternLm3,
    &kJamba,
    &kKimiLinear,
    &kKlear,
    &kLfm2,
    &kLfm2Moe,
    &kLille130m,
    &kLlama,
    &kLlama4,
    &kLlama4Text,
    &kLongcatFlash,
    &kMamba,
    &kMamba2,
    &kMiMo,
    &kMimoV2Flash,
    &kMiniCpm,
    &kMiniCpm3,
    &kMinimax,
    &kMinistral3,
    &kMistral3,
    &kMixtral,
    &kNanoChat,
    &kNemotron,
    &kNemotronH,
    &kOlmo,
    &kOlmo2,
    &kOlmo3,
    &kOlmoe,
    &kOlmoHybrid,
    &kOpenElm,
    &kPhi,
    &kPhi3,
    &kPhimoe,
    &kPhixtral,
    &kPlamo,
    &kPlamo2,
    &kQwen,
    &kQwen2,
    &kQwen2Moe,
    &kQwen2Vl,
    &kQwen3,
    &kQwen35,
    &kQwen3Moe,
    &kQwen3Next,
    &kQwen3Vl,
    &kRecurrentGemma,
    &kRwkv7,
    &kSeedOss,
    &kSmolLm3,
    &kStableLm,
    &kStarcoder2,
    &kStep3p5,
    &kTeleChat3,
    &kYoutuLlm,
};

/// Types that are made as others are.
struct OtherName {
  std::string_view name, family;
};
constexpr OtherName kOtherNames[] = {
    {"falcon_mamba", "mamba"},
    {"gemma4_unified", "gemma4"},
    {"iquestcoder", "llama"},
    {"joyai_llm_flash", "deepseek_v3"},
    {"kimi_k2", "deepseek_v3"},
    {"llava", "mistral3"},
    {"minimax_m2", "minimax"},
    {"mistral", "llama"},
    {"phi-msft", "phixtral"},
    {"qwen2_5_vl", "qwen2_vl"},
    {"qwen3_5_moe", "qwen3_5"},
    {"solar_open", "glm4_moe"},
    {"xverse", "llama"},
};

const Family* find(std::string_view name) {
  const auto* const found = std::ranges::find(kFamilies, name, &Family::name);
  return found == std::end(kFamilies) ? nullptr : *found;
}

}  // namespace

std::span<const Family* const> families() { return kFamilies; }

const Family& family_of(std::string_view model_type) {
  if (const Family* family = find(model_type)) return *family;
  const auto* const other = std::ranges::find(kOtherNames, model_type, &OtherName::name);
  if (other != std::end(kOtherNames)) return *find(other->family);
  std::vector<std::string_view> names;
  for (const Family* family : kFamilies) names.push_back(family->name);
  for (const OtherName& row : kOtherNames) names.push_back(row.name);
  throw UnsupportedError(fmt::format("[load] models of the type {:?} are not known{}", model_type,
                                     files::nearest_hint(model_type, names)));
}

}  // namespace mlxnx::llm
