// What rows that are more than Nx's mean in other rows. It is told once: an evaluator takes it
// where it has no kernel, transforms differentiate and map it, and other backends get it in the
// row's place. Written with the public functions of tensors, which stand above the registry, in
// src/api/composed*.cpp.
#pragma once

#include <span>
#include <vector>

#include "ops/op_def.h"

namespace mlxnx::ops {

namespace composed {

std::vector<Tensor> layer_norm(const Composition& call);
std::vector<Tensor> rms_norm(const Composition& call);
std::vector<Tensor> softmax(const Composition& call);
std::vector<Tensor> rope(const Composition& call);
std::vector<Tensor> attention(const Composition& call);
std::vector<Tensor> random_bits(const Composition& call);
std::vector<Tensor> quantize(const Composition& call);
std::vector<Tensor> dequantize(const Composition& call);
std::vector<Tensor> quantized_dot(const Composition& call);
std::vector<Tensor> gather_dot(const Composition& call);
std::vector<Tensor> gather_quantized_dot(const Composition& call);

/// What a rule about calls answers for this one.
template <typename Answer>
Answer ask(const Composition& call, Answer (*rule)(const Call&)) {
  std::vector<TensorType> types;
  for (const Tensor& tensor : call.in) types.push_back(tensor.type());
  std::vector<Operand> operands;
  for (const TensorType& type : types) operands.push_back({.type = &type});
  return rule({call.op, operands, call.attrs, call.outputs});
}

}  // namespace composed

/// The graph of a call's one result by what the row means, where the op was put.
mlxc::Array build_composed(const Call& call);

}  // namespace mlxnx::ops
