#include "kernels/rows.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rows.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here.
#include "kernels/elementary-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

// Numbers [at, at + count) as f32, where they are or in `copy`.
const float* Read(const Numbers& numbers, std::int64_t at, std::int64_t count, float* copy) {
  if (numbers.type == Float::kF32) return static_cast<const float*>(numbers.data) + at;
  Widen(numbers.type, static_cast<const std::uint16_t*>(numbers.data) + at, count, copy);
  return copy;
}

// The sum of what f(numbers, sum so far) adds for all numbers; those of blocks are added up as
// doubles, by which long rows lose no digits.
template <typename F>
double SumOf(const float* x, std::int64_t size, const F& f) {
  constexpr DF df;
  constexpr std::int64_t kBlock = 64 * kLanes;
  double total = 0;
  std::int64_t i = 0;
  while (i < size) {
    V sums[4] = {hn::Zero(df), hn::Zero(df), hn::Zero(df), hn::Zero(df)};
    const std::int64_t end = std::min(size, i + kBlock);
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
      MLXNX_UNROLL for (int k = 0; k < 4; ++k) sums[k] =
          f(hn::LoadU(df, x + i + k * kLanes), sums[k]);
    }
    for (; i + kLanes <= end; i += kLanes) sums[0] = f(hn::LoadU(df, x + i), sums[0]);
    total += hn::GetLane(
        hn::SumOfLanes(df, hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
    for (; i < end; ++i) {
      // One lane of it counts.
      total += hn::GetLane(f(hn::Set(df, x[i]), hn::Zero(df)));
    }
  }
  return total;
}

void NormalizeRows(const Normalized& call, std::int64_t first, std::int64_t count) {
  constexpr DF df;
  const std::int64_t size = call.size;
  const bool is_narrow = call.out_type != Float::kF32;
  std::vector<float> memory(static_cast<std::size_t>(size) * 4);
  float* const copies = memory.data();
  const float *weight = nullptr, *bias = nullptr;
  if (call.weight.data != nullptr) weight = Read(call.weight, 0, size, copies);
  if (call.bias.data != nullptr) bias = Read(call.bias, 0, size, copies + size);
  for (std::int64_t row = first; row < first + count; ++row) {
    const float* const x = Read(call.x, row * size, size, copies + 2 * size);
    float* const out = is_narrow ? copies + 3 * size : static_cast<float*>(call.out) + row * size;
    const auto length = static_cast<double>(size);
    float mean = 0;
    if (call.is_centered) {
      const auto add = [](V number, V sum) HWY_ATTR { return hn::Add(sum, number); };
      mean = static_cast<float>(SumOf(x, size, add) / length);
    }
    const V base = hn::Set(df, mean);
    const double squares = SumOf(x, size, [base](V number, V sum) HWY_ATTR {
      const V centered = hn::Sub(number, base);
      return hn::MulAdd(centered, centered, sum);
    });
    const auto factor = static_cast<float>(1 / std::sqrt(squares / length + call.eps));
    std::int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
      V number = hn::Mul(hn::Sub(hn::LoadU(df, x + i), base), hn::Set(df, factor));
      if (weight != nullptr) number = hn::Mul(number, hn::LoadU(df, weight + i));
      if (bias != nullptr) number = hn::Add(number, hn::LoadU(df, bias + i));
      hn::StoreU(number, df, out + i);
    }
    for (; i < size; ++i) {
      out[i] = (x[i] - mean) * factor;
      if (weight != nullptr) out[i] *= weight[i];
      if (bias != nullptr) out[i] += bias[i];
    }
    if (is_narrow)
      narrow(out, size, call.out_type, static_cast<std::uint16_t*>(call.out) + row * size);
  }
}

// Calls f(numbers, where they are to go) for all of a row; what is left of it has `filling` behind
// it.
template <typename F>
void ForVectors(const float* x, std::int64_t size, float* out, float filling, const F& f) {
  constexpr DF df;
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) f(hn::LoadU(df, x + i), out + i);
  if (i == size) return;
  HWY_ALIGN float rest[kLanes];
  std::fill(std::copy(x + i, x + size, rest), rest + kLanes, filling);
  f(hn::Load(df, rest), rest);
  std::copy(rest, rest + (size - i), out + i);
}

void SoftmaxRows(const float* x, std::int64_t size, std::int64_t first, std::int64_t count,
                 float* out) {
  constexpr DF df;
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  // Of so many the powers are added up as f32.
  constexpr std::int64_t kBlock = 32 * kLanes;
  for (std::int64_t row = first; row < first + count; ++row) {
    const float* const in = x + row * size;
    float* const to = out + row * size;
    V most = Number(kLeast);
    std::int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
      const V numbers = hn::LoadU(df, in + i);
      most = hn::IfThenElse(hn::Gt(numbers, most), numbers, most);
    }
    float largest = hn::GetLane(hn::MaxOfLanes(df, most));
    for (; i < size; ++i) largest = in[i] > largest ? in[i] : largest;
    const V base = Number(largest);
    double total = 0;
    for (std::int64_t start = 0; start < size; start += kBlock) {
      V sum = hn::Zero(df);
      ForVectors(in + start, std::min(kBlock, size - start), to + start, kLeast,
                 [&](V numbers, float* at) HWY_ATTR {
                   const V powers = Exp(hn::Sub(numbers, base));
                   sum = hn::Add(sum, powers);
                   hn::StoreU(powers, df, at);
                 });
      total += static_cast<double>(hn::GetLane(hn::SumOfLanes(df, sum)));
    }
    const V share = Number(static_cast<float>(1 / total));
    ForVectors(to, size, to, 0.0F,
               [&](V powers, float* at) HWY_ATTR { hn::StoreU(hn::Mul(powers, share), df, at); });
  }
}

void TurnRows(const Turned& call, std::int64_t first, std::int64_t count, const float* cosines,
              const float* sines) {
  const std::int64_t size = call.size, half = call.dims / 2;
  const bool is_narrow = call.out_type != Float::kF32;
  std::vector<float> memory(static_cast<std::size_t>(size) * 2);
  for (std::int64_t row = first; row < first + count; ++row, cosines += half, sines += half) {
    const float* const x = Read(call.x, row * size, size, memory.data());
    float* const out =
        is_narrow ? memory.data() + size : static_cast<float*>(call.out) + row * size;
    if (call.is_traditional) {
      for (std::int64_t i = 0; i < half; ++i) {
        const float a = x[2 * i], b = x[2 * i + 1];
        out[2 * i] = a * cosines[i] - b * sines[i];
        out[2 * i + 1] = a * sines[i] + b * cosines[i];
      }
    } else {
      for (std::int64_t i = 0; i < half; ++i) {
        const float a = x[i], b = x[half + i];
        out[i] = a * cosines[i] - b * sines[i];
        out[half + i] = a * sines[i] + b * cosines[i];
      }
    }
    std::copy(x + call.dims, x + size, out + call.dims);
    if (is_narrow)
      narrow(out, size, call.out_type, static_cast<std::uint16_t*>(call.out) + row * size);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(NormalizeRows);
HWY_EXPORT(SoftmaxRows);
HWY_EXPORT(TurnRows);

void normalize_rows(const Normalized& call, std::int64_t first, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(NormalizeRows)(call, first, count);
}

void softmax_rows(const float* x, std::int64_t size, std::int64_t first, std::int64_t count,
                  float* out) {
  HWY_DYNAMIC_DISPATCH(SoftmaxRows)(x, size, first, count, out);
}

void turn_rows(const Turned& call, std::int64_t first, std::int64_t count, const float* cosines,
               const float* sines) {
  HWY_DYNAMIC_DISPATCH(TurnRows)(call, first, count, cosines, sines);
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
