// A node of MLX's graph with a kernel of our own: rows of f32 in order, by their digits.
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "mlx/allocator.h"
#include "mlx/array.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/primitives.h"
#include "mlxc/check.h"
#include "mlxc/graph.h"
#include "mlxc/row_sort.h"

namespace {

namespace core = mlx::core;

constexpr std::uint32_t kSign = 0x80000000;
constexpr std::uint32_t kNanKey = 0xffffffff;  // behind all numbers
constexpr int kBits = 11;                      // of a digit; three of them make a key
constexpr std::uint32_t kDigits = 1 << kBits;
using Counts = std::array<std::array<std::uint32_t, kDigits>, 3>;

// Integers in the order of the numbers.
std::uint32_t key_of(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return kNanKey;
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

float number_of(std::uint32_t key) {
  if (key == kNanKey) return std::numeric_limits<float>::quiet_NaN();
  return std::bit_cast<float>((key & kSign) != 0 ? key & ~kSign : ~key);
}

std::uint32_t digit(std::uint32_t key, std::size_t place) {
  return key >> (kBits * place) & (kDigits - 1);
}

// Keys in the order of one digit, those with equal digits as before.
template <typename Get>
void by_digit(Get key_at, std::uint32_t* to, std::int64_t length, std::size_t place,
              std::array<std::uint32_t, kDigits>& counts) {
  std::uint32_t start = 0;
  for (std::uint32_t& count : counts) start += std::exchange(count, start);
  for (std::int64_t i = 0; i < length; ++i) {
    const std::uint32_t key = key_at(i);
    to[counts[digit(key, place)]++] = key;
  }
}

// Zeros of both signs are equal, and equals keep their order.
void restore_zeros(const float* in, float* out, std::int64_t length) {
  std::int64_t at = 0;
  while (at < length && !(out[at] == 0)) ++at;
  if (at == length || !std::signbit(out[at])) return;
  for (std::int64_t i = 0; i < length; ++i) {
    if (in[i] == 0) out[at++] = in[i];
  }
}

void sort_rows(const float* in, float* out, std::uint32_t* first, std::uint32_t* second,
               std::int64_t rows, std::int64_t length) {
  for (std::int64_t row = 0; row < rows; ++row, in += length, out += length) {
    Counts counts{};
    for (std::int64_t i = 0; i < length; ++i) {
      const std::uint32_t key = key_of(in[i]);
      for (std::size_t place = 0; place < counts.size(); ++place)
        ++counts[place][digit(key, place)];
    }
    by_digit([&](std::int64_t i) { return key_of(in[i]); }, first, length, 0, counts[0]);
    by_digit([&](std::int64_t i) { return first[i]; }, second, length, 1, counts[1]);
    by_digit([&](std::int64_t i) { return second[i]; }, first, length, 2, counts[2]);
    for (std::int64_t i = 0; i < length; ++i) out[i] = number_of(first[i]);
    restore_zeros(in, out, length);
  }
}

class RowSort : public core::UnaryPrimitive {
 public:
  explicit RowSort(core::Stream stream) : core::UnaryPrimitive(stream) {}

  void eval_cpu(const std::vector<core::array>& inputs, core::array& out) override {
    const core::array& in = inputs[0];  // in rows
    const int length = in.shape().back();
    out.set_data(core::allocator::malloc(out.nbytes()));
    core::array keys({2, length}, core::uint32, nullptr, {});
    keys.set_data(core::allocator::malloc(keys.nbytes()));
    auto& encoder = core::cpu::get_command_encoder(stream());
    encoder.set_input_array(in);
    encoder.set_output_array(out);
    encoder.add_temporary(keys);
    auto* const first = keys.data<std::uint32_t>();
    encoder.dispatch(sort_rows, in.data<float>(), out.data<float>(), first, first + length,
                     static_cast<std::int64_t>(in.size()) / length,
                     static_cast<std::int64_t>(length));
  }
  void eval_gpu(const std::vector<core::array>&, core::array&) override {
    throw std::runtime_error("this sort runs on the CPU");
  }
  const char* name() const override { return "RowSort"; }
  bool is_equivalent(const core::Primitive&) const override { return true; }
  std::vector<core::Shape> output_shapes(const std::vector<core::array>& inputs) override {
    return {inputs[0].shape()};
  }
};

}  // namespace

mlxnx::mlxc::Array mlxnx::mlxc::row_sort(const Array& a) {
  const Array rows = contiguous(a);
  const auto& in = *static_cast<const core::array*>(rows.raw().ctx);
  const auto stream = *static_cast<const core::Stream*>(current_stream().ctx);
  ++thread_state.nodes;
  auto node = std::make_unique<core::array>(
      in.shape(), core::float32, std::make_shared<RowSort>(stream), std::vector<core::array>{in});
  return Array::adopt({node.release()});
}
