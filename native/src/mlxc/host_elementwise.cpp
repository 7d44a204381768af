// Kernels that work element by element.
#include <algorithm>
#include <array>
#include <memory>

#include "mlxc/elementwise.h"
#include "mlxc/host_kernels.h"
#include "mlxc/host_source.h"

namespace mlxnx::mlxc::host {
namespace {

// At most three operands, and the shape that they are broadcast to.
struct Operands {
  std::array<Source, 3> sources;
  std::size_t count = 0;
  Dims shape;
  bool fit = true;

  explicit Operands(std::span<const Array* const> arrays) {
    for (const Array* const array : arrays) {
      const Source& source = sources[count++] = Source(*array);
      fit = fit && source;
    }
    if (!fit) return;
    std::size_t rank = 0;
    for (std::size_t k = 0; k < count; ++k) rank = std::max(rank, sources[k].shape.size());
    for (std::size_t i = 0; i < rank; ++i) shape.push_back(1);
    for (std::size_t k = 0; k < count; ++k) {
      const std::span<const int> own = sources[k].shape;
      for (std::size_t i = 0; i < own.size(); ++i) {
        int& dim = shape[rank - own.size() + i];
        if (dim == 1) dim = own[i];
        fit = fit && (own[i] == dim || own[i] == 1);
      }
    }
  }

  // The elements of one, each as often as the shape repeats it.
  void repeat(std::size_t k, std::byte* to) const {
    const std::span<const int> own = sources[k].shape;
    const Dims steps = row_major(own);
    const std::size_t rank = static_cast<std::span<const int>>(shape).size();
    std::array<Dims, 1> strides;
    for (std::size_t i = 0; i < rank; ++i) {
      const bool repeats = i + own.size() < rank || own[i + own.size() - rank] == 1;
      strides[0].push_back(repeats ? 0 : steps[i + own.size() - rank]);
    }
    const std::size_t width = mlx_dtype_size(sources[k].type);
    const std::byte* const data = sources[k].data;
    for_each_row<1>(shape, strides, [&](const auto& at, std::size_t length) {
      const std::byte* const row = data + at[0] * static_cast<std::ptrdiff_t>(width);
      if (strides[0].back() != 0 || length == 1) {
        to = std::copy(row, row + length * width, to);
      } else {
        for (std::size_t i = 0; i < length; ++i) to = std::copy(row, row + width, to);
      }
    });
  }
};

}  // namespace

Array elementwise(const kernels::Step& step, std::span<const Array* const> arrays) {
  using kernels::Type;
  // What MLX computes with halves it computes in f32 and rounds.
  if (kernels::is_half(step.type) && step.function != kernels::Function::k_select) {
    if (step.function == kernels::Function::k_cast && step.result == Type::kF32)
      return widened(*arrays[0]);
    std::array<Array, 2> wide;
    std::array<const Array*, 2> operands{};
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      wide[i] = widened(*arrays[i]);
      if (wide[i].empty()) return {};
      operands[i] = &wide[i];
    }
    kernels::Step same = step;
    same.type = Type::kF32;
    if (kernels::is_half(step.result) && step.function != kernels::Function::k_cast)
      same.result = Type::kF32;
    return narrowed(elementwise(same, {operands.data(), arrays.size()}), to_mlx(step.result));
  }
  if (kernels::is_half(step.result) && step.function == kernels::Function::k_cast) {
    if (step.type == Type::kF32)
      return Source(*arrays[0]) ? narrowed(*arrays[0], to_mlx(step.result)) : Array();
    kernels::Step wide = step;
    wide.result = Type::kF32;
    return narrowed(elementwise(wide, arrays), to_mlx(step.result));
  }
  const Operands operands(arrays);
  if (!operands.fit) return {};
  const mlx_dtype type = to_mlx(step.result);
  const bool is_cast = step.function == kernels::Function::k_cast;
  Array out = result(operands.shape, type);
  if (out.empty()) return out;
  const auto size = static_cast<std::size_t>(out.size());
  std::array<const void*, 3> places;
  std::array<std::unique_ptr<std::byte[]>, 3> repeated;
  for (std::size_t k = 0; k < operands.count; ++k) {
    const Source& source = operands.sources[k];
    places[k] = source.data;
    if (source.size == size) continue;
    repeated[k] = std::make_unique_for_overwrite<std::byte[]>(size * mlx_dtype_size(source.type));
    operands.repeat(k, repeated[k].get());
    places[k] = repeated[k].get();
  }
  // A select moves halves as they are.
  const Type moved = kernels::is_half(step.type) ? Type::kU16 : step.type;
  const kernels::Kernel kernel = is_cast ? kernels::cast_kernel(step.type, step.result)
                                         : kernels::kernel_of(step.function, moved);
  kernel(places.data(), out.host_data(), size);
  return out;
}

}  // namespace mlxnx::mlxc::host
