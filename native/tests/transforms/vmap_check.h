// Functions mapped over examples, held against the loop over them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "transforms/derivative_check.h"

namespace mlxnx::transforms {

/// How a function is mapped; as `vmap` takes it.
struct Mapping {
  std::vector<std::optional<std::int64_t>> in_axes;
  std::int64_t size = 3;
  std::vector<std::int64_t> out_axes = {};
};

/// What the function answers example by example, put together along `out_axes`.
std::vector<Tensor> one_after_another(const RegionPtr& function, const std::vector<Tensor>& inputs,
                                      const Mapping& mapping);

/// Expects vmap to answer the same, in the same types; `limit` as in `expect_near`.
void check_vmap(const RegionPtr& function, const std::vector<Tensor>& inputs,
                const Mapping& mapping, double limit);

using Flags = std::vector<bool>;

/// Which inputs to map: all, each alone, and all but one.
std::vector<Flags> choices(std::size_t inputs);
/// The inputs that are mapped along their first axis.
Mapping in_front(const Flags& is_mapped, std::int64_t size);
/// Inputs as words of op_cases.h say, of several examples where they are mapped.
Tensors of_examples(std::string_view words, const Flags& is_mapped, std::int64_t size,
                    DType type = DType::f64);
/// How much another order of sums may change for such inputs.
double limit_of(const Tensors& inputs);

/// `check_vmap` for a mapped function mapped again, for each choice of inputs.
void check_mapped_again(const RegionPtr& function, std::string_view words);
/// Expects pullbacks mapped, and the pullback of the mapped function, to be those of the loop.
void check_mapped_gradients(const Subject& subject, std::string_view words, Tape tape = Tape::kAll);

}  // namespace mlxnx::transforms
