#include "io/configured_type.h"

#include <string>

namespace mlxnx::io {

std::optional<DType> configured_type(const Config& config) {
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (!config.contains(key)) continue;
    const std::string name = config.get<std::string>(key);
    if (name == "float16") return DType::f16;
    if (name == "bfloat16") return DType::bf16;
    if (name == "float32") return DType::f32;
  }
  return config.contains("text_config") ? configured_type(config.get<Config>("text_config"))
                                        : std::nullopt;
}

}  // namespace mlxnx::io
