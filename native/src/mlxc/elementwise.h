// Functions of single elements by kernels of our own: at once where small arrays are computed so,
// else as nodes of MLX's graph, on the CPU. Neighbouring nodes can be made one (fusion.h).
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <span>

#include "kernels/elementwise.h"
#include "mlxc/array.h"

namespace mlxnx::mlxc {

/// The type of kernels for an MLX type; none for complex numbers.
std::optional<kernels::Type> kernel_type(mlx_dtype type);
mlx_dtype to_mlx(kernels::Type type);

/// The function of operands of one type (but for the mask of a select), which are broadcast.
/// Returns: an empty Array where there is no kernel, and MLX has to do it.
Array elementwise(kernels::Function function, std::initializer_list<const Array*> operands);

/// Empty likewise.
Array elementwise_cast(const Array& a, mlx_dtype type);

/// A node that runs a plan over operands that are broadcast to `shape`, which has elements.
/// Implemented in mlx_hooks.
Array elementwise_node(std::shared_ptr<const kernels::TilePlan> plan,
                       std::span<const Array* const> operands, std::span<const int> shape);

/// What such a node does with memory: all cores, a share of the elements each.
void run_shared(const kernels::TilePlan& plan, std::span<const std::int64_t> shape,
                std::span<const kernels::ProgramInput> inputs, std::span<void* const> results);

}  // namespace mlxnx::mlxc
