#include "files/stored.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

constexpr bool rows_stand_in_order() {
  for (std::size_t i = 0; i < kStoredTypes.size(); ++i) {
    if (kStoredTypes[i].type != static_cast<StoredType>(i)) return false;
  }
  return true;
}
static_assert(rows_stand_in_order());

}  // namespace

StoredType stored_type(DType dtype) {
  const StoredTypeRow* row = kStoredTypes.data() + 1;  // a bool is no type of tensors
  while (row->dtype != dtype) ++row;
  return row->type;
}

StoredTensor stored_tensor(std::string name, const TensorType& type) {
  const StoredType stored = stored_type(type.dtype);
  return {.name = std::move(name),
          .type = stored,
          .shape = type.shape,
          .bytes = stored_bytes(stored, type.shape)};
}

std::uint64_t stored_bytes(StoredType type, const Shape& shape) {
  const StoredTypeRow& row = row_of(type);
  std::int64_t count = 0;
  try {
    count = element_count(shape);
  } catch (const ShapeError&) {
    throw FormatError(fmt::format("{} of shape {} has more elements than can be counted", row.name,
                                  to_string(shape)));
  }
  if (row.per_block > 1 && (shape.empty() || shape.back() % row.per_block != 0)) {
    throw FormatError(fmt::format("{} of shape {}: rows are no multiple of its blocks of {}",
                                  row.name, to_string(shape), row.per_block));
  }
  const auto blocks = static_cast<std::uint64_t>(count) / row.per_block;
  if (blocks > std::numeric_limits<std::int64_t>::max() / row.block_bytes) {
    throw FormatError(fmt::format("{} of shape {} has more bytes than can be counted", row.name,
                                  to_string(shape)));
  }
  return blocks * row.block_bytes;
}

}  // namespace mlxnx::files
