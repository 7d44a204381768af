// Where the ops go that an op is made of.
#include "ops/composed.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "mlxc/engine.h"
#include "mlxc/graph.h"
#include "mlxc/stream.h"
#include "mlxnx/device.h"

namespace mlxnx::ops {
namespace {

Device seen = Device::kCpu;

std::vector<Tensor> see(const Composition& call) {
  seen = default_device();
  return {call.in[0]};
}

// CI sees both devices by MLXNX_PRETEND_GPU=1.
TEST(Composed, GoesWhereTheOpWasPut) {
  OpDef op{};
  op.name = "seeing";
  op.compose = &see;
  const TensorType type{DType::f32, {}};
  for (const Device device : {Device::kCpu, Device::kGpu}) {
    if (!is_available(device)) continue;
    const mlxc::StreamScope stream(mlxc::Engine::current().stream(device));
    const mlxc::Array number = mlxc::scalar(1.0, DType::f32);
    const std::array operands = {Operand{.type = &type, .array = &number}};
    build_composed({op, operands, Attrs(), {&type, 1}});
    EXPECT_EQ(seen, device);
  }
}

}  // namespace
}  // namespace mlxnx::ops
