#include "transforms/algebra.h"
#include "transforms/rules.h"

namespace mlxnx::transforms {
namespace {

// What a transform of `length` elements made of an axis of `size`: cut or padded with zeros.
Tensor resized(const Tensor& tensor, std::int64_t axis, std::int64_t size) {
  const std::int64_t length = tensor.shape()[static_cast<std::size_t>(axis)];
  return length == size ? tensor : widen(tensor, axis, {.high = size - length});
}

std::int64_t axis_of(const Application& call) {
  return from_front(call.attr<std::int64_t>("axis"), call.shape(0).size());
}
std::int64_t size_along(const Tensor& tensor, std::int64_t axis) {
  return tensor.shape()[static_cast<std::size_t>(axis)];
}

// The matrix of a Fourier transform is symmetric.
using Transform = Tensor (*)(const Tensor&, const FftOptions&);
template <Transform transform>
Tensor fft_transpose(const Application& call, std::size_t, const Tensor& g) {
  const std::int64_t axis = axis_of(call);
  return resized(transform(g, {.axis = axis, .eps = 0}), axis, size_along(call.in[0], axis));
}

using Transform2 = Tensor (*)(const Tensor&, const Fft2Options&);
template <Transform2 transform>
Tensor fft2_transpose(const Application& call, std::size_t, const Tensor& g) {
  const Axes axes = axes_of(call, "axes", call.shape(0).size());
  Tensor result = transform(g, {.axes = {axes[0], axes[1]}, .eps = 0});
  for (const std::int64_t axis : axes) result = resized(result, axis, size_along(call.in[0], axis));
  return result;
}

// `conform` takes the real part.
Tensor rfft_transpose(const Application& call, std::size_t, const Tensor& g) {
  const std::int64_t axis = axis_of(call);
  const auto* length = call.attr_if<std::int64_t>("length");
  const std::int64_t size = size_along(call.in[0], axis);
  const std::int64_t all = length != nullptr ? *length : size;
  return resized(real(fft(resized(g, axis, all), {.axis = axis, .eps = 0})), axis, size);
}

// Every element of the half but those without a mirror image counts twice.
Tensor irfft_transpose(const Application& call, std::size_t, const Tensor& g) {
  const std::int64_t axis = axis_of(call);
  const std::int64_t all = size_along(g, axis);
  const Tensor half = conjugate(rfft(g, {.axis = axis, .eps = 0}));
  const Tensor place = iota(half.shape(), {.axis = axis});
  const Tensor is_alone = logical_or(place == 0, place * 2 == all);
  const double once = 1.0 / static_cast<double>(all);
  const DType type = program::cotangent_type(g.type()).dtype;
  const Tensor weight = select(is_alone, Tensor(once, type), Tensor(2 * once, type));
  return resized(half * weight, axis, size_along(call.in[0], axis));
}

}  // namespace

std::span<const Rule> fft_rules() {
  static const std::vector<Rule> rules = {
      jointly("fft", kFirst, fft_transpose<fft>),
      jointly("ifft", kFirst, fft_transpose<ifft>),
      jointly("block:FFT2", kFirst, fft2_transpose<fft2>),
      jointly("block:IFFT2", kFirst, fft2_transpose<ifft2>),
      jointly("block:RFFT", kFirst, rfft_transpose),
      jointly("block:IRFFT", kFirst, irfft_transpose),
  };
  return rules;
}

}  // namespace mlxnx::transforms
