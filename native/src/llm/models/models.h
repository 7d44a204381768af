// The families, a file each.
#pragma once

#include "llm/module.h"

namespace mlxnx::llm {

// A line each. clang-format would take three:
// clang-format off
namespace afmoe { extern const Family kFamily; }
namespace apertus { extern const Family kFamily; }
namespace bailing_moe { extern const Family kFamily; }
namespace bailing_moe_linear { extern const Family kFamily; }
namespace cohere { extern const Family kFamily; }
namespace cohere2 { extern const Family kFamily; }
namespace dbrx { extern const Family kFamily; }
namespace deepseek { extern const Family kFamily; }
namespace deepseek_v2 { extern const Family kFamily; }
namespace deepseek_v3 { extern const Family kFamily; }
namespace deepseek_v32 { extern const Family kFamily; }
namespace dots1 { extern const Family kFamily; }
namespace ernie4_5 { extern const Family kFamily; }
namespace ernie4_5_moe { extern const Family kFamily; }
namespace exaone { extern const Family kFamily; }
namespace exaone4 { extern const Family kFamily; }
namespace exaone_moe { extern const Family kFamily; }
namespace falcon_h1 { extern const Family kFamily; }
namespace gemma { extern const Family kFamily; }
namespace gemma2 { extern const Family kFamily; }
namespace gemma3 { extern const Family kFamily; }
namespace gemma3n { extern const Family kFamily; }
namespace gemma3_text { extern const Family kFamily; }
namespace gemma4_text { extern const Family kFamily, kNested; }
namespace glm { extern const Family kFamily; }
namespace glm4 { extern const Family kFamily; }
namespace glm4_moe { extern const Family kFamily; }
namespace glm4_moe_lite { extern const Family kFamily; }
namespace gpt2 { extern const Family kFamily; }
namespace gpt_bigcode { extern const Family kFamily; }
namespace gpt_neox { extern const Family kFamily; }
namespace gpt_oss { extern const Family kFamily; }
namespace granite { extern const Family kFamily; }
namespace granitemoe { extern const Family kFamily; }
namespace granitemoehybrid { extern const Family kFamily; }
namespace helium { extern const Family kFamily; }
namespace hunyuan { extern const Family kFamily; }
namespace hunyuan_v1_dense { extern const Family kFamily; }
namespace internlm2 { extern const Family kFamily; }
namespace internlm3 { extern const Family kFamily; }
namespace jamba { extern const Family kFamily; }
namespace kimi_linear { extern const Family kFamily; }
namespace klear { extern const Family kFamily; }
namespace lfm2 { extern const Family kFamily; }
namespace lfm2_moe { extern const Family kFamily; }
namespace lille_130m { extern const Family kFamily; }
namespace llama { extern const Family kFamily; }
namespace llama4 { extern const Family kFamily; }
namespace llama4_text { extern const Family kFamily; }
namespace longcat_flash { extern const Family kFamily; }
namespace mamba { extern const Family kFamily; }
namespace mamba2 { extern const Family kFamily; }
namespace mimo { extern const Family kFamily; }
namespace mimo_v2_flash { extern const Family kFamily; }
namespace minicpm { extern const Family kFamily; }
namespace minicpm3 { extern const Family kFamily; }
namespace minimax { extern const Family kFamily; }
namespace ministral3 { extern const Family kFamily; }
namespace mistral3 { extern const Family kFamily; }
namespace mixtral { extern const Family kFamily; }
namespace nanochat { extern const Family kFamily; }
namespace nemotron { extern const Family kFamily; }
namespace nemotron_h { extern const Family kFamily; }
namespace olmo { extern const Family kFamily; }
namespace olmo2 { extern const Family kFamily; }
namespace olmo3 { extern const Family kFamily; }
namespace olmoe { extern const Family kFamily; }
namespace olmo_hybrid { extern const Family kFamily; }
namespace openelm { extern const Family kFamily; }
namespace phi { extern const Family kFamily; }
namespace phi3 { extern const Family kFamily; }
namespace phimoe { extern const Family kFamily; }
namespace phixtral { extern const Family kFamily; }
namespace plamo { extern const Family kFamily; }
namespace plamo2 { extern const Family kFamily; }
namespace qwen { extern const Family kFamily; }
namespace qwen2 { extern const Family kFamily; }
namespace qwen2_moe { extern const Family kFamily; }
namespace qwen2_vl { extern const Family kFamily; }
namespace qwen3 { extern const Family kFamily; }
namespace qwen3_5 { extern const Family kFamily; }
namespace qwen3_moe { extern const Family kFamily; }
namespace qwen3_next { extern const Family kFamily; }
namespace qwen3_vl { extern const Family kFamily; }
namespace recurrent_gemma { extern const Family kFamily; }
namespace rwkv7 { extern const Family kFamily; }
namespace seed_oss { extern const Family kFamily; }
namespace smollm3 { extern const Family kFamily; }
namespace stablelm { extern const Family kFamily; }
namespace starcoder2 { extern const Family kFamily; }
namespace step3p5 { extern const Family kFamily; }
namespace telechat3 { extern const Family kFamily; }
namespace youtu_llm { extern const Family kFamily; }
// clang-format on

}  // namespace mlxnx::llm
