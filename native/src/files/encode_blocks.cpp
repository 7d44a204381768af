// Compiled without contraction: a product is rounded before anything is added to it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "files/block_parts.h"
#include "files/blocks.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

constexpr int kElements = 32;

void put_f16(std::uint8_t* out, float number) {
  const std::uint16_t half = f32_as_f16(number);
  std::memcpy(out, &half, sizeof half);
}

// How many steps of a size fit into 1, none where the size is nothing or has no inverse.
float inverse(float step) {
  const float steps = 1 / step;
  return std::isfinite(steps) ? steps : 0;
}

std::uint8_t quant(float number) {
  return static_cast<std::uint8_t>(std::min(static_cast<int>(number), 15));
}

void put_halves(std::uint8_t* out, const std::array<std::uint8_t, kElements>& quants) {
  for (int i = 0; i < 16; ++i) out[i] = static_cast<std::uint8_t>(quants[i] | quants[16 + i] << 4);
}

// Each answers whether the block holds the elements' scale.

bool encode_q8_0(const float* in, std::uint8_t* out) {
  float largest = 0;
  for (int i = 0; i < kElements; ++i) largest = std::max(largest, std::abs(in[i]));
  const float step = largest / 127;
  const float steps = inverse(step);
  for (int i = 0; i < kElements; ++i) {
    const float magnitude = std::abs(in[i] * steps);
    const int whole = static_cast<int>(magnitude);
    const int rounded = whole + (magnitude - static_cast<float>(whole) >= 0.5f ? 1 : 0);
    out[2 + i] = static_cast<std::uint8_t>(in[i] < 0 ? -rounded : rounded);
  }
  put_f16(out, step);
  return std::isfinite(f16_at(out));
}

bool encode_q4_0(const float* in, std::uint8_t* out) {
  float largest = in[0];
  for (int i = 1; i < kElements; ++i) {
    if (std::abs(in[i]) > std::abs(largest)) largest = in[i];
  }
  const float step = largest / -8;
  const float steps = inverse(step);
  std::array<std::uint8_t, kElements> quants;
  // ggml has zeros and not eights where the step has no inverse; they mean the same.
  const float offset = steps == 0 && step != 0 ? 0 : 8.5f;
  for (int i = 0; i < kElements; ++i) quants[i] = quant(in[i] * steps + offset);
  put_f16(out, step);
  put_halves(out + 2, quants);
  return std::isfinite(f16_at(out));
}

bool encode_q4_1(const float* in, std::uint8_t* out) {
  float least = in[0], largest = in[0];
  for (int i = 1; i < kElements; ++i) {
    least = std::min(least, in[i]);
    largest = std::max(largest, in[i]);
  }
  const float step = (largest - least) / 15;
  put_f16(out, step);
  put_f16(out + 2, least);
  if (!std::isfinite(f16_at(out)) || !std::isfinite(f16_at(out + 2))) return false;
  const float steps = inverse(step);
  std::array<std::uint8_t, kElements> quants;
  for (int i = 0; i < kElements; ++i) quants[i] = quant((in[i] - least) * steps + 0.5f);
  put_halves(out + 4, quants);
  return true;
}

using Encode = bool (*)(const float*, std::uint8_t*);

Encode encoder(StoredType type) {
  switch (type) {
    case StoredType::kQ8_0:
      return encode_q8_0;
    case StoredType::kQ4_0:
      return encode_q4_0;
    case StoredType::kQ4_1:
      return encode_q4_1;
    default:
      throw ArgumentError(fmt::format(
          "nothing is encoded to blocks of type {}; to Q8_0, Q4_0, Q4_1", row_of(type).name));
  }
}

}  // namespace

void encode_blocks(StoredType type, std::span<const float> elements, std::span<std::byte> blocks) {
  const Encode encode = encoder(type);
  const StoredTypeRow& row = row_of(type);
  const std::size_t count = elements.size() / kElements;
  if (elements.size() % kElements != 0 || blocks.size() != count * row.block_bytes) {
    throw ArgumentError(fmt::format("{} elements can't be encoded to {} bytes of {}",
                                    elements.size(), blocks.size(), row.name));
  }
  auto* out = reinterpret_cast<std::uint8_t*>(blocks.data());
  for (std::size_t block = 0; block < count; ++block, out += row.block_bytes) {
    const auto in = elements.subspan(block * kElements, kElements);
    bool is_finite = true;
    for (const float element : in) is_finite &= std::isfinite(element);
    if (is_finite && encode(in.data(), out)) continue;
    const auto worst = std::ranges::max_element(in, {}, [](float x) {
      return std::isnan(x) ? std::numeric_limits<float>::infinity() : std::abs(x);
    });
    throw ArgumentError(fmt::format(
        "element {} is {}, which {} can't hold",
        worst - in.begin() + static_cast<std::ptrdiff_t>(block * kElements), *worst, row.name));
  }
}

}  // namespace mlxnx::files
