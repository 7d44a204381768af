#include "mlxc/memory_of_arrays.h"

#include <memory>
#include <vector>

#include "mlx/backend/common/utils.h"
#include "node_of.h"

namespace core = mlx::core;

namespace mlxnx::mlxc {

InlineVector<std::int64_t, 8> strides_of(const Array& array) {
  const core::Strides& strides = node_of(array).strides();
  return InlineVector<std::int64_t, 8>(strides.data(), strides.data() + strides.size());
}

Array part_of(const Array& array, std::int64_t offset, std::span<const int> shape,
              std::span<const int> strides) {
  const core::array& whole = node_of(array);
  const core::Shape dims(shape.begin(), shape.end());
  const core::Strides steps(strides.begin(), strides.end());
  std::size_t reach = 1;
  for (std::size_t i = 0; i < shape.size(); ++i)
    reach += static_cast<std::size_t>(shape[i] - 1) * static_cast<std::size_t>(strides[i]);
  const auto [size, in_rows, in_columns] = core::check_contiguity(dims, steps);
  auto part =
      std::make_unique<core::array>(dims, whole.dtype(), nullptr, std::vector<core::array>());
  part->copy_shared_buffer(whole, steps, {reach == size, in_rows, in_columns}, reach,
                           static_cast<std::size_t>(offset));
  part->set_status(core::array::Status::available);
  return Array::adopt({part.release()});
}

bool is_sole_user(const Array& array) { return node_of(array).is_donatable(); }

}  // namespace mlxnx::mlxc
