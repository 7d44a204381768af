// The families, a file each.
#pragma once

#include "llm/module.h"

namespace mlxnx::llm {

extern const Family kAfmoe;
extern const Family kApertus;
extern const Family kBailingMoe;
extern const Family kCohere;
extern const Family kCohere2;
extern const Family kDbrx;
extern const Family kDeepseek;
extern const Family kDeepseekV2;
extern const Family kDeepseekV3;
extern const Family kDeepseekV32;
extern const Family kDots1;
extern const Family kErnie45;
extern const Family kErnie45Moe;
extern const Family kExaone;
extern const Family kExaone4;
extern const Family kExaoneMoe;
extern const Family kGemma;
extern const Family kGemma2;
extern const Family kGemma3;
extern const Family kGemma3n;
extern const Family kGemma3Text;
extern const Family kGemma4;
extern const Family kGemma4Text;
extern const Family kGlm;
extern const Family kGlm4;
extern const Family kGlm4Moe;
extern const Family kGlm4MoeLite;
extern const Family kGpt2;
extern const Family kGptBigcode;
extern const Family kGptNeoX;
extern const Family kGptOss;
extern const Family kGranite;
extern const Family kGranitemoe;
extern const Family kHelium;
extern const Family kHunyuan;
extern const Family kHunyuanV1Dense;
extern const Family kInternLm2;
extern const Family kInternLm3;
extern const Family kKlear;
extern const Family kLille130m;
extern const Family kLlama;
extern const Family kLlama4;
extern const Family kLlama4Text;
extern const Family kLongcatFlash;
extern const Family kMiMo;
extern const Family kMimoV2Flash;
extern const Family kMiniCpm;
extern const Family kMiniCpm3;
extern const Family kMinimax;
extern const Family kMinistral3;
extern const Family kMistral3;
extern const Family kMixtral;
extern const Family kNanoChat;
extern const Family kNemotron;
extern const Family kOlmo;
extern const Family kOlmo2;
extern const Family kOlmo3;
extern const Family kOlmoe;
extern const Family kOpenElm;
extern const Family kPhi;
extern const Family kPhi3;
extern const Family kPhimoe;
extern const Family kPhixtral;
extern const Family kPlamo;
extern const Family kQwen;
extern const Family kQwen2;
extern const Family kQwen2Moe;
extern const Family kQwen2Vl;
extern const Family kQwen3;
extern const Family kQwen3Moe;
extern const Family kQwen3Vl;
extern const Family kSeedOss;
extern const Family kSmolLm3;
extern const Family kStableLm;
extern const Family kStarcoder2;
extern const Family kStep3p5;
extern const Family kTeleChat3;
extern const Family kYoutuLlm;

}  // namespace mlxnx::llm
