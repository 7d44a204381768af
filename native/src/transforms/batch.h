// How each op of the registry is applied to many examples at once. Values that differ from example
// to example have an axis for them in front.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "transforms/apply.h"

namespace mlxnx::transforms {

/// A value, and whether it has the axis of examples.
struct Batched {
  Tensor tensor;
  bool is_mapped = false;
};

/// An instruction, some of whose operands are mapped.
struct BatchCall {
  const program::Instruction& instruction;
  std::span<const Batched> in;
  std::int64_t size;  ///< number of examples

  template <typename T>
  const T& attr(std::string_view name) const {
    return instruction.attrs.get<T>(name);
  }
  template <typename T>
  const T* attr_if(std::string_view name) const {
    return instruction.attrs.get_if<T>(name);
  }
  /// The shape of operand `i` in one example.
  Shape shape(std::size_t i) const;
  std::size_t rank(std::size_t i) const { return shape(i).size(); }
  /// Operand `i` with the axis of examples, repeated where it has none.
  Tensor mapped(std::size_t i) const;
  std::vector<Tensor> all_mapped() const;
};

/// The outputs, each with the axis of examples, in the types of the instruction or of the op's own
/// rules.
using Batch = std::vector<Tensor> (*)(const BatchCall& call);

struct BatchRule {
  std::string_view op;
  Batch batch;
};

std::span<const BatchRule> batch_rules();
std::span<const BatchRule> contraction_batch_rules();
std::span<const BatchRule> quantization_batch_rules();
std::span<const BatchRule> fast_batch_rules();

/// The rule of a row of the registry; null where it goes example by example.
Batch find_batch_rule(const ops::OpDef& op);

/// Records the call with other operands and attributes; outputs have the axis of examples.
std::vector<Tensor> emit_mapped(const BatchCall& call, std::span<const Tensor> operands,
                                const ops::Attrs& attrs);
/// Example by example, in a loop.
std::vector<Tensor> one_by_one(const BatchCall& call);

/// The outputs of an instruction whose operands may be mapped.
std::vector<Batched> map_through(const program::Instruction& instruction,
                                 std::span<const Batched> operands, std::int64_t size);

/// The outputs of a region for many examples.
std::vector<Batched> map_over(const program::Region& region, std::vector<Batched> inputs,
                              std::int64_t size);

}  // namespace mlxnx::transforms
