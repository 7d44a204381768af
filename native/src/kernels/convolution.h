// Convolutions of f32 without copies of patches, in vectors of the CPU at hand. Nothing here knows
// MLX or starts threads.
//
// Outputs are computed in tiles that stay in registers while all products of them are added up:
// some numbers of one operand, each for all lanes, times vectors of the other. Where there are
// filters enough, vectors hold filters and the numbers are the input's, of whatever places; of few
// filters, vectors hold neighbouring places of the input.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace mlxnx::kernels {

struct ConvolvedAxis {
  std::int64_t input = 1, kernel = 1, output = 1;  ///< sizes, at least 1
  std::int64_t stride = 1, dilation = 1;           ///< of outputs, and of the kernel
  std::int64_t low = 0;  ///< zeros before the input; negative where some of it is left out
};

/// Steps are in elements, along batch, channels (or filters) and the three spatial axes; of the
/// kernel along filters, channels and its spatial axes.
struct Convolution {
  std::int64_t batch = 1, channels = 1, filters = 1;
  std::array<ConvolvedAxis, 3> axes;
  const float* input = nullptr;
  std::array<std::int64_t, 5> input_steps{};
  const float* kernel = nullptr;
  std::array<std::int64_t, 5> kernel_steps{};
  float* out = nullptr;
  std::array<std::int64_t, 5> out_steps{};
};

/// Products that lie evenly in both operands: where the first is, and how far the next.
struct ConvolutionSegment {
  std::int64_t numbers, number_step, vectors, vector_step, length;
};

/// A convolution in two stages, each of parts that any threads may compute, one stage after the
/// other.
class ConvolutionPlan {
 public:
  /// Throws: std::bad_alloc.
  explicit ConvolutionPlan(const Convolution& call, int threads);

  std::int64_t copies() const { return copies_; }
  /// Part of the input with zeros around it, or of the kernel in the order of its use.
  void copy(std::int64_t part) const;

  std::int64_t parts() const { return parts_; }
  /// Throws: std::bad_alloc.
  void compute(std::int64_t part) const;

  double multiplications() const;

 private:
  friend struct ConvolutionSteps;

  void order_products();
  void fill(std::size_t level, float* to, const float* from) const;
  void pack(std::int64_t block) const;
  void compute_filters(std::int64_t part) const;
  void compute_places(std::int64_t part) const;

  Convolution call_;
  bool holds_filters_;  // in its vectors, not places

  // The padded input: sizes and steps of batch, channels and spatial axes, and the axes from the
  // outermost on.
  std::array<std::int64_t, 5> sizes_{}, steps_{}, begins_{}, counts_{}, lows_{};
  std::array<std::size_t, 5> order_{};
  std::size_t split_ = 0;  // parts of copies are places of this one of them and the next
  const float* padded_ = nullptr;
  std::unique_ptr<float[]> padded_memory_, packed_memory_;
  bool is_copied_ = true;

  std::int64_t products_ = 0;  // of one output
  std::int64_t width_ = 0;     // filters of a packed block
  bool is_packed_ = true;      // else vectors lie in the kernel
  std::vector<ConvolutionSegment> segments_;
  std::vector<std::array<std::int64_t, 2>> kernel_places_;  // of each: the first, and its step
  std::vector<std::size_t> chunks_;  // of segments: where each begins, and where the last ends

  std::int64_t copies_ = 0, input_copies_ = 0, parts_ = 0, rows_ = 0, rows_of_part_ = 0;
};

}  // namespace mlxnx::kernels
