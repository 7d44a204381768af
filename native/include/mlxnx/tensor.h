// Tensor: an immutable n-dimensional array on an MLX device, with Nx's types.
// Copying a Tensor is cheap (a shared handle). Ops on tensors are lazy: they add to a graph that
// `eval`, or reading, computes; small tensors on a CPU are computed at once. Tensors may be used,
// copied and destroyed on any thread. A tensor that was moved from has no value: it may be assigned
// to, copied and destroyed, anything else throws ArgumentError. Read next: literal.h (making
// tensors), ops/*.h (what to do with them), device.h (where they live).
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "mlxnx/dtype.h"
#include "mlxnx/error.h"
#include "mlxnx/shape.h"

namespace mlxnx {

/// A number of any kind that a tensor element can be made of, exact.
using Number = std::variant<std::int64_t, std::uint64_t, double, std::complex<double>>;

namespace tensors {
struct Node;  // the shared handle: MLX array, type, shape (src/tensor/node.h)

/// `value` as an integer `type`, in the low bits of the result: integers wrap, floats are cut off
/// and wrap, NaN is 0, infinities are the largest and the smallest number.
std::uint64_t integer_bits(const Number& value, DType type);
}  // namespace tensors

/// The element type of C++ values of type T: `float` is f32, `std::int32_t` is s32,
/// `std::complex<float>` is c64, …
template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, std::complex<float>>) {
    return DType::c64;
  } else if constexpr (std::is_same_v<T, double>) {
    return DType::f64;
  } else if constexpr (std::is_same_v<T, float>) {
    return DType::f32;
  } else if constexpr (std::is_same_v<T, bool>) {
    return DType::u8;
  } else {
    static_assert(std::is_integral_v<T>, "no tensor element type for this C++ type");
    constexpr int kLog = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<DType>(kLog + (std::is_signed_v<T> ? 4 : 0));
  }
}

class Tensor {
 public:
  /// The f32 scalar 0.
  Tensor();

  /// A scalar: s32 from an integer, f32 from a floating point number, c64 from a complex one, u8
  /// from a bool, as `Nx.tensor/1` infers. An integer that does not fit s32 becomes s64 or u64.
  template <typename T>
  requires std::is_arithmetic_v<T> Tensor(T value)
      : Tensor(number(value), std::is_same_v<T, bool> ? DType::u8 : inferred_type(number(value))) {}
  Tensor(std::complex<double> value) : Tensor(Number(value)) {}
  explicit Tensor(const Number& value);
  Tensor(const Number& value, DType type);
  /// The type that a scalar of `value` gets.
  static DType inferred_type(const Number& value);

  /// The tensor of `shape` whose elements are `data`, row-major. The data is copied.
  /// Throws: ShapeError when the number of elements differs.
  template <typename T>
  static Tensor from_span(std::span<const T> data, const Shape& shape) {
    return from_bytes(std::as_bytes(data), {dtype_of<T>(), shape});
  }

  /// The tensor of `type` whose elements are `bytes`: row-major, native byte order. The bytes are
  /// copied. Throws: ShapeError when `bytes` is not as long as `type` says. Nx: Nx.from_binary
  static Tensor from_bytes(std::span<const std::byte> bytes, const TensorType& type);

  const Shape& shape() const;
  DType dtype() const;
  const TensorType& type() const;
  std::size_t rank() const { return shape().size(); }
  /// Number of elements. Nx: Nx.size
  std::int64_t size() const { return element_count(shape()); }
  /// Bytes of all elements. Nx: Nx.byte_size
  std::size_t byte_size() const { return static_cast<std::size_t>(size()) * size_bytes(dtype()); }

  /// The elements as bytes: row-major, native byte order. Evaluates.
  /// Nx: Nx.to_binary
  std::vector<std::byte> to_bytes() const;

  /// The elements. Evaluates.
  /// Throws: TypeError when T is not the C++ type of `dtype()`.
  /// Nx: Nx.to_flat_list
  template <typename T>
  std::vector<T> to_vector() const {
    require_type(dtype_of<T>());
    std::vector<T> values(static_cast<std::size_t>(size()));
    read(std::as_writable_bytes(std::span(values)));
    return values;
  }

  /// The element of a tensor that has exactly one, converted to T: to an integer as `as_type` does
  /// (a fraction is cut off, what is too large wraps, NaN is 0, infinities are the largest and the
  /// smallest number), to a real number from a complex one by its real part. Evaluates.
  /// Throws: ShapeError when it has more or none.
  /// Nx: Nx.to_number
  template <typename T>
  T item() const {
    const Number value = to_number();
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      return static_cast<T>(tensors::integer_bits(value, dtype_of<T>()));
    return std::visit(
        [](auto v) {
          if constexpr (std::is_same_v<decltype(v), std::complex<double>>) {
            if constexpr (std::is_constructible_v<T, std::complex<double>>) {
              return T(v);
            } else {
              return static_cast<T>(v.real());
            }
          } else {
            return static_cast<T>(v);
          }
        },
        value);
  }
  Number to_number() const;

  /// Copies the elements to `out`, which must be as long as `byte_size()`. Evaluates.
  void read(std::span<std::byte> out) const;

  /// Type, shape and elements as Nx's inspect prints them, the elements in Elixir's notation
  /// (`1.0`, `1.0e-5`, `NaN`, `-Inf`, `1.0+2.0i`). After 50 elements it ends with `...`. Evaluates.
  ///
  ///     #Nx.Tensor<
  ///       f32[3]
  ///       [5.0, 7.0, 9.0]
  ///     >
  std::string to_string() const;

  /// For the layers of this library.
  explicit Tensor(std::shared_ptr<tensors::Node> node) : node_(std::move(node)) {}
  tensors::Node& node() const { return *node_ptr(); }
  const std::shared_ptr<tensors::Node>& node_ptr() const {
    if (node_ == nullptr) [[unlikely]]
      refuse_moved_from();
    return node_;
  }
  bool is_moved_from() const { return node_ == nullptr; }

 private:
  [[noreturn]] static void refuse_moved_from();
  template <typename T>
  static Number number(T value) {
    if constexpr (std::is_floating_point_v<T>) {
      return static_cast<double>(value);
    } else if constexpr (std::is_unsigned_v<T> && sizeof(T) == 8) {
      return static_cast<std::uint64_t>(value);
    } else {
      return static_cast<std::int64_t>(value);
    }
  }
  void require_type(DType expected) const;

  std::shared_ptr<tensors::Node> node_;
};

/// Writes `tensor.to_string()`.
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

/// Borrowed, evaluated elements of a tensor, row-major; valid as long as this object lives.
/// Taking one copies nothing when the elements already lie that way.
class TensorView {
 public:
  explicit TensorView(const Tensor& tensor);
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  Tensor owner_;
  std::span<const std::byte> bytes_;
};

/// Computes `tensors` and returns when they are ready; all of them in one evaluation.
/// Throws: BackendError when MLX can't, e.g. for lack of memory.
/// MLX: mlx.core.eval
void eval(std::span<const Tensor> tensors);
void eval(std::initializer_list<Tensor> tensors);
void eval(const Tensor& tensor);

/// Starts computing `tensors` and returns at once.
/// MLX: mlx.core.async_eval
void async_eval(std::span<const Tensor> tensors);
void async_eval(std::initializer_list<Tensor> tensors);
void async_eval(const Tensor& tensor);

/// Returns when everything started so far is done, on every device.
/// MLX: mlx.core.synchronize
void synchronize();

}  // namespace mlxnx
