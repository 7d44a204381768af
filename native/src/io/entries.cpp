#include "io/entries.h"

#include <fmt/format.h>

#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

DType type_of(files::StoredType stored) {
  const files::StoredTypeRow& row = files::row_of(stored);
  if (row.dtype) return *row.dtype;
  return row.per_block == 1 ? DType::bf16 : DType::f32;
}

}  // namespace

Entry entry_of(const std::shared_ptr<const OpenFile>& file, const files::StoredTensor& tensor) {
  return {.type = {type_of(tensor.type), tensor.shape},
          .stored = std::string(files::row_of(tensor.type).name),
          .bytes = tensor.bytes,
          .read = [file, &tensor] { return file->read(tensor); },
          .file = file,
          .place = &tensor};
}

Entry entry_as(const Entry& entry, DType type) {
  Entry result = entry;
  result.type = entry.file->type_as(*entry.place, type);
  result.read = [file = entry.file, place = entry.place, type] {
    return file->read_as(*place, type);
  };
  result.file = nullptr;
  result.place = nullptr;
  return result;
}

}  // namespace mlxnx::io
