#include "ops/composed.h"

#include "mlxc/host_kernels.h"
#include "mlxc/stream.h"
#include "mlxnx/device.h"
#include "tensor/node.h"

namespace mlxnx::ops {

mlxc::Array build_composed(const Call& call) {
  // Where the op itself was put: f64 goes to the CPU.
  const DeviceScope device(mlxc::current_device());
  // Computed operands stay that, so that small results are computed at once.
  const bool are_ready = mlxc::AtOnceScope::is_open();
  const mlxc::OnlyGraphsScope graphs(!are_ready);
  std::vector<Tensor> in;
  for (std::size_t i = 0; i < call.size(); ++i) {
    mlxc::Array array(call.array(i));
    const auto* const known = call.operands[i].known;
    const bool is_known = known == nullptr || known->load(std::memory_order_acquire);
    in.push_back(are_ready ? tensors::wrap_ready(std::move(array), call.type(i), is_known)
                           : tensors::wrap(std::move(array), call.type(i)));
  }
  return call.op.compose({call.op, in, call.attrs, call.outputs}).front().node().array;
}

}  // namespace mlxnx::ops
