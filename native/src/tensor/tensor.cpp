// Tensors from host data and back.
#include "mlxnx/tensor.h"

#include <cstring>
#include <limits>

#include "files/mapped_file.h"
#include "mlxc/engine.h"
#include "mlxc/f64_on_gpu.h"
#include "mlxc/graph.h"
#include "mlxc/memory.h"
#include "mlxc/thread_state.h"
#include "tensor/element.h"
#include "tensor/node.h"

namespace mlxnx {
namespace {

std::shared_ptr<tensors::Node> host_node(const void* data, const TensorType& type) {
  const mlxc::Ints dims(type.shape);
  auto node = std::make_shared<tensors::Node>(
      mlxc::from_bytes(data, std::span(dims.data(), dims.size()), mlxc::to_mlx(type.dtype)), type,
      tensors::Weight{});
  // Where a graph is traced to be fused, a number may be a node of it.
  const bool is_ready = !mlxc::thread_state.fuses || mlxc::is_computed(node->array);
  node->ready.store(is_ready, std::memory_order_release);
  node->known.store(is_ready, std::memory_order_release);
  return node;
}

}  // namespace

namespace tensors {

Tensor from_pages(files::Pages pages, const TensorType& type) {
  mlxc::check_countable(type, "from_pages");
  const mlxc::Ints dims(type.shape);
  return wrap_ready(mlxc::from_pages(std::move(pages), std::span(dims.data(), dims.size()),
                                     mlxc::to_mlx(type.dtype)),
                    type);
}

}  // namespace tensors

DType Tensor::inferred_type(const Number& value) {
  if (std::holds_alternative<double>(value)) return DType::f32;
  if (std::holds_alternative<std::complex<double>>(value)) return DType::c64;
  if (const auto* u = std::get_if<std::uint64_t>(&value)) {
    if (*u > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return DType::u64;
    return *u > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max()) ? DType::s64
                                                                                     : DType::s32;
  }
  const std::int64_t i = std::get<std::int64_t>(value);
  const bool fits = i >= std::numeric_limits<std::int32_t>::min() &&
                    i <= std::numeric_limits<std::int32_t>::max();
  return fits ? DType::s32 : DType::s64;
}

Tensor::Tensor() : Tensor(Number(0.0)) {}
Tensor::Tensor(const Number& value) : Tensor(value, inferred_type(value)) {}

Tensor::Tensor(const Number& value, DType type) {
  std::byte bytes[8];
  tensors::encode(value, type, bytes);
  node_ = host_node(bytes, {type, {}});
}

Tensor Tensor::from_bytes(std::span<const std::byte> bytes, const TensorType& type) {
  mlxc::check_countable(type, "from_bytes");
  const std::int64_t count = element_count(type.shape);
  if (bytes.size() / size_bytes(type.dtype) != static_cast<std::size_t>(count) ||
      bytes.size() % size_bytes(type.dtype) != 0) {
    throw ShapeError("[from_bytes] " + mlxnx::to_string(type) + " takes " + std::to_string(count) +
                     " elements of " + std::to_string(size_bytes(type.dtype)) + " bytes, got " +
                     std::to_string(bytes.size()) + " bytes");
  }
  return Tensor(host_node(bytes.data(), type));
}

void Tensor::refuse_moved_from() {
  throw ArgumentError("[tensor] a moved-from tensor has no value until it is assigned one");
}

const Shape& Tensor::shape() const { return node().type.shape; }
DType Tensor::dtype() const { return node().type.dtype; }
const TensorType& Tensor::type() const { return node().type; }

std::vector<std::byte> Tensor::to_bytes() const {
  const TensorView view(*this);
  return {view.bytes().begin(), view.bytes().end()};
}

void Tensor::read(std::span<std::byte> out) const {
  if (out.size() != byte_size()) {
    throw ShapeError("[read] " + mlxnx::to_string(type()) + " has " + std::to_string(byte_size()) +
                     " bytes, the destination " + std::to_string(out.size()));
  }
  const TensorView view(*this);
  if (!out.empty()) std::memcpy(out.data(), view.bytes().data(), out.size());
}

Number Tensor::to_number() const {
  if (size() != 1)
    throw ShapeError("[to_number] expected a tensor with one element, got " +
                     mlxnx::to_string(type()));
  const TensorView view(*this);
  return tensors::decode(dtype(), view.bytes().data());
}

void Tensor::require_type(DType expected) const {
  if (dtype() == expected) return;
  throw TypeError("[to_vector] the tensor has type " + std::string(name(dtype())) + ", and " +
                  std::string(name(expected)) + " was asked for");
}

TensorView::TensorView(const Tensor& tensor) : owner_(tensor) {
  if (tensor.size() == 0) return;
  eval(owner_);
  if (!mlxc::is_row_contiguous(owner_.node().array)) {
    const Device device = mlxc::device_for(tensor.dtype());
    const mlxc::StreamScope scope(mlxc::Engine::current().stream(device));
    owner_ = tensors::wrap(mlxc::contiguous(owner_.node().array), owner_.type());
    eval(owner_);
  }
  bytes_ = {static_cast<const std::byte*>(mlxc::data_pointer(owner_.node().array)),
            owner_.byte_size()};
}

}  // namespace mlxnx
