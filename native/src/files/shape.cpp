#include "mlxnx/shape.h"

#include <algorithm>

#include "mlxnx/error.h"

namespace mlxnx {

std::int64_t element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  bool too_large = false;
  for (const std::int64_t dim : shape) {
    if (dim < 0) throw ShapeError("[shape] negative dimension in " + to_string(shape));
    too_large |= __builtin_mul_overflow(count, dim, &count);
  }
  // A zero behind an overflow makes the product 0 after all.
  if (too_large && std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  if (too_large)
    throw ShapeError("[shape] " + to_string(shape) + " has more elements than can be counted");
  return count;
}

std::string to_string(std::span<const std::int64_t> shape) {
  std::string text = "{";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "}";
}

std::string to_string(const TensorType& type) {
  std::string text(name(type.dtype));
  for (const std::int64_t dim : type.shape) text += "[" + std::to_string(dim) + "]";
  return text;
}

}  // namespace mlxnx
