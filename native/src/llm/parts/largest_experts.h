// Experts behind a router whose largest answers alone count.
#pragma once

#include <cstdint>

#include "llm/maker.h"
#include "llm/parts/moe.h"
#include "mlxnx/nn/linear.h"

namespace mlxnx::llm {

struct LargestExperts {
  SwitchGlu switch_mlp;
  nn::Linear router;
  MLXNX_MEMBERS(switch_mlp, router)
  std::int64_t count;

  LargestExperts(std::int64_t dims, std::int64_t hidden, const RoutingOptions& routing,
                 Maker& maker)
      : switch_mlp(dims, hidden, routing.experts, maker),
        router(maker.linear(dims, routing.experts, false)),
        count(routing.count) {
    check(routing);
  }

  Tensor operator()(const Tensor& x) const {
    const Routed routed = route_by_largest(router(x), count);
    return mixed(switch_mlp(x, routed.experts), routed.scores);
  }
};

}  // namespace mlxnx::llm
