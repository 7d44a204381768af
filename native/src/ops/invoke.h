// An eager call of a registered op: check, infer, place, build, wrap.
#pragma once

#include <concepts>
#include <span>
#include <vector>

#include "mlxnx/tensor.h"
#include "ops/op_def.h"
#include "tensor/node.h"

namespace mlxnx::ops {

/// The tensors of one call, borrowed: `{a, b}`, or any span of tensors or of pointers to them.
class Operands {
 public:
  template <std::same_as<Tensor>... T>
  Operands(const T&... tensors) : pointers_{&tensors...} {}
  Operands(std::span<const Tensor> tensors) {
    for (const Tensor& tensor : tensors) pointers_.push_back(&tensor);
  }
  Operands(std::span<const Tensor* const> tensors) : pointers_(tensors.begin(), tensors.end()) {}
  std::size_t size() const { return pointers_.size(); }
  const Tensor& operator[](std::size_t i) const { return *pointers_[i]; }

 private:
  InlineVector<const Tensor*, 4> pointers_;
};

/// Types and shapes of the outputs of a call.
/// Throws: ArgumentError, ShapeError, TypeError, UnsupportedError as the op's rules say.
OutputTypes infer_types(const OpDef& op, std::span<const TensorType> operands,
                        const Attrs& attrs = {});

/// A rough bound on the time that a call's evaluation takes.
tensors::Work work_of(const OpDef& op, std::span<const Operand> operands,
                      std::span<const TensorType> outputs);

/// Calls an op with one output.
Tensor invoke(const OpDef& op, const Operands& operands, const Attrs& attrs = {});

/// Calls an op with one output and casts the result to `wanted`, as `invoke_all` does.
Tensor invoke_as(const OpDef& op, const Operands& operands, const Attrs& attrs,
                 const TensorType& wanted);

/// Calls an op with any number of outputs. `wanted` may give the outputs' types and shapes: Nx
/// names them when it calls a backend; the results are cast to these types. Empty: as inferred.
/// Throws: ShapeError when a wanted shape is not the one inferred.
std::vector<Tensor> invoke_all(const OpDef& op, const Operands& operands, const Attrs& attrs = {},
                               std::span<const TensorType> wanted = {});

/// Builds the graph of a call whose operands are arrays (graph programs use this). `attrs` is
/// normalised, a current stream is open. Operand arrays of MLX's bool are allowed where the type
/// says u8.
std::vector<mlxc::Array> build(const OpDef& op, std::span<const Operand> operands,
                               const Attrs& attrs, std::span<const TensorType> outputs);

/// The same without an open stream: places the op, and casts the results to the types of `wanted`,
/// which may be others than the rules answer.
/// Throws: as the rules say; ShapeError when a wanted shape is not the one inferred.
std::vector<mlxc::Array> build_as(const OpDef& op, std::span<const Operand> operands,
                                  const Attrs& attrs, std::span<const TensorType> wanted);

/// The two halves of `build_as`, for who calls an op again and again: the types that the evaluator
/// works towards, for operands of these types, and the rest. `at_once`: small arrays are computed;
/// the operands are computed ones.
OutputTypes targets(const OpDef& op, std::span<const Operand> operands, const Attrs& attrs,
                    std::span<const TensorType> wanted);
std::vector<mlxc::Array> build_towards(const OpDef& op, std::span<const Operand> operands,
                                       const Attrs& attrs, const OutputTypes& targets,
                                       std::span<const TensorType> wanted, bool at_once);

}  // namespace mlxnx::ops
