// The kernels for small arrays against MLX's own, function by function and type by type.
#include "mlxc/host_kernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <climits>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mlxc/elementwise.h"
#include "mlxc/engine.h"
#include "mlxc/evaluate.h"
#include "mlxc/version.h"
#include "mlxnx/error.h"
#include "tensor/element.h"

namespace mlxnx::mlxc {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

constexpr std::array kWithHalves = {DType::u8,  DType::u16,  DType::u32, DType::u64,
                                    DType::s8,  DType::s16,  DType::s32, DType::s64,
                                    DType::f16, DType::bf16, DType::f32, DType::f64};
constexpr std::array kTypes = {DType::u8,  DType::u16, DType::u32, DType::u64, DType::s8,
                               DType::s16, DType::s32, DType::s64, DType::f32, DType::f64};

// Numbers that are hard for some function; integers wrap to what their type holds.
std::vector<double> hard_numbers(DType type) {
  if (is_integer(type)) return {0, 1, 2, 3, 7, 100, 127, 128, 200, 255, 256, 31, -1, -5, -128, 1e9};
  return {0.0,  -0.0, 1.0,  -1.0,      0.5,        -0.7, 2.5,    3.0,
          1e-3, 20.0, -3.5, kInfinity, -kInfinity, kNaN, 1.0e30, 1.0e-30};
}

Array array_of(DType type, const std::vector<double>& values, std::vector<int> shape) {
  std::vector<std::byte> bytes(values.size() * size_bytes(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Number number =
        is_integer(type) ? Number(static_cast<std::int64_t>(values[i])) : Number(values[i]);
    tensors::encode(number, type, bytes.data() + i * size_bytes(type));
  }
  return from_bytes(bytes.data(), shape, to_mlx(type));
}

Array hard(DType type, std::vector<int> shape) {
  const std::vector<double> numbers = hard_numbers(type);
  std::size_t count = 1;
  for (const int dim : shape) count *= static_cast<std::size_t>(dim);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(numbers[(i * 5 + 3) % numbers.size()]);
  return array_of(type, values, std::move(shape));
}

Array mask(const Array& array) {
  const StreamScope stream(Engine::process().stream(Device::kCpu));
  const AtOnceScope at_once(true);
  return asbool(array);
}

// What is computed at once; empty where that needs a graph, or MLX has no such function.
template <typename Build>
Array at_once(Build build) {
  const StreamScope stream(Engine::process().stream(Device::kCpu));
  const AtOnceScope scope(true);
  try {
    Array result = build();
    return result.block() != nullptr ? result : Array();
  } catch (const BackendError&) {
    return {};
  }
}

// What MLX's own function answers, evaluated. Graphs that MLX is to fuse have its own nodes only.
template <typename Build>
Array by_mlx(Build build) {
  const StreamScope stream(Engine::process().stream(Device::kCpu));
  const AtOnceScope never(false);
  const bool outer = std::exchange(thread_state.fuses, true);
  Array result = build();
  thread_state.fuses = outer;
  Engine::process().run([&] { eval(ArrayVector(std::span<const Array>(&result, 1))); });
  const Array rows = contiguous(result);
  Engine::process().run([&] { eval(ArrayVector(std::span<const Array>(&rows, 1))); });
  return rows;
}

// The distance of two floats in units in the last place; 0 for two NaN.
template <typename T>
double distance(const std::byte* left, const std::byte* right) {
  T a, b;
  std::memcpy(&a, left, sizeof(T));
  std::memcpy(&b, right, sizeof(T));
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (a == b) return std::signbit(a) == std::signbit(b) ? 0 : 0.5;
  const T unit = std::nextafter(std::abs(b), std::numeric_limits<T>::infinity()) - std::abs(b);
  const double units = std::abs(static_cast<double>(a - b)) / static_cast<double>(unit);
  return std::isnan(units) ? kInfinity : units;
}

// The same of two halves, whose bits are in the order of their sizes.
double distance_of_halves(mlx_dtype type, const std::byte* left, const std::byte* right) {
  const int infinity = type == MLX_FLOAT16 ? 0x7C00 : 0x7F80;
  const auto place = [](const std::byte* at) {
    std::int16_t bits;
    std::memcpy(&bits, at, sizeof bits);
    return bits < 0 ? -(bits & 0x7FFF) : int{bits};
  };
  const int a = place(left), b = place(right);
  const bool is_nan = std::abs(a) > infinity;
  if (is_nan || std::abs(b) > infinity) return is_nan && std::abs(b) > infinity ? 0 : kInfinity;
  return std::abs(a - b);
}

// Whether both hold the same elements, floats up to `units` in the last place.
::testing::AssertionResult same(const Array& ours, const Array& theirs, double units = 0) {
  const auto text = [](const Array& array) {
    return to_string(TensorType{array.dtype(), Shape(array.shape().begin(), array.shape().end())});
  };
  if (ours.mlx_type() != theirs.mlx_type() || !std::ranges::equal(ours.shape(), theirs.shape()))
    return ::testing::AssertionFailure() << text(ours) << " and " << text(theirs);
  const std::size_t width = mlx_dtype_size(ours.mlx_type());
  const auto* a = static_cast<const std::byte*>(data_pointer(ours));
  const auto* b = static_cast<const std::byte*>(data_pointer(theirs));
  for (std::int64_t i = 0; i < ours.size(); ++i, a += width, b += width) {
    double found = std::memcmp(a, b, width) == 0 ? 0 : kInfinity;
    const mlx_dtype type = ours.mlx_type();
    if (type == MLX_FLOAT16 || type == MLX_BFLOAT16) found = distance_of_halves(type, a, b);
    if (ours.mlx_type() == MLX_FLOAT32) found = distance<float>(a, b);
    if (ours.mlx_type() == MLX_FLOAT64) found = distance<double>(a, b);
    if (found <= units) continue;
    return ::testing::AssertionFailure()
           << "element " << i << " of " << text(ours) << " differs by " << found << " units";
  }
  return ::testing::AssertionSuccess();
}

struct UnaryRow {
  std::string_view name;
  Array (*function)(const Array&);
};
const UnaryRow kUnary[] = {
#define MLXC_UNARY(name) {#name, &name},
#include "mlxc/functions.def"
};

struct BinaryRow {
  std::string_view name;
  Array (*function)(const Array&, const Array&);
};
const BinaryRow kBinary[] = {
#define MLXC_BINARY(name) {#name, &name},
#include "mlxc/functions.def"
};

// MLX computes these in f32 whatever the type, and its error function to some hundred units.
// kernels/elementwise_test.cpp holds ours to C's.
bool is_better_than_mlx(std::string_view name, DType type) {
  if (name == "erf") return true;
  return type == DType::f64 &&
         (name == "cos" || name == "exp" || name == "sigmoid" || name == "sin");
}

// MLX approximates these by itself, to some units. Other elementary functions are the C library's,
// or, on Apple's chips, those of the vector library.
double allowed_units(std::string_view name) {
  for (const std::string_view own : {"cos", "exp", "sigmoid", "sin"})
    if (name == own) return 64;
  return 4;
}

TEST(HostKernels, UnaryOnesComputeWhatMlxComputes) {
  int compared = 0;
  for (const UnaryRow& row : kUnary) {
    for (const DType type : kWithHalves) {
      std::vector<double> numbers = hard_numbers(type);
      // MLX's own sine and cosine lose their digits far from 0.
      const bool is_periodic = row.name == "sin" || row.name == "cos";
      if (is_periodic) std::erase_if(numbers, [](double x) { return std::abs(x) > 1e3; });
      const Array a = array_of(type, numbers, {static_cast<int>(numbers.size())});
      const Array ours = at_once([&] { return row.function(a); });
      if (ours.empty() || is_better_than_mlx(row.name, type)) continue;
      EXPECT_TRUE(same(ours, by_mlx([&] { return row.function(a); }), allowed_units(row.name)))
          << row.name << " of " << name(type);
      ++compared;
    }
  }
  EXPECT_GT(compared, 100);
}

// What MLX's function of integers takes on the right: it ends the process where it divides by 0,
// and says nothing of shifts beyond the width and of negative exponents.
Array for_integers(std::string_view name, Array b, DType type) {
  const bool divides = name == "floor_divide" || name == "remainder";
  const bool counts = name == "left_shift" || name == "right_shift" || name == "power";
  if (divides) return at_once([&] { return maximum(b, array_of(type, {2}, {})); });
  return counts ? at_once([&] { return bitwise_and(b, array_of(type, {7}, {})); }) : b;
}

TEST(HostKernels, BinaryOnesComputeWhatMlxComputes) {
  const std::vector<std::pair<std::vector<int>, std::vector<int>>> shapes = {
      {{16}, {16}},      {{4, 4}, {}},        {{}, {16}},   {{3, 5}, {5}}, {{3, 5}, {3, 1}},
      {{4, 1}, {1, 16}}, {{2, 1, 3}, {5, 1}}, {{1, 1}, {}}, {{0, 3}, {3}}, {{}, {}}};
  int compared = 0;
  for (const BinaryRow& row : kBinary) {
    for (const DType type : kWithHalves) {
      for (const auto& [left, right] : shapes) {
        Array a = hard(type, left);
        Array b = hard(type, right);
        if (is_integer(type)) b = for_integers(row.name, std::move(b), type);
        Array ours = at_once([&] { return row.function(a, b); });
        if (ours.empty()) {
          a = mask(a);
          b = mask(b);
          ours = at_once([&] { return row.function(a, b); });
        }
        if (ours.empty()) continue;
        EXPECT_TRUE(same(ours, by_mlx([&] { return row.function(a, b); }), allowed_units(row.name)))
            << row.name << " of " << name(type) << " " << ::testing::PrintToString(left) << " "
            << ::testing::PrintToString(right);
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 1500);
}

TEST(HostKernels, OperandsOfTwoTypesAreLeftToMlx) {
  const Array a = array_of(DType::s32, {1}, {1});
  const Array b = array_of(DType::f32, {1}, {1});
  EXPECT_TRUE(elementwise(kernels::Function::k_add, {&a, &b}).empty());
  EXPECT_TRUE(elementwise(kernels::Function::k_select, {&a, &a, &a}).empty());
  EXPECT_TRUE(host::concatenate(std::array{a, b}, 0).empty());
}

TEST(HostKernels, CastsAreMlxs) {
  for (const DType from : kWithHalves) {
    for (const DType to : kWithHalves) {
      const Array whole = array_of(from, {0, 1, 3, 100, 127}, {5});
      const Array part = is_float(from) ? array_of(from, {0.5, 1.9, 0.0, 99.9, 12}, {5}) : whole;
      for (const Array* a : {&whole, &part}) {
        const Array ours = at_once([&] { return astype(*a, to); });
        ASSERT_FALSE(ours.empty());
        EXPECT_TRUE(same(ours, by_mlx([&] { return astype(*a, to); })))
            << name(from) << " to " << name(to);
      }
    }
    EXPECT_TRUE(same(mask(hard(from, {16})), by_mlx([&] { return asbool(hard(from, {16})); })));
  }
}

TEST(HostKernels, FloatsThatNoIntegerHoldsAreCastAsInNx) {
  const auto cast = [](const Array& a, DType to) { return at_once([&] { return astype(a, to); }); };
  EXPECT_TRUE(same(
      cast(array_of(DType::f64, {kNaN, kInfinity, -kInfinity, 257, -1, 0x1p65}, {6}), DType::u8),
      array_of(DType::u8, {0, 255, 0, 1, 255, 0}, {6})));
  EXPECT_TRUE(same(cast(array_of(DType::f32, {-128.9, 127.9, 0}, {3}), DType::s8),
                   array_of(DType::s8, {-128, 127, 0}, {3})));
  EXPECT_TRUE(same(cast(array_of(DType::f64, {-0x1p63 - 4096, 5e9}, {2}), DType::s64),
                   array_of(DType::s64, {0x1p63 - 4096, 5e9}, {2})));
}

TEST(HostKernels, WhereBroadcastsAllThree) {
  for (const DType type : kWithHalves) {
    const Array condition = mask(hard(DType::s32, {4, 1}));
    const Array x = hard(type, {3});
    const Array y = hard(type, {2, 1, 1});
    EXPECT_TRUE(same(at_once([&] { return where(condition, x, y); }),
                     by_mlx([&] { return where(condition, x, y); })));
  }
}

struct ReduceRow {
  const char* name;
  kernels::Fold kernel;
  Array (*function)(const Array&, const Ints&, bool);
};
const ReduceRow kReduce[] = {
#define MLXC_REDUCE(name) {#name, kernels::Fold::k_##name, &name},
#include "mlxc/functions.def"
};

TEST(HostKernels, ReductionsFoldWhatMlxFolds) {
  const std::vector<std::vector<std::int64_t>> axes = {{0}, {1}, {2}, {-1}, {0, 1}, {1, 2}, {0, 2}};
  for (const ReduceRow& row : kReduce) {
    for (const DType type : kWithHalves) {
      // Numbers whose sums and products are exact, so that their order does not matter.
      std::vector<double> values;
      for (int i = 0; i < 24; ++i) values.push_back(i % 5 == 0 ? 2 : i % 3 == 0 ? 0 : 1);
      const Array numbers = array_of(type, values, {2, 3, 4});
      const Array with_nan = hard(type, {2, 3, 4});
      const bool orders = row.kernel != kernels::Fold::k_sum && row.kernel != kernels::Fold::k_prod;
      for (const Array& a : {numbers, orders ? with_nan : numbers, mask(numbers)}) {
        // MLX takes masks for sums as numbers; extremes of them nobody asks for.
        for (const auto& given : axes) {
          for (const bool keep : {false, true}) {
            const Ints axes_of_call(given);
            const Array ours = host::reduce(row.kernel, a, axes_of_call, keep);
            ASSERT_FALSE(ours.empty());
            const Array theirs = by_mlx([&] { return row.function(a, axes_of_call, keep); });
            // MLX 0.31 takes a float's bits for its truth, -0.0 among them; ops give it masks.
            const bool truth =
                row.kernel == kernels::Fold::k_all || row.kernel == kernels::Fold::k_any;
            if (truth && is_float(type) && !a.is_bool()) continue;
            EXPECT_TRUE(same(ours, theirs)) << row.name << " of " << name(type);
          }
        }
      }
    }
  }
}

TEST(HostKernels, PositionsOfExtremesAreMlxs) {
  for (const DType type : kWithHalves) {
    const Array a = array_of(type, {3, 1, 3, 2, 1, 5, 5, 0, 0, 7, 7, 2}, {2, 3, 2});
    for (const int axis : {0, 1, 2, -1}) {
      for (const bool keep : {false, true}) {
        EXPECT_TRUE(same(host::arg_reduce(host::Arg::k_argmax, a, axis, keep),
                         by_mlx([&] { return argmax(a, axis, keep); })));
        EXPECT_TRUE(same(host::arg_reduce(host::Arg::k_argmin, a, axis, keep),
                         by_mlx([&] { return argmin(a, axis, keep); })));
      }
    }
  }
}

struct ScanRow {
  const char* name;
  host::Scan kernel;
  Array (*function)(const Array&, int, bool, bool);
};
const ScanRow kScan[] = {
#define MLXC_SCAN(name) {#name, host::Scan::k_##name, &name},
#include "mlxc/functions.def"
};

TEST(HostKernels, RunningFoldsAreMlxs) {
  for (const ScanRow& row : kScan) {
    for (const DType type : kTypes) {
      const Array a = array_of(type, {3, 1, 2, 2, 1, 5, 1, 0, 4, 2, 7, 1}, {2, 3, 2});
      for (const int axis : {0, 1, 2, -2}) {
        for (const bool reverse : {false, true}) {
          for (const bool inclusive : {false, true}) {
            const Array ours = host::scan(row.kernel, a, axis, reverse, inclusive);
            ASSERT_FALSE(ours.empty());
            EXPECT_TRUE(
                same(ours, by_mlx([&] { return row.function(a, axis, reverse, inclusive); })))
                << row.name << " of " << name(type) << " along " << axis << reverse << inclusive;
          }
        }
      }
    }
  }
  const Array with_nan = array_of(DType::f32, {1, kNaN, 0, 5}, {4});
  const Array expected = array_of(DType::f32, {1, kNaN, kNaN, kNaN}, {4});
  for (const host::Scan kernel : {host::Scan::k_cummax, host::Scan::k_cummin})
    EXPECT_TRUE(same(host::scan(kernel, with_nan, 0, false, true), expected));
}

TEST(HostKernels, SortsAreMlxs) {
  for (const DType type : kWithHalves) {
    const Array a = hard(type, {2, 8, 2});
    for (const int axis : {0, 1, -1}) {
      EXPECT_TRUE(
          same(host::sort(host::Sort::k_sort, a, axis), by_mlx([&] { return sort(a, axis); })))
          << name(type);
      EXPECT_TRUE(same(host::sort(host::Sort::k_argsort, a, axis),
                       by_mlx([&] { return argsort(a, axis); })))
          << name(type);
    }
  }
}

// All types whose elements are only moved.
const std::array kMoved = {DType::u8, DType::s16, DType::f16, DType::bf16, DType::f32, DType::c64};

TEST(HostKernels, ShapesChangeAsInMlx) {
  for (const DType type : kMoved) {
    const Array a = hard(type, {2, 1, 3});
    const auto check = [&](host::Shaped kernel, Array (*function)(const Array&, const Ints&),
                           const Ints& numbers) {
      EXPECT_TRUE(
          same(host::shaped(kernel, a, numbers), by_mlx([&] { return function(a, numbers); })));
    };
    check(host::Shaped::k_reshape, reshape, {3, 2});
    check(host::Shaped::k_reshape, reshape, {-1});
    check(host::Shaped::k_reshape, reshape, {1, -1, 2});
    check(host::Shaped::k_squeeze_axes, squeeze_axes, {1});
    check(host::Shaped::k_squeeze_axes, squeeze_axes, {-2});
    check(host::Shaped::k_expand_dims_axes, expand_dims_axes, {0, 3});
    check(host::Shaped::k_expand_dims_axes, expand_dims_axes, {-1});
    check(host::Shaped::k_transpose_axes, transpose_axes, {2, 0, 1});
    check(host::Shaped::k_broadcast_to, broadcast_to, {4, 2, 5, 3});
    check(host::Shaped::k_broadcast_to, broadcast_to, {2, 1, 3});
  }
}

TEST(HostKernels, SlicesAreMlxs) {
  struct Case {
    Shape start, stop, strides;
  };
  const Case cases[] = {{{0, 0}, {4, 5}, {1, 1}},     {{1, 2}, {3, 5}, {1, 2}},
                        {{3, 4}, {-5, -6}, {-1, -1}}, {{0, 4}, {4, 0}, {3, -2}},
                        {{-2, -1}, {4, 5}, {1, 1}},   {{0, 1}, {4, 5}, {INT_MAX, INT_MAX}}};
  for (const DType type : kMoved) {
    const Array a = hard(type, {4, 5});
    for (const Case& row : cases) {
      const Array ours = host::slice(a, row.start, row.stop, row.strides);
      ASSERT_FALSE(ours.empty());
      const Array theirs = by_mlx([&] { return slice(a, row.start, row.stop, row.strides); });
      EXPECT_TRUE(same(ours, theirs)) << name(type) << " from " << to_string(row.start);
      // MLX multiplies strides in 32 bits when it writes.
      if (row.strides[0] == INT_MAX) continue;
      const Array part = hard(type, std::vector<int>(ours.shape().begin(), ours.shape().end()));
      EXPECT_TRUE(same(host::slice_update(a, part, row.start, row.stop, row.strides), by_mlx([&] {
                         return slice_update(a, part, row.start, row.stop, row.strides);
                       })))
          << name(type) << " from " << to_string(row.start);
    }
    EXPECT_TRUE(host::slice(a, {2, 2}, {2, 5}, {1, 1}).empty()) << "without elements";
  }
}

TEST(HostKernels, PartsAreJoinedAsInMlx) {
  for (const DType type : kMoved) {
    const std::array parts = {hard(type, {2, 1, 3}), hard(type, {2, 4, 3}), hard(type, {2, 2, 3})};
    for (const int axis : {1, -2})
      EXPECT_TRUE(
          same(host::concatenate(parts, axis), by_mlx([&] { return concatenate(parts, axis); })));
    const std::array equals = {parts[1], parts[1]};
    for (const int axis : {0, 1, 3, -1})
      EXPECT_TRUE(same(host::stack(equals, axis), by_mlx([&] { return stack(equals, axis); })));
  }
}

TEST(HostKernels, ElementsArePickedAsInMlx) {
  for (const DType type : kMoved) {
    const Array a = hard(type, {2, 5, 3});
    for (const DType index_type : {DType::u8, DType::s32, DType::u32, DType::s64}) {
      const Array at = array_of(index_type, {1, 0, 1, 1}, {2, 2});
      const Array along = array_of(index_type, {4, 0, 2, 1, 1, 3}, {2, 1, 3});
      for (const int axis : {0, 1, 2, -2}) {
        EXPECT_TRUE(same(host::take(a, at, axis), by_mlx([&] { return take(a, at, axis); })));
      }
      EXPECT_TRUE(same(host::take_along_axis(a, along, 1),
                       by_mlx([&] { return take_along_axis(a, along, 1); })));
    }
    for (const double outside : {-1.0, 5.0}) {
      const Array at = array_of(DType::s32, {0, outside}, {2});
      EXPECT_TRUE(host::take(a, at, 1).empty());
      EXPECT_TRUE(host::take_along_axis(hard(type, {5}), at, 0).empty());
    }
  }
}

TEST(HostKernels, ElementsArePutAsInMlx) {
  for (const DType type : kWithHalves) {
    const Array a = hard(type, {2, 5, 3});
    const Array at = array_of(DType::s32, {4, 0, 2, 1, 1, 3}, {2, 1, 3});
    const Array values = hard(type, {2, 1, 3});
    EXPECT_TRUE(same(host::put_along_axis(a, at, values, 1),
                     by_mlx([&] { return put_along_axis(a, at, values, 1); })));
  }
  for (const DType type : kTypes) {
    const Array twice = array_of(DType::s32, {4, 4, 2, 0}, {4});
    const Array flat = hard(type, {5});
    const Array four = array_of(type, {1, 2, 3, 4}, {4});
    EXPECT_TRUE(same(host::scatter_add_axis(flat, twice, four, 0),
                     by_mlx([&] { return scatter_add_axis(flat, twice, four, 0); })))
        << name(type);
  }
}

TEST(HostKernels, PaddingIsMlxs) {
  for (const DType type : kMoved) {
    const Array a = hard(type, {2, 3});
    const Array value = hard(type, {});
    EXPECT_TRUE(same(host::pad(a, {0, 1}, {1, 0}, {0, 2}, value), by_mlx([&] {
                       return pad(a, {0, 1}, {1, 0}, {0, 2}, value);
                     })));
    EXPECT_TRUE(same(host::pad(a, {-1}, {2}, {2}, value),
                     by_mlx([&] { return pad(a, {-1}, {2}, {2}, value); })));
  }
}

TEST(HostKernels, DivisorsThatTrapHaveAnAnswer) {
  if (mlx_is_older_than(0, 32)) GTEST_SKIP() << "this MLX cuts quotients, and does so itself";
  const Array a = array_of(DType::s32, {7, INT_MIN, -7}, {3});
  const Array b = array_of(DType::s32, {0, -1, 2}, {3});
  EXPECT_TRUE(same(at_once([&] { return floor_divide(a, b); }),
                   array_of(DType::s32, {0, INT_MIN, -4}, {3})));
  EXPECT_TRUE(same(at_once([&] { return remainder(a, b); }), array_of(DType::s32, {0, 0, 1}, {3})));
}

TEST(HostKernels, SlicesAtComputedPlacesAreMlxs) {
  for (const DType type : kMoved) {
    const Array a = hard(type, {4, 5});
    const std::array rows = {array_of(DType::s32, {3, 0}, {2}), array_of(DType::s32, {1, 2}, {2})};
    EXPECT_TRUE(same(host::gather(a, rows, {0, 1}, {1, 2}), by_mlx([&] {
                       return gather(a, rows, {0, 1}, {1, 2});
                     })));
    EXPECT_TRUE(same(host::gather(a, {rows.data(), 1}, {0}, {1, 5}), by_mlx([&] {
                       return gather(a, {rows.data(), 1}, {0}, {1, 5});
                     })));
    const Array part = hard(type, {2, 3});
    const Array start = array_of(DType::s32, {2, 1}, {2});
    EXPECT_TRUE(same(host::slice_update_dynamic(a, part, start, {0, 1}), by_mlx([&] {
                       return slice_update_dynamic(a, part, start, {0, 1});
                     })));
    for (const double outside : {-1.0, 3.0}) {
      const Array beyond = array_of(DType::s32, {outside, 0}, {2});
      EXPECT_TRUE(host::slice_update_dynamic(a, part, beyond, {0, 1}).empty()) << outside;
    }
    const std::array outside = {array_of(DType::s32, {0, 4}, {2})};
    EXPECT_TRUE(host::gather(a, outside, {0}, {1, 5}).empty());
  }
}

TEST(HostKernels, RandomBitsAreMlxs) {
  const Array key = array_of(DType::u32, {4'000'000'000, 7}, {2});
  for (const int width : {1, 2, 4}) {
    for (int count = 1; count < 20; ++count) {
      const Array ours = host::random_bits(key, {count}, width);
      ASSERT_FALSE(ours.empty());
      EXPECT_TRUE(same(ours, by_mlx([&] { return random_bits(key, {count}, width); })))
          << count << " of " << width << " bytes";
    }
  }
  EXPECT_TRUE(host::random_bits(key, {3, 0}, 4).empty()) << "nothing to draw";
  EXPECT_TRUE(host::random_bits(key, {1 << 20}, 4).empty()) << "too many";
}

TEST(HostKernels, ProductsAreMlxs) {
  const auto numbers = [](std::vector<int> shape, double step, DType type = DType::f32) {
    std::vector<double> values;
    std::size_t count = 1;
    for (const int dim : shape) count *= static_cast<std::size_t>(dim);
    for (std::size_t i = 0; i < count; ++i) values.push_back(std::sin(step * (1.0 + i)));
    return array_of(type, values, std::move(shape));
  };
  const std::vector<std::pair<std::vector<int>, std::vector<int>>> shapes = {
      {{2, 3}, {3, 4}}, {{1, 16}, {16, 16}}, {{3, 2, 4}, {3, 4, 5}}, {{8, 1}, {1, 8}}};
  for (const auto& [left, right] : shapes) {
    for (const DType type : {DType::f32, DType::f64, DType::c64}) {
      const Array a = numbers(left, 0.7, type), b = numbers(right, 1.3, type);
      const Array ours = host::matmul(a, b);
      ASSERT_FALSE(ours.empty());
      EXPECT_TRUE(same(ours, by_mlx([&] { return matmul(a, b); }), 1));
    }
  }
  EXPECT_TRUE(host::matmul(numbers({64, 64}, 1), numbers({64, 64}, 1)).empty()) << "too many";
  EXPECT_TRUE(host::matmul(numbers({2, 3}, 1), numbers({2, 3}, 1)).empty());
  EXPECT_TRUE(host::matmul(numbers({2, 2, 3}, 1), numbers({3, 3, 2}, 1)).empty());
}

TEST(HostKernels, ArraysFromNothingAreMlxs) {
  for (const DType type : kTypes) {
    EXPECT_TRUE(
        same(host::arange(0, 7, 1, to_mlx(type)), by_mlx([&] { return arange(0, 7, 1, type); })));
    EXPECT_TRUE(same(host::arange(10, 1, -2, to_mlx(type)),
                     by_mlx([&] { return arange(10, 1, -2, type); })));
    const Array value = array_of(DType::s32, {7}, {});
    const auto fill = [&] { return full({2, 3}, value, type); };
    EXPECT_TRUE(same(at_once(fill), by_mlx(fill)));
    EXPECT_TRUE(same(host::view(hard(type, {3}), to_mlx(type)), hard(type, {3})));
  }
}

TEST(HostKernels, WhatIsNotSmallIsLeftToMlx) {
  const int edge = static_cast<int>(HostBlock::kMostBytes / sizeof(float));
  const Array a = array_of(DType::f32, {1.0}, {1});
  EXPECT_FALSE(host::shaped(host::Shaped::k_broadcast_to, a, {edge}).empty());
  EXPECT_TRUE(host::shaped(host::Shaped::k_broadcast_to, a, {edge + 1}).empty());
  EXPECT_TRUE(host::full({edge, 1000}, a, MLX_FLOAT32).empty());
  EXPECT_TRUE(host::full({0, 1 << 30}, a, MLX_FLOAT32).empty());
  EXPECT_TRUE(host::arange(0, 1e18, 1, MLX_FLOAT32).empty());
  EXPECT_TRUE(host::shaped(host::Shaped::k_broadcast_to, a, {1, 1, 1, 1, 1, 1, 1, 1, 1}).empty());
}

TEST(HostKernels, FewElementsAreTakenFromArraysOfAnySize) {
  const Array large = by_mlx([] { return reshape(arange(0, 20000, 1, DType::f32), {200, 100}); });
  const std::vector<Array> points = {array_of(DType::s32, {7, 199}, {2}),
                                     array_of(DType::s32, {1, 98}, {2})};
  const auto few = [&] { return gather(large, points, {0, 1}, {1, 2}); };
  ASSERT_FALSE(at_once(few).empty());
  EXPECT_TRUE(same(at_once(few), by_mlx(few)));
  EXPECT_TRUE(host::gather(large, points, {0, 1}, {100, 50}).empty());
}

TEST(HostKernels, FewElementsThatAreNotInRowsArePutThere) {
  const StreamScope stream(Engine::process().stream(Device::kCpu));
  const Array columns = [] {
    const OnlyGraphsScope graphs(true);
    return transpose_axes(exp(array_of(DType::f32, {0, 1, 2, 3, 4, 5}, {2, 3})), {1, 0});
  }();
  Engine::process().run([&] { eval(ArrayVector(std::span(&columns, 1))); });
  ASSERT_FALSE(is_row_contiguous(columns));
  const Array rows = at_once([&] { return contiguous(columns); });
  ASSERT_FALSE(rows.empty());
  EXPECT_TRUE(same(rows, by_mlx([&] { return contiguous(columns); })));
}

TEST(HostKernels, WhatIsNotComputedIsLeftToMlx) {
  const StreamScope stream(Engine::process().stream(Device::kCpu));
  const Array pending = exp(array_of(DType::f32, {1.0}, {1}));
  ASSERT_FALSE(is_computed(pending));
  EXPECT_TRUE(at_once([&] { return negative(pending); }).empty());
  const AtOnceScope at_once(true);
  EXPECT_FALSE(is_computed(negative(pending)));
}

TEST(HostKernels, ArraysOfMlxThatAreComputedCount) {
  const Array computed = by_mlx([] { return exp(array_of(DType::f32, {0.0, 1.0}, {2})); });
  ASSERT_EQ(computed.block(), nullptr);
  const Array ours = at_once([&] { return add(computed, computed); });
  ASSERT_FALSE(ours.empty());
  EXPECT_TRUE(same(ours, by_mlx([&] { return add(computed, computed); })));
}

}  // namespace
}  // namespace mlxnx::mlxc
