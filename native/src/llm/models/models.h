// The families, a file each.
#pragma once

#include "llm/module.h"

namespace mlxnx::llm {

extern const Family kLlama;

}  // namespace mlxnx::llm
