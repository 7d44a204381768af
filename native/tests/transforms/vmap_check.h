// Functions mapped over examples, held against the loop over them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "transforms/transforms.h"

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

}  // namespace mlxnx::transforms
