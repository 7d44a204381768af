// Discrete Fourier transforms. MLX pads with its thread's default stream, so operands get their
// length here, on the current one.
#include <array>
#include <limits>
#include <string>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

constexpr double kDefaultEps = 1.0e-10;

// One transformed axis: which one, and how many points.
struct Transform {
  std::size_t axis;
  std::int64_t length;
};

void check_type(const Call& call) {
  if (call.dtype(0) != DType::f64) return;
  call.unsupported("the transform of f64 needs c128, which MLX lacks on every device; cast to f32");
}

void check_length(const Call& call, std::int64_t length) {
  if (length > std::numeric_limits<int>::max()) {
    call.unsupported("a transform can have at most 2147483647 points, got " +
                     std::to_string(length));
  }
  if (length > 0) return;
  call.shape_error("the length must be positive, got " + std::to_string(length) + " for shape " +
                   to_string(call.shape(0)));
}

void check_rank(const Call& call, std::size_t least) {
  if (call.rank(0) >= least) return;
  call.shape_error("expected a tensor of rank " + std::to_string(least) + " or more, got shape " +
                   to_string(call.shape(0)));
}

Transform make_transform(const Call& call, std::int64_t axis, const std::int64_t* length,
                         bool from_half) {
  const auto known = static_cast<std::size_t>(normalise_axis(call, axis, call.shape(0)));
  const std::int64_t size = call.shape(0)[known];
  const std::int64_t points = length != nullptr ? *length : from_half ? 2 * (size - 1) : size;
  check_length(call, points);
  return {known, points};
}

// The one transform of fft, ifft and RFFT; of IRFFT where `from_half`.
Transform transform_of(const Call& call, bool from_half = false) {
  check_rank(call, 1);
  return make_transform(call, call.attr<std::int64_t>("axis"), call.attr_if<std::int64_t>("length"),
                        from_half);
}

std::array<Transform, 2> transforms_of(const Call& call) {
  check_rank(call, 2);
  const Axes axes = normalise_axes(call, call.attr<Axes>("axes"), call.shape(0));
  const Axes* lengths = call.attr_if<Axes>("lengths");
  if (axes.size() != 2) call.argument_error("expected two axes, got " + to_string(axes));
  if (lengths != nullptr && lengths->size() != 2)
    call.argument_error("expected two lengths, got " + to_string(*lengths));
  return {make_transform(call, axes[0], lengths != nullptr ? &(*lengths)[0] : nullptr, false),
          make_transform(call, axes[1], lengths != nullptr ? &(*lengths)[1] : nullptr, false)};
}

std::int64_t half_of(std::int64_t length) { return length / 2 + 1; }

OutputTypes infer_fft(const Call& call) {
  check_type(call);
  const Transform transform = transform_of(call);
  Shape shape = call.shape(0);
  shape[transform.axis] = transform.length;
  return {{to_complex(call.dtype(0)), shape}};
}

OutputTypes infer_fft2(const Call& call) {
  check_type(call);
  Shape shape = call.shape(0);
  for (const Transform& transform : transforms_of(call)) shape[transform.axis] = transform.length;
  return {{to_complex(call.dtype(0)), shape}};
}

OutputTypes infer_rfft(const Call& call) {
  check_type(call);
  if (is_complex(call.dtype(0)))
    call.type_error("expected a real tensor, got " + to_string(call.type(0)));
  const Transform transform = transform_of(call);
  Shape shape = call.shape(0);
  shape[transform.axis] = half_of(transform.length);
  return {{to_complex(call.dtype(0)), shape}};
}

OutputTypes infer_irfft(const Call& call) {
  check_type(call);
  const Transform transform = transform_of(call, true);
  Shape shape = call.shape(0);
  shape[transform.axis] = transform.length;
  return {{to_real(call.dtype(0)), shape}};
}

// `array` cut, or filled up with zeros, to `size` elements along `axis`.
Array with_size(const Array& array, std::size_t axis, std::int64_t size) {
  const Shape shape = shape_of(array);
  if (shape[axis] == size) return array;
  if (shape[axis] > size) {
    Shape stop = shape;
    stop[axis] = size;
    return mlxc::slice(array, Shape(shape.size(), 0), stop, Shape(shape.size(), 1));
  }
  return mlxc::pad(array, {static_cast<std::int64_t>(axis)}, {0}, {size - shape[axis]},
                   mlxc::scalar(std::int64_t{0}, array.dtype()));
}

// Real numbers of magnitude up to eps become zero; with eps 0 there is nothing to clean.
Array clean_real(const Array& array, double eps) {
  if (!(eps > 0.0)) return array;
  const Array tiny = mlxc::less_equal(mlxc::abs(array), mlxc::scalar(eps, DType::f32));
  return mlxc::where(tiny, mlxc::scalar(0.0, DType::f32), array);
}

// Real and imaginary parts are cleaned each for itself.
Array clean(const Array& array, double eps) {
  if (!(eps > 0.0)) return array;
  return mlxc::view(clean_real(mlxc::view(array, DType::f32), eps), DType::c64);
}

double eps_of(const Call& call) { return call.attr<double>("eps"); }

bool has_no_elements(const Call& call) {
  return element_count(call.shape(0)) == 0 || element_count(call.output().shape) == 0;
}

using MlxTransform = Array (*)(const Array&, int, int);

// cuFFT wants real numbers at multiples of eight bytes, where a view need not lie.
Array aligned_for_fft(const Array& array) {
  if (on_cpu() || array.dtype() != DType::f32) return array;
  return realigned(array);
}

template <MlxTransform function>
Array apply(const Array& array, const Transform& transform) {
  const Array sized = with_size(array, transform.axis, transform.length);
  // MLX's CUDA (0.32.4) refuses some layouts of it.
  if (transform.length == 1) return mlxc::astype(sized, DType::c64);
  return function(aligned_for_fft(sized), static_cast<int>(transform.length),
                  static_cast<int>(transform.axis));
}

template <MlxTransform function>
Array eval_fft(const Call& call) {
  if (has_no_elements(call)) return zeros(call.output());
  return clean(apply<function>(operand(call, 0), transform_of(call)), eps_of(call));
}

template <MlxTransform function>
Array eval_fft2(const Call& call) {
  if (has_no_elements(call)) return zeros(call.output());
  const auto [first, second] = transforms_of(call);
  return clean(apply<function>(apply<function>(operand(call, 0), second), first), eps_of(call));
}

Array eval_irfft(const Call& call) {
  if (has_no_elements(call)) return zeros(call.output());
  const auto [axis, length] = transform_of(call, true);
  const Array half = with_size(operand(call, 0), axis, half_of(length));
  if (length == 1) return clean_real(mlxc::real(mlxc::astype(half, DType::c64)), eps_of(call));
  return clean_real(mlxc::irfft(half, static_cast<int>(length), static_cast<int>(axis)),
                    eps_of(call));
}

const std::array<AttrDef, 3> kFftAttrs = {
    AttrDef{.name = "length", .kind = AttrKind::kInt, .optional = true},
    AttrDef{"axis", AttrKind::kInt, AttrValue(std::int64_t{-1})},
    AttrDef{"eps", AttrKind::kFloat, AttrValue(kDefaultEps)},
};

const std::array<AttrDef, 3> kAttrs2 = {
    AttrDef{.name = "lengths", .kind = AttrKind::kInts, .optional = true},
    AttrDef{"axes", AttrKind::kInts, AttrValue(Axes{-2, -1})},
    AttrDef{"eps", AttrKind::kFloat, AttrValue(kDefaultEps)},
};

OpDef fft_op(std::string_view name, std::span<const AttrDef> attrs, InferFn infer, EvalFn eval,
             std::string_view doc) {
  return {.name = name,
          .group = Group::kFft,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = attrs,
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

const std::array kFftOps = {
    fft_op("fft", kFftAttrs, infer_fft, eval_fft<mlxc::fft>,
           "Discrete Fourier transform along one axis, cut or zero-padded to the length."),
    fft_op("ifft", kFftAttrs, infer_fft, eval_fft<mlxc::ifft>,
           "Inverse discrete Fourier transform along one axis, cut or zero-padded to the length."),
    fft_op("block:FFT2", kAttrs2, infer_fft2, eval_fft2<mlxc::fft>,
           "Discrete Fourier transform along two axes."),
    fft_op("block:IFFT2", kAttrs2, infer_fft2, eval_fft2<mlxc::ifft>,
           "Inverse discrete Fourier transform along two axes."),
    fft_op("block:RFFT", kFftAttrs, infer_rfft, eval_fft<mlxc::rfft>,
           "The first half of the Fourier transform of a real tensor; the other half mirrors it."),
    fft_op("block:IRFFT", kFftAttrs, infer_irfft, eval_irfft,
           "Real tensor from the first half of its Fourier transform."),
};

}  // namespace

std::span<const OpDef> fft_ops() { return kFftOps; }

}  // namespace mlxnx::ops
