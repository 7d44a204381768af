#include "mlxc/host_source.h"

#include <cstdlib>
#include <string_view>

#include "kernels/floats.h"
#include "mlxc/host_kernels.h"
#include "mlxc/kernel_node.h"

namespace mlxnx::mlxc {

const bool AtOnceScope::kAllowed = [] {
  const char* value = std::getenv("MLXNX_AT_ONCE");
  return value == nullptr || std::string_view(value) != "0";
}();

namespace host {

Source::Source(const Array& array) {
  if (const HostBlock* block = array.block()) {
    data = block->data();
    type = block->type();
    shape = block->shape();
    size = block->size();
    return;
  }
  const auto elements = static_cast<std::size_t>(array.size());
  if (elements == 0 || elements > HostBlock::kMostBytes || array.rank() > HostBlock::kMostRank)
    return;
  if (!is_computed(array) || !is_row_contiguous(array)) return;
  data = static_cast<const std::byte*>(data_pointer(array));
  type = array.mlx_type();
  shape = array.shape();
  size = elements;
}

Array result(std::span<const int> shape, mlx_dtype type) {
  if (!HostBlock::fits(shape, type)) return {};
  return Array::host(shape, type);
}

Array widened(const Array& halves) {
  const Source in(halves);
  Array out = in ? result(in.shape, MLX_FLOAT32) : Array();
  if (out.empty()) return out;
  kernels::widen(float_of(in.type), in.as<std::uint16_t>(), static_cast<std::int64_t>(in.size),
                 elements<float>(out));
  return out;
}

Array narrowed(Array a, mlx_dtype type) {
  if (a.empty() || a.mlx_type() != MLX_FLOAT32) return a;
  const Source in(a);
  Array out = result(in.shape, type);
  if (out.empty()) return out;
  kernels::narrow(in.as<float>(), static_cast<std::int64_t>(in.size), float_of(type),
                  elements<std::uint16_t>(out));
  return out;
}

Dims row_major(std::span<const int> shape) {
  Dims strides(shape);
  int stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

}  // namespace host
}  // namespace mlxnx::mlxc
