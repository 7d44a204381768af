#include "mlxnx/ops/fft.h"

#include <bit>

#include "api/call.h"

namespace mlxnx {
namespace {

// A length as the op takes it. Where the axis is unknown any number will do: the op refuses it.
std::int64_t points(const Tensor& tensor, std::int64_t axis, std::int64_t length) {
  if (length != kPowerOfTwo) return length;
  const auto rank = static_cast<std::int64_t>(tensor.rank());
  const std::int64_t known = axis < 0 ? axis + rank : axis;
  if (known < 0 || known >= rank) return 1;
  const auto size = static_cast<std::uint64_t>(tensor.shape()[static_cast<std::size_t>(known)]);
  return static_cast<std::int64_t>(std::bit_ceil(size));
}

Tensor transform(const ops::OpDef& row, const Tensor& tensor, const FftOptions& options,
                 bool takes_power_of_two = true) {
  ops::Attrs attrs = {{"axis", options.axis}, {"eps", options.eps}};
  if (options.length) {
    attrs.set("length",
              takes_power_of_two ? points(tensor, options.axis, *options.length) : *options.length);
  }
  return ops::invoke(row, {tensor}, attrs);
}

Tensor transform2(const ops::OpDef& row, const Tensor& tensor, const Fft2Options& options) {
  ops::Attrs attrs = {{"axes", Axes(options.axes.begin(), options.axes.end())},
                      {"eps", options.eps}};
  if (options.lengths) {
    attrs.set("lengths", Axes{points(tensor, options.axes[0], (*options.lengths)[0]),
                              points(tensor, options.axes[1], (*options.lengths)[1])});
  }
  return ops::invoke(row, {tensor}, attrs);
}

}  // namespace

Tensor fft(const Tensor& tensor, const FftOptions& options) {
  static const ops::OpDef& row = ops::op("fft");
  return transform(row, tensor, options);
}

Tensor ifft(const Tensor& tensor, const FftOptions& options) {
  static const ops::OpDef& row = ops::op("ifft");
  return transform(row, tensor, options);
}

Tensor fft2(const Tensor& tensor, const Fft2Options& options) {
  static const ops::OpDef& row = ops::op("block:FFT2");
  return transform2(row, tensor, options);
}

Tensor ifft2(const Tensor& tensor, const Fft2Options& options) {
  static const ops::OpDef& row = ops::op("block:IFFT2");
  return transform2(row, tensor, options);
}

Tensor rfft(const Tensor& tensor, const FftOptions& options) {
  static const ops::OpDef& row = ops::op("block:RFFT");
  return transform(row, tensor, options);
}

Tensor irfft(const Tensor& tensor, const FftOptions& options) {
  static const ops::OpDef& row = ops::op("block:IRFFT");
  return transform(row, tensor, options, false);
}

}  // namespace mlxnx
