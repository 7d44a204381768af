#include "io/stored_tensor.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "files/blocks.h"
#include "files/small_floats.h"
#include "tensor/node.h"

namespace mlxnx::io {
namespace {

std::span<const std::byte> bytes_of(const files::MappedFile& file,
                                    const files::StoredTensor& stored) {
  return file.bytes().subspan(stored.offset, stored.bytes);
}

Tensor read_bools(const files::MappedFile& file, const files::StoredTensor& stored) {
  std::vector<std::byte> elements(stored.bytes);
  std::ranges::transform(bytes_of(file, stored), elements.begin(),
                         [](std::byte element) { return std::byte{element != std::byte{0}}; });
  return Tensor::from_bytes(elements, {DType::u8, stored.shape});
}

Tensor read_small_floats(const files::MappedFile& file, const files::StoredTensor& stored) {
  std::vector<std::uint16_t> elements(stored.bytes);
  files::small_floats_as_bf16(stored.type, bytes_of(file, stored), elements);
  file.forget(stored.offset, stored.bytes);
  return Tensor::from_bytes(std::as_bytes(std::span(elements)), {DType::bf16, stored.shape});
}

Tensor read_blocks(const files::MappedFile& file, const files::StoredTensor& stored) {
  const auto count = static_cast<std::size_t>(element_count(stored.shape));
  files::Pages pages = files::Pages::of_memory(count * sizeof(float));
  pages.expect_writing();
  files::decode_blocks(stored.type, bytes_of(file, stored),
                       {reinterpret_cast<float*>(pages.data()), count});
  file.forget(stored.offset, stored.bytes);
  return tensors::from_pages(std::move(pages), {DType::f32, stored.shape});
}

}  // namespace

DType type_of(files::StoredType stored) {
  const files::StoredTypeRow& row = files::row_of(stored);
  if (row.dtype) return *row.dtype;
  return row.per_block == 1 ? DType::bf16 : DType::f32;
}

Tensor read_in_place(const files::MappedFile& file, const files::StoredTensor& stored,
                     const TensorType& type) {
  // A mapping takes longer than copying so few bytes, and a process has only some ten thousands.
  constexpr std::uint64_t kMostCopied = 16384;
  if (stored.bytes <= kMostCopied || !files::Pages::have_room())
    return Tensor::from_bytes(bytes_of(file, stored), type);
  return tensors::from_pages(file.pages(stored.offset, stored.bytes), type);
}

Tensor read_stored(const files::MappedFile& file, const files::StoredTensor& stored) {
  const files::StoredTypeRow& row = files::row_of(stored.type);
  if (stored.type == files::StoredType::kBool) return read_bools(file, stored);
  if (row.dtype) return read_in_place(file, stored, {*row.dtype, stored.shape});
  return row.per_block == 1 ? read_small_floats(file, stored) : read_blocks(file, stored);
}

}  // namespace mlxnx::io
