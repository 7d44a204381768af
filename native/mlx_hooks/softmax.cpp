// A node of MLX's graph with a kernel of our own: the softmax of rows of f32, in vectors of
// exponentials, on several cores.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#include "mlx/allocator.h"
#include "mlx/array.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/primitives.h"
#include "mlxc/blas_library.h"
#include "mlxc/check.h"
#include "mlxc/crew.h"
#include "mlxc/graph.h"
#include "mlxc/row_softmax.h"

// One function for each kind of CPU; where sanitizers work, these are not ready when the choice is
// made.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MLXNX_FOR_EACH_CPU \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MLXNX_FOR_EACH_CPU
#endif

namespace {

namespace core = mlx::core;

constexpr int kLanes = 16;
// Steps after which the lanes' sums move on to a wider one.
constexpr std::int64_t kBlock = 32 * kLanes;

// e to the power of a number that is at most 0, to two units in the last place; 0 below -87.
inline float power(float x) {
  constexpr float kRound = 12582912.0F;  // adding it leaves whole numbers in the low bits
  const float at_least = x < -87.0F ? -87.0F : x;
  const float shifted = at_least * 1.44269504F + kRound;
  const float whole = shifted - kRound;
  const float rest = (at_least - whole * 0.693359375F) + whole * 2.12194440e-4F;
  float sum = 1.9875691500e-4F;
  sum = sum * rest + 1.3981999507e-3F;
  sum = sum * rest + 8.3334519073e-3F;
  sum = sum * rest + 4.1665795894e-2F;
  sum = sum * rest + 1.6666665459e-1F;
  sum = sum * rest + 5.0000001201e-1F;
  sum = sum * rest * rest + rest + 1.0F;
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) + 127U) << 23;
  const float result = sum * std::bit_cast<float>(exponent);
  return x < -87.0F ? 0.0F : result;
}

MLXNX_FOR_EACH_CPU void softmax_rows(const float* in, float* out, std::int64_t rows,
                                     std::int64_t length) {
  const std::int64_t whole = length / kLanes * kLanes;
  for (std::int64_t row = 0; row < rows; ++row, in += length, out += length) {
    float lanes[kLanes];
    std::fill(lanes, lanes + kLanes, -std::numeric_limits<float>::infinity());
    for (std::int64_t i = 0; i < whole; i += kLanes) {
      for (int k = 0; k < kLanes; ++k) lanes[k] = in[i + k] > lanes[k] ? in[i + k] : lanes[k];
    }
    float largest = *std::max_element(lanes, lanes + kLanes);
    for (std::int64_t i = whole; i < length; ++i) largest = in[i] > largest ? in[i] : largest;
    double total = 0;
    for (std::int64_t start = 0; start < whole; start += kBlock) {
      std::fill(lanes, lanes + kLanes, 0.0F);
      const std::int64_t stop = std::min(start + kBlock, whole);
      for (std::int64_t i = start; i < stop; i += kLanes) {
        for (int k = 0; k < kLanes; ++k) {
          out[i + k] = power(in[i + k] - largest);
          lanes[k] += out[i + k];
        }
      }
      for (const float lane : lanes) total += static_cast<double>(lane);
    }
    for (std::int64_t i = whole; i < length; ++i) {
      out[i] = power(in[i] - largest);
      total += static_cast<double>(out[i]);
    }
    const auto factor = static_cast<float>(1 / total);
    for (std::int64_t i = 0; i < length; ++i) out[i] *= factor;
  }
}

void softmax_shared(const float* in, float* out, std::int64_t rows, std::int64_t length) {
  constexpr double kLeast = 1 << 16;  // elements for each thread
  const double share = static_cast<double>(rows * length) / kLeast;
  const int threads = std::clamp(static_cast<int>(std::min({share, 1024.0, double(rows)})), 1,
                                 mlxnx::mlxc::blas_threads());
  const int parts = threads == 1 ? 1 : static_cast<int>(std::min<std::int64_t>(4 * threads, rows));
  mlxnx::mlxc::Crew::process().run(parts, threads, [&](int part) {
    const std::int64_t from = rows * part / parts, to = rows * (part + 1) / parts;
    softmax_rows(in + from * length, out + from * length, to - from, length);
  });
}

class RowSoftmax : public core::UnaryPrimitive {
 public:
  explicit RowSoftmax(core::Stream stream) : core::UnaryPrimitive(stream) {}

  void eval_cpu(const std::vector<core::array>& inputs, core::array& out) override {
    const core::array& in = inputs[0];  // in rows
    out.set_data(core::allocator::malloc(out.nbytes()));
    auto& encoder = core::cpu::get_command_encoder(stream());
    encoder.set_input_array(in);
    encoder.set_output_array(out);
    const std::int64_t length = in.shape().back();
    encoder.dispatch(softmax_shared, in.data<float>(), out.data<float>(),
                     static_cast<std::int64_t>(in.size()) / length, length);
  }
  void eval_gpu(const std::vector<core::array>&, core::array&) override {
    throw std::runtime_error("this softmax runs on the CPU");
  }
  const char* name() const override { return "RowSoftmax"; }
  bool is_equivalent(const core::Primitive&) const override { return true; }
  std::vector<core::Shape> output_shapes(const std::vector<core::array>& inputs) override {
    return {inputs[0].shape()};
  }
};

}  // namespace

mlxnx::mlxc::Array mlxnx::mlxc::row_softmax(const Array& a) {
  const Array rows = contiguous(a);
  const auto& in = *static_cast<const core::array*>(rows.raw().ctx);
  const auto stream = *static_cast<const core::Stream*>(current_stream().ctx);
  ++thread_state.nodes;
  auto node =
      std::make_unique<core::array>(in.shape(), core::float32, std::make_shared<RowSoftmax>(stream),
                                    std::vector<core::array>{in});
  return Array::adopt({node.release()});
}
