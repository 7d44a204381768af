// The families, a file each.
#pragma once

#include "llm/module.h"

namespace mlxnx::llm {

extern const Family kCohere2;
extern const Family kErnie45;
extern const Family kExaone4;
extern const Family kGemma;
extern const Family kGemma2;
extern const Family kGemma3Text;
extern const Family kGpt2;
extern const Family kGptNeoX;
extern const Family kGranite;
extern const Family kInternLm3;
extern const Family kLlama;
extern const Family kMiniCpm;
extern const Family kMinistral3;
extern const Family kOlmo2;
extern const Family kPhi3;
extern const Family kQwen2;
extern const Family kQwen3;
extern const Family kSmolLm3;
extern const Family kStableLm;
extern const Family kStarcoder2;

}  // namespace mlxnx::llm
