// Index operands. Nx refuses an index outside its axis where it can see it and clamps it where it
// can't; MLX checks nothing and would read or write outside. So indices whose values the call knows
// are checked on the host, and the others are clamped in the graph.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mlxc/array.h"
#include "ops/op_def.h"

namespace mlxnx::ops {

/// Throws: TypeError unless operand `i` has an integer type.
void require_integers(const Call& call, std::size_t i);

/// The value of the scalar operand `i` where the call knows it; u64 beyond s64 saturates.
std::optional<std::int64_t> known_integer(const Call& call, std::size_t i);

/// Operand `i`, whose elements all select along `axis` of `shape`, in a form that is safe to use.
/// Throws: ArgumentError for a known index outside the axis.
mlxc::Array safe_indices(const Call& call, std::size_t i, std::int64_t axis, const Shape& shape);

/// Operand `i` as it is, whose last axis holds an index for each of `axes` of `shape`, or all of
/// whose elements select along the only one of them, for kernels that clamp indices by themselves.
/// Throws: ArgumentError for a known index outside its axis.
mlxc::Array checked_indices(const Call& call, std::size_t i, const Axes& axes, const Shape& shape);

/// Operand `i` of shape `[…, axes]`, whose last axis holds one index for each of `axes` of `shape`,
/// as one array of shape `[…]` for each of the axes.
/// Throws: ArgumentError for a known index outside its axis.
std::vector<mlxc::Array> safe_index_columns(const Call& call, std::size_t i, const Axes& axes,
                                            const Shape& shape);

/// Whether the elements of `shape` can be numbered in the type of flat positions, s32.
bool has_flat_positions(const Shape& shape);

/// Operand `i` of shape `[…, rank]`, whose last axis holds an index for every axis of `shape`, as
/// one-dimensional positions in the row-major elements.
/// Throws: ArgumentError for a known index outside its axis.
mlxc::Array safe_positions(const Call& call, std::size_t i, const Shape& shape);

/// Whether the CPU has to put elements of the type at places, or to add them (`is_sum`), since the
/// device can't: MLX's GPUs (0.31, 0.32) take none of 64 bits but sums of c64.
bool must_scatter_on_cpu(DType type, bool is_sum);

/// `indices` of `type` limited to 0 … `last`: one value for all, or one for each column.
mlxc::Array clamp_indices(const mlxc::Array& indices, DType type, const Axes& last);

}  // namespace mlxnx::ops
