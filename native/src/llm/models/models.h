// The families, a file each.
#pragma once

#include "llm/module.h"

namespace mlxnx::llm {

extern const Family kApertus;
extern const Family kCohere;
extern const Family kCohere2;
extern const Family kErnie45;
extern const Family kExaone;
extern const Family kExaone4;
extern const Family kGemma;
extern const Family kGemma2;
extern const Family kGemma3;
extern const Family kGemma3Text;
extern const Family kGlm;
extern const Family kGlm4;
extern const Family kGpt2;
extern const Family kGptBigcode;
extern const Family kGptNeoX;
extern const Family kGranite;
extern const Family kHelium;
extern const Family kHunyuanV1Dense;
extern const Family kInternLm2;
extern const Family kInternLm3;
extern const Family kLille130m;
extern const Family kLlama;
extern const Family kMiMo;
extern const Family kMiniCpm;
extern const Family kMinistral3;
extern const Family kMistral3;
extern const Family kNanoChat;
extern const Family kNemotron;
extern const Family kOlmo;
extern const Family kOlmo2;
extern const Family kOlmo3;
extern const Family kOpenElm;
extern const Family kPhi;
extern const Family kPhi3;
extern const Family kPlamo;
extern const Family kQwen;
extern const Family kQwen2;
extern const Family kQwen2Vl;
extern const Family kQwen3;
extern const Family kQwen3Vl;
extern const Family kSeedOss;
extern const Family kSmolLm3;
extern const Family kStableLm;
extern const Family kStarcoder2;
extern const Family kTeleChat3;

}  // namespace mlxnx::llm
