// The transforms of functions by the names that Elixir calls them.
#pragma once

#include <memory>
#include <string_view>

#include "nif/codec.h"
#include "program/ir.h"

namespace mlxnx::nif {

/// What the transform called `name` makes of `function`. `parameters` are for "grad",
/// "value_and_grad", "vjp" and "jvp" `{positions, tape}`: of the inputs that it is by, see
/// transforms/transforms.h, and what gradients keep of loops; "grad" answers gradients alone. For
/// "vmap" they are `{in_axes, size, out_axes}` with axes or nil for the first inputs; the others
/// are shared. "checkpoint" has none. Throws: ArgumentError for other names and positions; as the
/// transforms.
std::shared_ptr<const program::Region> transformed(ErlNifEnv* env, std::string_view name,
                                                   Term parameters,
                                                   const program::Region& function);

}  // namespace mlxnx::nif
