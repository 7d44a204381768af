// tensor(...): tensors from values written in the program or held in its containers.
#pragma once

#include <complex>
#include <concepts>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <vector>

#include "mlxnx/tensor.h"

namespace mlxnx {

template <typename T>
concept ElementValue = std::is_arithmetic_v<T> || std::same_as<T, std::complex<float>> ||
    std::same_as<T, std::complex<double>>;

/// A number or a list of such: what the braces of `tensor({{1, 2}, {3, 4}})` hold.
class Literal {
 public:
  template <ElementValue T>
  Literal(T value) : number_(to_number(value)), type_(type_of(number_, std::same_as<T, bool>)) {}
  Literal(std::initializer_list<Literal> list) : list_(list), is_list_(true) {}
  template <std::ranges::input_range R>
  requires(!std::same_as<std::remove_cvref_t<R>, Literal>) explicit Literal(const R& range)
      : is_list_(true) {
    for (const auto& value : range) list_.push_back(Literal(value));
  }

  bool is_list() const { return is_list_; }
  const std::vector<Literal>& list() const { return list_; }
  const Number& number() const { return number_; }
  /// The type that `Nx.tensor/1` infers for the number.
  DType type() const { return type_; }

 private:
  template <ElementValue T>
  static Number to_number(T value) {
    if constexpr (!std::is_arithmetic_v<T>) {
      return std::complex<double>(value);
    } else if constexpr (std::is_floating_point_v<T>) {
      return static_cast<double>(value);
    } else if constexpr (std::is_unsigned_v<T> && sizeof(T) == 8) {
      return static_cast<std::uint64_t>(value);
    } else {
      return static_cast<std::int64_t>(value);
    }
  }
  static DType type_of(const Number& number, bool is_bool);

  Number number_ = std::int64_t{0};
  DType type_ = DType::f32;
  std::vector<Literal> list_;
  bool is_list_ = false;
};

namespace literal {

/// The tensor of the nested list `value`. Without a type, that which Nx infers.
Tensor build(const Literal& value, std::optional<DType> type);

// The type of the numbers in nested ranges.
template <typename R>
struct Leaf {
  using type = R;
};
template <std::ranges::input_range R>
struct Leaf<R> {
  using type = typename Leaf<std::ranges::range_value_t<R>>::type;
};

}  // namespace literal

/// The tensor of nested lists of numbers, a list per axis.
/// Types: as Nx infers them, unless `type` is given: s32 from integers, f32 from floating point
/// numbers, c64 from complex ones, u8 from booleans, and the merge of these from mixtures; an
/// integer that does not fit s32 makes it s64 or u64. Given a type, integers wrap and floats
/// truncate to integers.
/// Throws: ShapeError when lists beside each other differ in shape.
/// Nx: Nx.tensor
///
///     tensor({{1, 2}, {3, 4}});             // s32[2][2]
///     tensor({1.0, 2.5}, DType::bf16);      // bf16[2]
inline Tensor tensor(std::initializer_list<Literal> list, std::optional<DType> type = {}) {
  return literal::build(Literal(list), type);
}

/// The scalar `value`, with types as above.
///
///     tensor(2.0);  // f32
template <ElementValue T>
Tensor tensor(T value, std::optional<DType> type = {}) {
  return literal::build(Literal(value), type);
}

/// The elements of a container (`std::vector`, `std::array`, `std::span`), nested for more axes.
/// Types: unlike numbers in braces, the elements keep their C++ type: f64 from `double`, s64 from
/// `std::int64_t`, … unless `type` is given. For data in one flat run with a shape of its own see
/// `Tensor::from_span`.
/// Throws: ShapeError when containers beside each other differ in length.
///
///     std::vector<float> v = {1, 2, 3};
///     tensor(v);                  // f32[3]
///     tensor(v, DType::s64);      // s64[3]
template <std::ranges::input_range R>
requires ElementValue<typename literal::Leaf<R>::type> Tensor tensor(const R& values) {
  using Element = std::ranges::range_value_t<R>;
  if constexpr (std::ranges::contiguous_range<R> && ElementValue<Element> &&
                !std::same_as<Element, std::complex<double>>) {
    const std::span<const Element> elements(values);
    return Tensor::from_span(elements, {static_cast<std::int64_t>(elements.size())});
  } else if constexpr (std::same_as<typename literal::Leaf<R>::type, std::complex<double>>) {
    return literal::build(Literal(values), DType::c64);
  } else {
    return literal::build(Literal(values), dtype_of<typename literal::Leaf<R>::type>());
  }
}
template <std::ranges::input_range R>
requires ElementValue<typename literal::Leaf<R>::type> Tensor tensor(const R& values, DType type) {
  return literal::build(Literal(values), type);
}

}  // namespace mlxnx
