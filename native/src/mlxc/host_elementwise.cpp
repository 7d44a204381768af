// Kernels that work element by element.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "mlxc/host_kernels.h"
#include "mlxc/host_source.h"
#include "mlxc/version.h"

namespace mlxnx::mlxc::host {
namespace {

// Families of types that a kernel takes.
struct Floats {
  template <typename T>
  static constexpr bool kHas = std::is_floating_point_v<T>;
};
struct SingleFloat {
  template <typename T>
  static constexpr bool kHas = std::is_same_v<T, float>;
};
struct Integers {
  template <typename T>
  static constexpr bool kHas = std::is_integral_v<T> && !std::is_same_v<T, bool>;
};
struct Numbers {
  template <typename T>
  static constexpr bool kHas = !std::is_same_v<T, bool>;
};
struct Masks {
  template <typename T>
  static constexpr bool kHas = std::is_same_v<T, bool>;
};
struct Bits {
  template <typename T>
  static constexpr bool kHas = std::is_integral_v<T>;
};
struct All {
  template <typename T>
  static constexpr bool kHas = true;
};

// The result of a kernel `f` over elements of T: a mask, or elements of T again.
template <typename T, typename F, typename... Args>
using ResultOf =
    std::conditional_t<std::is_same_v<std::invoke_result_t<F, Args...>, bool>, bool, T>;

// ---- one operand

template <typename Types, typename F>
Array map(const Array& a, F f) {
  const Source in(a);
  if (!in) return {};
  return with_type(in.type, [&]<typename T>() -> Array {
    if constexpr (Types::template kHas<T>) {
      using R = ResultOf<T, F, T>;
      Array out = result(in.shape, MlxType<R>::value);
      if (out.empty()) return out;
      const T* from = in.as<T>();
      R* to = elements<R>(out);
      for (std::size_t i = 0; i < in.size; ++i) to[i] = static_cast<R>(f(from[i]));
      return out;
    } else {
      return {};
    }
  });
}

// ---- two operands

// A shape that two or three operands are broadcast to, with each one's strides in it.
template <std::size_t K>
struct Broadcast {
  Dims shape;
  std::array<Dims, K> strides;
  bool fits = true;

  explicit Broadcast(const std::array<const Source*, K>& sources) {
    std::size_t rank = 0;
    for (const Source* source : sources) rank = std::max(rank, source->shape.size());
    for (std::size_t i = 0; i < rank; ++i) shape.push_back(1);
    for (const Source* source : sources) {
      const std::size_t missing = rank - source->shape.size();
      for (std::size_t i = 0; i < source->shape.size(); ++i) {
        int& dim = shape[missing + i];
        if (dim == 1) dim = source->shape[i];
        fits &= source->shape[i] == dim || source->shape[i] == 1;
      }
    }
    for (std::size_t k = 0; k < K; ++k) {
      const Dims own = row_major(sources[k]->shape);
      const std::size_t missing = rank - own.size();
      for (std::size_t i = 0; i < rank; ++i) {
        const bool repeats = i < missing || sources[k]->shape[i - missing] == 1;
        strides[k].push_back(repeats ? 0 : own[i - missing]);
      }
    }
  }

  int step(std::size_t k) const { return strides[k].back(); }
};

template <typename R, typename T, typename F>
void run(R* to, const T* a, bool a_moves, const T* b, bool b_moves, std::size_t count, F f) {
  if (a_moves && b_moves) {
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<R>(f(a[i], b[i]));
  } else if (a_moves) {
    const T y = *b;
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<R>(f(a[i], y));
  } else if (b_moves) {
    const T x = *a;
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<R>(f(x, b[i]));
  } else {
    std::fill_n(to, count, static_cast<R>(f(*a, *b)));
  }
}

template <typename Types, typename F>
Array zip(const Source& a, const Source& b, F f) {
  if (a.type != b.type) return {};
  return with_type(a.type, [&]<typename T>() -> Array {
    if constexpr (Types::template kHas<T>) {
      using R = ResultOf<T, F, T, T>;
      if (std::ranges::equal(a.shape, b.shape)) {
        Array out = result(a.shape, MlxType<R>::value);
        if (!out.empty()) run(elements<R>(out), a.as<T>(), true, b.as<T>(), true, a.size, f);
        return out;
      }
      const Broadcast<2> both({&a, &b});
      Array out = both.fits ? result(both.shape, MlxType<R>::value) : Array();
      if (out.empty()) return out;
      R* to = elements<R>(out);
      for_each_row<2>(both.shape, both.strides, [&](const auto& at, std::size_t count) {
        run(to, a.as<T>() + at[0], both.step(0) != 0, b.as<T>() + at[1], both.step(1) != 0, count,
            f);
        to += count;
      });
      return out;
    } else {
      return {};
    }
  });
}

// Whether every shift distance in `b` is one that the type of `a` has.
bool shifts_inside(const Source& b) {
  bool inside = true;
  with_type(b.type, [&]<typename T>() -> Array {
    constexpr auto kWidth = static_cast<T>(8 * sizeof(T));
    const auto is_inside = [](T distance) { return distance >= T{0} && distance < kWidth; };
    inside = std::all_of(b.as<T>(), b.as<T>() + b.size, is_inside);
    return {};
  });
  return inside;
}

// Whether no integer in `b` is 0, or -1, which the lowest number can't be divided by.
bool divides_safely(const Source& b) {
  bool safe = true;
  with_type(b.type, [&]<typename T>() -> Array {
    const auto is_safe = [](T y) { return y != T{0} && (std::is_unsigned_v<T> || y != T(-1)); };
    safe = std::all_of(b.as<T>(), b.as<T>() + b.size, is_safe);
    return {};
  });
  return safe;
}

}  // namespace

// What MLX computes with halves it computes in f32 and rounds.
Array unary(Unary op, const Array& a) {
  using enum Unary;
  if (is_half(a.mlx_type()) && op != k_copy) {
    const Array wide = widened(a);
    return wide.empty() ? Array() : narrowed(unary(op, wide), a.mlx_type());
  }
  switch (op) {
    case k_abs:
      return map<Numbers>(a, []<typename T>(T x) {
        if constexpr (std::is_integral_v<T>) {
          return x < T{0} ? static_cast<T>(0 - wrapping(x)) : x;
        } else {
          return std::abs(x);
        }
      });
    case k_arccos:
      return map<Floats>(a, [](auto x) { return std::acos(x); });
    case k_arccosh:
      return map<Floats>(a, [](auto x) { return std::acosh(x); });
    case k_arcsin:
      return map<Floats>(a, [](auto x) { return std::asin(x); });
    case k_arcsinh:
      return map<Floats>(a, [](auto x) { return std::asinh(x); });
    case k_arctan:
      return map<Floats>(a, [](auto x) { return std::atan(x); });
    case k_arctanh:
      return map<Floats>(a, [](auto x) { return std::atanh(x); });
    case k_bitwise_invert:
      return map<Integers>(a, []<typename T>(T x) { return static_cast<T>(~x); });
    case k_ceil:
      return map<Floats>(a, [](auto x) { return std::ceil(x); });
    case k_copy:
      return map<All>(a, []<typename T>(T x) { return x; });
    case k_cosh:
      return map<Floats>(a, [](auto x) { return std::cosh(x); });
    case k_expm1:
      return map<Floats>(a, [](auto x) { return std::expm1(x); });
    case k_floor:
      return map<Floats>(a, [](auto x) { return std::floor(x); });
    case k_isfinite:
      return map<Floats>(a, [](auto x) { return std::isfinite(x); });
    case k_isinf:
      return map<Floats>(a, [](auto x) { return std::isinf(x); });
    case k_isnan:
      return map<Floats>(a, [](auto x) { return std::isnan(x); });
    case k_log:
      return map<Floats>(a, [](auto x) { return std::log(x); });
    case k_log1p:
      return map<Floats>(a, [](auto x) { return std::log1p(x); });
    case k_log2:
      return map<Floats>(a, [](auto x) { return std::log2(x); });
    case k_logical_not:
      return map<Masks>(a, [](bool x) { return !x; });
    case k_negative:
      return map<Numbers>(a, []<typename T>(T x) {
        if constexpr (std::is_integral_v<T>) {
          return static_cast<T>(0 - wrapping(x));
        } else {
          return -x;
        }
      });
    case k_rsqrt:
      return map<Floats>(a, []<typename T>(T x) { return T{1} / std::sqrt(x); });
    case k_sign:
      return map<Numbers>(a, []<typename T>(T x) {
        return x < T{0} ? static_cast<T>(-1) : static_cast<T>(x > T{0} ? 1 : 0);
      });
    case k_sinh:
      return map<Floats>(a, [](auto x) { return std::sinh(x); });
    case k_sqrt:
      return map<Floats>(a, [](auto x) { return std::sqrt(x); });
    case k_square:
      return map<Numbers>(
          a, []<typename T>(T x) { return static_cast<T>(wrapping(x) * wrapping(x)); });
    case k_tan:
      return map<Floats>(a, [](auto x) { return std::tan(x); });
    case k_tanh:
      return map<Floats>(a, [](auto x) { return std::tanh(x); });
    // MLX has its own approximations of these; in f64 it computes them in f32, and nobody asks it.
    case k_cos:
      return map<SingleFloat>(a, [](float x) { return std::cos(x); });
    case k_exp:
      return map<SingleFloat>(a, [](float x) { return std::exp(x); });
    case k_sigmoid:
      return map<SingleFloat>(a, [](float x) {
        return static_cast<float>(1 / (1 + std::exp(-static_cast<double>(x))));
      });
    case k_sin:
      return map<SingleFloat>(a, [](float x) { return std::sin(x); });
    default:
      return {};
  }
}

Array binary(Binary op, const Array& left, const Array& right) {
  using enum Binary;
  const mlx_dtype type = left.mlx_type();
  if (is_half(type) && right.mlx_type() == type && op != k_matmul) {
    if (op == k_remainder && mlx_is_older_than(0, 32)) return {};  // which computes another one
    const Array a = widened(left), b = widened(right);
    return a.empty() || b.empty() ? Array() : narrowed(binary(op, a, b), type);
  }
  const Source a(left);
  const Source b(right);
  if (!a || !b) return {};
  switch (op) {
    case k_add:
      return zip<Numbers>(
          a, b, []<typename T>(T x, T y) { return static_cast<T>(wrapping(x) + wrapping(y)); });
    case k_arctan2:
      return zip<Floats>(a, b, [](auto x, auto y) { return std::atan2(x, y); });
    case k_bitwise_and:
      return zip<Bits>(a, b, []<typename T>(T x, T y) { return static_cast<T>(x & y); });
    case k_bitwise_or:
      return zip<Bits>(a, b, []<typename T>(T x, T y) { return static_cast<T>(x | y); });
    case k_bitwise_xor:
      return zip<Bits>(a, b, []<typename T>(T x, T y) { return static_cast<T>(x ^ y); });
    case k_divide:
      return zip<Floats>(a, b, [](auto x, auto y) { return x / y; });
    case k_equal:
      return zip<All>(a, b, [](auto x, auto y) { return x == y; });
    case k_floor_divide:
      if (!divides_safely(b)) return {};
      // Rounded towards zero before MLX 0.32, down since.
      return zip<Integers>(a, b, [cuts = mlx_is_older_than(0, 32)]<typename T>(T x, T y) {
        const T quotient = static_cast<T>(x / y);
        const bool is_above = x % y != 0 && (x < 0) != (y < 0);
        return cuts || !is_above ? quotient : static_cast<T>(quotient - 1);
      });
    case k_greater:
      return zip<Numbers>(a, b, [](auto x, auto y) { return x > y; });
    case k_greater_equal:
      return zip<Numbers>(a, b, [](auto x, auto y) { return x >= y; });
    case k_left_shift:
      if (!shifts_inside(b)) return {};
      return zip<Integers>(a, b,
                           []<typename T>(T x, T y) { return static_cast<T>(wrapping(x) << y); });
    case k_less:
      return zip<Numbers>(a, b, [](auto x, auto y) { return x < y; });
    case k_less_equal:
      return zip<Numbers>(a, b, [](auto x, auto y) { return x <= y; });
    case k_logical_and:
      return zip<Masks>(a, b, [](bool x, bool y) { return x && y; });
    case k_logical_or:
      return zip<Masks>(a, b, [](bool x, bool y) { return x || y; });
    case k_matmul:
      return host::matmul(left, right);
    case k_maximum:
      return zip<Numbers>(a, b, [](auto x, auto y) { return x != x || x > y ? x : y; });
    case k_minimum:
      return zip<Numbers>(a, b, [](auto x, auto y) { return x != x || x < y ? x : y; });
    case k_multiply:
      return zip<Numbers>(
          a, b, []<typename T>(T x, T y) { return static_cast<T>(wrapping(x) * wrapping(y)); });
    case k_not_equal:
      return zip<All>(a, b, [](auto x, auto y) { return x != y; });
    case k_power:
      return zip<Floats>(a, b, [](auto x, auto y) { return std::pow(x, y); });
    case k_remainder:
      return zip<Floats>(a, b, []<typename T>(T x, T y) {
        const T rest = std::remainder(x, y);
        return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
      });
    case k_right_shift:
      if (!shifts_inside(b)) return {};
      return zip<Integers>(a, b, []<typename T>(T x, T y) { return static_cast<T>(x >> y); });
    case k_subtract:
      return zip<Numbers>(
          a, b, []<typename T>(T x, T y) { return static_cast<T>(wrapping(x) - wrapping(y)); });
    default:
      return {};
  }
}

Array where(const Array& condition, const Array& on_true, const Array& on_false) {
  const Source mask(condition);
  const Source a(on_true);
  const Source b(on_false);
  if (!mask || !a || !b || mask.type != MLX_BOOL || a.type != b.type) return {};
  const Broadcast<3> all({&mask, &a, &b});
  if (!all.fits) return {};
  return with_type(is_half(a.type) ? MLX_UINT16 : a.type, [&]<typename T>() -> Array {
    Array out = result(all.shape, a.type);
    if (out.empty()) return out;
    T* to = elements<T>(out);
    for_each_row<3>(all.shape, all.strides, [&](const auto& at, std::size_t count) {
      const bool* if_ = mask.as<bool>() + at[0];
      const T* x = a.as<T>() + at[1];
      const T* y = b.as<T>() + at[2];
      for (std::size_t i = 0; i < count; ++i) {
        *to++ = *if_ ? *x : *y;
        if_ += all.step(0);
        x += all.step(1);
        y += all.step(2);
      }
    });
    return out;
  });
}

namespace {

// Whether C++ says what `value` becomes as an R.
template <typename R, typename T>
bool is_defined(T value) {
  if constexpr (std::is_floating_point_v<T> && std::is_integral_v<R> && !std::is_same_v<R, bool>) {
    // The first power of two that is too large, which every float type holds.
    const T end = std::ldexp(T{1}, std::numeric_limits<R>::digits);
    return value > (std::is_signed_v<R> ? -end - 1 : T{-1}) && value < end;
  } else {
    return true;
  }
}

}  // namespace

Array astype(const Array& a, mlx_dtype type) {
  if (is_half(a.mlx_type()) && a.mlx_type() != type) {
    const Array wide = widened(a);
    return wide.empty() || type == MLX_FLOAT32 ? wide : astype(wide, type);
  }
  if (is_half(type)) {
    const Array wide = a.mlx_type() == MLX_FLOAT32 ? a : astype(a, MLX_FLOAT32);
    return wide.empty() || !Source(wide) ? Array() : narrowed(wide, type);
  }
  const Source in(a);
  if (!in) return {};
  return with_type(in.type, [&]<typename T>() {
    return with_type(type, [&]<typename R>() -> Array {
      const T* from = in.as<T>();
      if (!std::all_of(from, from + in.size, is_defined<R, T>)) return {};
      Array out = result(in.shape, type);
      if (out.empty()) return out;
      R* to = elements<R>(out);
      for (std::size_t i = 0; i < in.size; ++i) to[i] = static_cast<R>(from[i]);
      return out;
    });
  });
}

}  // namespace mlxnx::mlxc::host
