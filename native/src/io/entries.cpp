#include "io/entries.h"

#include <iterator>
#include <utility>

#include "io/stored_tensor.h"

namespace mlxnx::io {

Tensor PartsOnce::read(std::size_t part) {
  const std::lock_guard lock(mutex_);
  if (part >= parts_.size() || !parts_[part]) {
    std::vector<Tensor> made = make_();
    parts_.assign(std::make_move_iterator(made.begin()), std::make_move_iterator(made.end()));
  }
  return *std::exchange(parts_.at(part), std::nullopt);
}

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
