// Discrete Fourier transforms. Types: the result of a forward transform is c64, whatever the
// operand. f64 needs c128, which MLX lacks: UnsupportedError. The inverse transforms divide by the
// length.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "mlxnx/tensor.h"

namespace mlxnx {

/// As a length: the size of the axis, rounded up to a power of two. Nx: :power_of_two
inline constexpr std::int64_t kPowerOfTwo = -1;

/// Options of the transforms along one axis; the defaults are Nx's.
struct FftOptions {
  /// Number of points: the axis is cut, or filled up with zeros. None: as many as the axis has.
  std::optional<std::int64_t> length = {};
  std::int64_t axis = -1;
  double eps = 1.0e-10;  ///< parts of at most this magnitude become 0
};

/// Options of the transforms along two axes; the defaults are Nx's.
struct Fft2Options {
  std::optional<std::array<std::int64_t, 2>> lengths = {};
  std::array<std::int64_t, 2> axes = {-2, -1};
  double eps = 1.0e-10;
};

/// Fourier transform along one axis.
/// Shapes: the operand's, with `length` points. Throws: ShapeError for a scalar, an unknown axis or
/// a length below 1. Nx: Nx.fft
///
///     fft(tensor({1, 1, 0, 0}));  // c64[4] [2.0+0.0i, 1.0-1.0i, 0.0+0.0i, 1.0+1.0i]
Tensor fft(const Tensor& tensor, const FftOptions& options = {});

/// Inverse Fourier transform along one axis.
/// Shapes and Throws: as `fft`. Nx: Nx.ifft
///
///     ifft(fft(tensor({1, 2})));  // c64[2] [1.0+0.0i, 2.0+0.0i]
Tensor ifft(const Tensor& tensor, const FftOptions& options = {});

/// Fourier transform along two axes.
/// Shapes and Throws: as `fft`. Nx: Nx.fft2
///
///     fft2(tensor({{1, 0}, {0, 0}}));  // c64[2][2], four times 1.0+0.0i
Tensor fft2(const Tensor& tensor, const Fft2Options& options = {});

/// Inverse Fourier transform along two axes.
/// Shapes and Throws: as `fft`. Nx: Nx.ifft2
///
///     ifft2(fft2(tensor({{1, 2}, {3, 4}})));  // c64[2][2] with the elements back
Tensor ifft2(const Tensor& tensor, const Fft2Options& options = {});

/// First half of the Fourier transform of a real tensor; the second half mirrors it.
/// Shapes: `length / 2 + 1` points. Throws: as `fft`; TypeError for a complex tensor. Nx: Nx.rfft
///
///     rfft(tensor({1.0, 1.0, 0.0, 0.0}));  // c64[3] [2.0+0.0i, 1.0-1.0i, 0.0+0.0i]
Tensor rfft(const Tensor& tensor, const FftOptions& options = {});

/// Real tensor from the first half of its Fourier transform.
/// Shapes: `length` points; without it 2 * (size - 1). `kPowerOfTwo` is refused, as in Nx. Types:
/// that of the real parts; integers become f32. Throws: as `fft`. Nx: Nx.irfft
///
///     irfft(rfft(tensor({1.0, 2.0})));  // f32[2] [1.0, 2.0]
Tensor irfft(const Tensor& tensor, const FftOptions& options = {});

}  // namespace mlxnx
