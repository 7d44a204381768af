#include "tensor/decimal.h"

#include <fmt/format.h>

#include <cmath>
#include <complex>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "tensor/element.h"

namespace mlxnx::tensors {
namespace {

// A positive number: digits * 10^place, without zeros at either end of the digits.
struct Decimal {
  std::string digits;
  int place = 0;
};

void drop_trailing_zeros(Decimal& decimal) {
  while (decimal.digits.size() > 1 && decimal.digits.back() == '0') {
    decimal.digits.pop_back();
    ++decimal.place;
  }
}

// Reads what {fmt} writes for a float or double: its digits are the shortest already.
template <typename T>
Decimal shortest(T value) {
  const std::string text = fmt::format("{}", value);
  Decimal decimal;
  bool after_point = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == 'e') {
      decimal.place += std::atoi(text.c_str() + i + 1);
      break;
    }
    if (text[i] == '.') {
      after_point = true;
    } else {
      if (after_point) --decimal.place;
      if (text[i] != '0' || !decimal.digits.empty()) decimal.digits += text[i];
    }
  }
  drop_trailing_zeros(decimal);
  return decimal;
}

bool reads_back(const Decimal& decimal, DType type, const std::byte* in) {
  const double value =
      std::strtod(fmt::format("{}e{}", decimal.digits, decimal.place).c_str(), nullptr);
  std::uint16_t bits = 0;
  encode(value, type, reinterpret_cast<std::byte*>(&bits));
  std::uint16_t wanted = 0;
  std::memcpy(&wanted, in, sizeof wanted);
  return bits == (wanted & 0x7fff);
}

// A 16-bit float has at most 5 significant digits, so trying each length is quick; length 0 stands
// for the next power of ten. Beside the nearest decimal its neighbours are tried: at a power of two
// the nearest may lie outside the interval that reads back while one further away lies inside.
Decimal shortest_half(double value, DType type, const std::byte* in) {
  for (int digits = 0; digits <= 5; ++digits) {
    int exponent = static_cast<int>(std::floor(std::log10(value)));
    const double scaled = value * std::pow(10.0, digits - 1 - exponent);
    const auto nearest = static_cast<std::int64_t>(std::llround(scaled));
    Decimal best;
    double best_distance = std::numeric_limits<double>::infinity();
    for (const std::int64_t candidate : {nearest - 1, nearest, nearest + 1}) {
      if (candidate <= 0) continue;
      const Decimal decimal{std::to_string(candidate), exponent - digits + 1};
      const double distance = std::abs(static_cast<double>(candidate) - scaled);
      const bool better =
          distance < best_distance || (distance == best_distance && candidate % 2 == 0);
      if (better && reads_back(decimal, type, in)) {
        best = decimal;
        best_distance = distance;
      }
    }
    if (best.digits.empty()) continue;
    drop_trailing_zeros(best);
    return best;
  }
  return shortest(value);
}

// Doubles are printed by Erlang, the other floats by Nx itself, with two differences.
enum class Style { kErlang, kNx };

std::string scientific(const Decimal& decimal, int exponent, Style style) {
  const std::string& digits = decimal.digits;
  const std::string fraction = digits.size() > 1         ? "." + digits.substr(1)
                               : style == Style::kErlang ? ".0"
                                                         : "";
  return fmt::format("{}{}e{}", digits[0], fraction, exponent);
}

// The shorter of decimal and scientific notation, by the lengths that Erlang reckons with.
std::string layout(const Decimal& decimal, Style style) {
  const std::string& digits = decimal.digits;
  const int length = static_cast<int>(digits.size());
  const int exponent = decimal.place + length - 1;
  const int exponent_cost = static_cast<int>(std::to_string(exponent).size()) + 2;
  if (decimal.place >= 0) {
    const int point_cost = length == 1 ? 1 : 0;
    if (exponent_cost + point_cost < decimal.place + 2) return scientific(decimal, exponent, style);
    return digits + std::string(static_cast<std::size_t>(decimal.place), '0') + ".0";
  }
  if (exponent >= 0) {
    const auto split = static_cast<std::size_t>(length + decimal.place);
    return digits.substr(0, split) + "." + digits.substr(split);
  }
  const int zeros = -decimal.place - length;
  if (zeros + 2 > exponent_cost) return scientific(decimal, exponent, style);
  return "0." + std::string(static_cast<std::size_t>(zeros), '0') + digits;
}

std::string double_text(double magnitude) {
  const Decimal decimal = shortest(magnitude);
  // From 2^53 on not every integer is a double, and Erlang doesn't write them out.
  if (magnitude >= 0x1p53) {
    const int exponent = decimal.place + static_cast<int>(decimal.digits.size()) - 1;
    return scientific(decimal, exponent, Style::kErlang);
  }
  return layout(decimal, Style::kErlang);
}

std::string real_text(DType type, const std::byte* in) {
  const double value = std::get<double>(decode(type, in));
  if (std::isnan(value)) return "NaN";
  const std::string sign = std::signbit(value) ? "-" : "";
  const double magnitude = std::abs(value);
  if (std::isinf(value)) return sign + "Inf";
  if (magnitude == 0.0) return sign + "0.0";
  switch (type) {
    case DType::f64:
      return sign + double_text(magnitude);
    case DType::f32:
      return sign + layout(shortest(static_cast<float>(magnitude)), Style::kNx);
    default:
      return sign + layout(shortest_half(magnitude, type, in), Style::kNx);
  }
}

}  // namespace

std::string element_text(DType type, const std::byte* in) {
  if (is_complex(type)) {
    const std::string real = real_text(DType::f32, in);
    const std::string imaginary = real_text(DType::f32, in + sizeof(float));
    return real + (imaginary[0] == '-' ? "" : "+") + imaginary + "i";
  }
  if (is_float(type)) return real_text(type, in);
  return std::visit(
      [](auto v) {
        if constexpr (std::is_integral_v<decltype(v)>) {
          return std::to_string(v);
        } else {
          return std::string();
        }
      },
      decode(type, in));
}

}  // namespace mlxnx::tensors
