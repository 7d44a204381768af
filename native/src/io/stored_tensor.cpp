#include "io/stored_tensor.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "files/blocks.h"
#include "mlxc/host_block.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/quantize.h"
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

Tensor u16(std::uint64_t value) { return Tensor(value, DType::u16); }

// bf16 holds them all: e5m2 is the upper half of an f16, and e8m0 the exponent of a bf16.
Tensor read_small_floats(const files::MappedFile& file, const files::StoredTensor& stored) {
  const Tensor bytes = read_in_place(file, stored, {DType::u8, stored.shape});
  if (stored.type == files::StoredType::kF8E4M3) return from_fp8(bytes, DType::bf16);
  if (stored.type == files::StoredType::kF8E8M0) return from_e8m0(bytes);
  const Tensor bits = left_shift(as_type(bytes, DType::u16), u16(8));
  return as_type(bitcast(bits, DType::f16), DType::bf16);
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

Tensor from_e8m0(const Tensor& bytes) {
  const Tensor bits = as_type(bytes, DType::u16);
  constexpr std::uint64_t kLeast = 0x40, kNan = 0x7fc0;  // the least one is subnormal there
  const Tensor normal = left_shift(bits, u16(7));
  const Tensor special = select(equal(bits, u16(0)), u16(kLeast), normal);
  return bitcast(select(equal(bits, u16(0xff)), u16(kNan), special), DType::bf16);
}

Tensor read_in_place(const files::MappedFile& file, const files::StoredTensor& stored,
                     const TensorType& type) {
  // So few bytes live on the host anyway, and a process has only some ten thousand mappings.
  if (stored.bytes <= mlxc::HostBlock::kMostBytes || !files::Pages::have_room())
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
