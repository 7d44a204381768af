// Regions as terms, in the form that `program_build` takes (program.cpp).
#pragma once

#include "nif/codec.h"
#include "program/ir.h"

namespace mlxnx::nif {

/// The region as `{inputs, instructions, outputs}`. Texts among the attributes are binaries.
Term region_term(ErlNifEnv* env, const program::Region& region);

}  // namespace mlxnx::nif
