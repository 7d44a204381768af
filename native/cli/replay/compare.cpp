#include "replay/compare.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "tensor/element.h"

namespace mlxnx::cli {
namespace {

using Complex = std::complex<double>;

bool same_special(double expected, double got) {
  if (std::isnan(expected) || std::isnan(got)) return std::isnan(expected) && std::isnan(got);
  return expected == got;
}

// `scale` is the magnitude that a relative difference refers to.
bool near(double expected, double got, double scale, double tolerance) {
  if (!std::isfinite(expected) || !std::isfinite(got)) return same_special(expected, got);
  return std::abs(expected - got) <= tolerance * std::max(1.0, scale);
}

bool equal(const Number& expected, const Number& got, double tolerance) {
  if (const auto* e = std::get_if<double>(&expected)) {
    return near(*e, std::get<double>(got), std::abs(*e), tolerance);
  }
  if (const auto* e = std::get_if<Complex>(&expected)) {
    const Complex g = std::get<Complex>(got);
    const double magnitude = std::abs(*e);
    const double scale = std::isfinite(magnitude) ? magnitude : 0.0;
    return near(e->real(), g.real(), std::max(scale, std::abs(e->real())), tolerance) &&
           near(e->imag(), g.imag(), std::max(scale, std::abs(e->imag())), tolerance);
  }
  return expected == got;
}

std::string text(const Number& value) {
  return std::visit(
      [](auto v) {
        if constexpr (std::is_same_v<decltype(v), Complex>) {
          return fmt::format("{}{:+}i", v.real(), v.imag());
        } else {
          return fmt::format("{}", v);
        }
      },
      value);
}

std::string index_text(std::size_t flat, const Shape& shape) {
  if (shape.empty()) return "the scalar";
  std::string result;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    const auto size = static_cast<std::size_t>(shape[axis]);
    result = fmt::format("[{}]", flat % size) + result;
    flat /= size;
  }
  return "element " + result;
}

}  // namespace

double tolerance(DType type) {
  switch (type) {
    case DType::f64:
      return 1e-9;
    case DType::f32:
    case DType::c64:
      return 1e-4;
    case DType::f16:
      return 1e-2;
    case DType::bf16:
      return 4e-2;
    default:
      return 0.0;
  }
}

std::optional<std::string> difference(const GoldenTensor& expected, const GoldenTensor& got) {
  return difference(expected, got, tolerance(expected.type.dtype));
}

std::optional<std::string> difference(const GoldenTensor& expected, const GoldenTensor& got,
                                      double tolerance) {
  const DType type = expected.type.dtype;
  const std::size_t step = size_bytes(type);
  const std::size_t count = expected.bytes.size() / step;
  if (got.bytes.size() != expected.bytes.size()) {
    return fmt::format("{} bytes where {} were expected", got.bytes.size(), expected.bytes.size());
  }
  std::size_t different = 0;
  std::string first;
  for (std::size_t i = 0; i < count; ++i) {
    const std::byte* e = expected.bytes.data() + i * step;
    const std::byte* g = got.bytes.data() + i * step;
    if (std::memcmp(e, g, step) == 0) continue;
    const Number wanted = tensors::decode(type, e);
    const Number given = tensors::decode(type, g);
    if (equal(wanted, given, tolerance)) continue;
    if (different++ == 0) {
      first = fmt::format("{} is {}, expected {}", index_text(i, expected.type.shape), text(given),
                          text(wanted));
    }
  }
  if (different == 0) return std::nullopt;
  return fmt::format("{} ({} of {} elements differ)", first, different, count);
}

std::string elements_text(const GoldenTensor& tensor, std::size_t limit) {
  const std::size_t step = size_bytes(tensor.type.dtype);
  const std::size_t count = tensor.bytes.size() / step;
  std::string result = "[";
  for (std::size_t i = 0; i < std::min(count, limit); ++i) {
    result += (i == 0 ? "" : ", ") +
              text(tensors::decode(tensor.type.dtype, tensor.bytes.data() + i * step));
  }
  return result + (count > limit ? ", …]" : "]");
}

}  // namespace mlxnx::cli
