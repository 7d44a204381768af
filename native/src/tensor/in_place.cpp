#include "tensor/in_place.h"

#include "mlxc/host_kernels.h"
#include "tensor/node.h"

namespace mlxnx::tensors {

bool put_in_place(Tensor& tensor, const Shape& starts, const Tensor& slice) {
  if (!mlxc::AtOnceScope::is_allowed() || default_device() != Device::kCpu) return false;
  if (tensor.node_ptr().use_count() != 1) return false;
  Node& node = tensor.node();
  const Node& piece = slice.node();
  const auto is_ready = [](const Node& one) { return one.ready.load(std::memory_order_acquire); };
  if (!is_ready(node) || !is_ready(piece) || node.type.dtype != piece.type.dtype) return false;
  return mlxc::host::update_in_place(node.array, piece.array, starts);
}

}  // namespace mlxnx::tensors
