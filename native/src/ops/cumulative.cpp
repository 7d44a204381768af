// Cumulative sum, product, minimum and maximum along an axis: Nx's blocks of these names.
#include <array>
#include <limits>

#include "mlxc/host_kernels.h"
#include "ops/axis_views.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

struct Scan {
  std::int64_t axis;
  bool reverse;
};

std::int64_t scanned_axis(const Call& call) {
  return normalise_axis(call, call.attr<std::int64_t>("axis"), call.shape(0));
}

Shape scanned_shape(const Call& call) {
  scanned_axis(call);
  return call.shape(0);
}

OutputTypes infer_cumulative_extreme(const Call& call) {
  require_order(call);
  return {{call.dtype(0), scanned_shape(call)}};
}

template <Array (*scan)(const Array&, int, bool, bool)>
Array whole_axis(const Array& array, const Shape&, const Scan& how) {
  return scan(array, static_cast<int>(how.axis), how.reverse, true);
}

// A longer sum is worth a second pass, which costs as much as the first: each serial step rounds.
constexpr std::int64_t kLong = 4096;
// Elements that are summed one after another then.
constexpr std::int64_t kScanRow = 32;

Array sum(const Array& array, const Shape& shape, const Scan& how);

// `array` with a zero in place of the first element along the axis, the last where it goes in
// reverse, and the others one place further.
Array shifted(const Array& array, const Shape& shape, const Scan& how) {
  const std::int64_t size = shape[static_cast<std::size_t>(how.axis)];
  const Array kept = slice_axis(array, shape, how.axis, how.reverse ? 1 : 0, size - 1);
  return mlxc::pad(kept, {how.axis}, {how.reverse ? 0 : 1}, {how.reverse ? 1 : 0},
                   mlxc::scalar(std::int64_t{0}, array.dtype()));
}

// Sums within rows, and adds to each the sum of the rows before it.
Array sum_in_rows(const Array& array, const Shape& shape, const Scan& how) {
  const auto at = static_cast<std::size_t>(how.axis);
  const int axis = static_cast<int>(how.axis);
  Shape split = shape;
  split[at] = shape[at] / kScanRow;
  split.insert(split.begin() + at + 1, kScanRow);
  const Array local = mlxc::cumsum(mlxc::reshape(array, split), axis + 1, how.reverse, true);
  const Array totals = slice_axis(local, split, axis + 1, how.reverse ? 0 : kScanRow - 1, 1);
  split[at + 1] = 1;
  const Array before = shifted(sum(totals, split, how), split, how);
  return mlxc::reshape(mlxc::add(local, before), shape);
}

Array sum(const Array& array, const Shape& shape, const Scan& how) {
  const auto at = static_cast<std::size_t>(how.axis);
  if (mlxc::AtOnceScope::is_open()) {
    Array sums = mlxc::host::scan(mlxc::host::Scan::k_cumsum, array, static_cast<int>(how.axis),
                                  how.reverse, true);
    if (!sums.empty()) return sums;
  }
  const bool exact = is_integer(array.dtype());
  if (exact || shape[at] < kLong) return whole_axis<mlxc::cumsum>(array, shape, how);
  const std::int64_t rest = shape[at] % kScanRow;
  if (rest == 0) return sum_in_rows(array, shape, how);
  Shape longer = shape;
  longer[at] += kScanRow - rest;
  const Array zero = mlxc::scalar(std::int64_t{0}, array.dtype());
  const Array filled = mlxc::pad(array, {how.axis}, {0}, {kScanRow - rest}, zero);
  return slice_axis(sum_in_rows(filled, longer, how), longer, how.axis, 0, shape[at]);
}

// MLX 0.31 forgets a NaN at the next number; in Nx it stays.
template <Array (*scan)(const Array&, int, bool, bool)>
Array extreme(const Array& array, const Shape& shape, const Scan& how) {
  const Array found = whole_axis<scan>(array, shape, how);
  if (!is_float(array.dtype())) return found;
  const Array seen_nan = whole_axis<mlxc::cummax>(mlxc::isnan(array), shape, how);
  return mlxc::where(seen_nan,
                     mlxc::scalar(std::numeric_limits<double>::quiet_NaN(), array.dtype()), found);
}

// MLX 0.31 divides by the axis's length and takes its stride for granted: nothing to scan must not
// reach it.
template <Array (*function)(const Array&, const Shape&, const Scan&)>
Array cumulative(const Call& call) {
  const Scan how = {scanned_axis(call), call.attr<bool>("reverse")};
  const Shape& shape = call.shape(0);
  const bool is_trivial =
      element_count(shape) == 0 || shape[static_cast<std::size_t>(how.axis)] == 1;
  if (is_trivial) return operand(call, 0);
  const bool half = call.dtype(0) == DType::f16 || call.dtype(0) == DType::bf16;
  return function(half ? operand_as(call, 0, DType::f32) : operand(call, 0), shape, how);
}

const std::array<AttrDef, 2> kCumulativeAttrs = {{
    {.name = "axis", .kind = AttrKind::kInt, .fallback = AttrValue(std::int64_t{0})},
    {.name = "reverse", .kind = AttrKind::kBool, .fallback = AttrValue(false)},
}};

OpDef block(std::string_view name, InferFn infer, EvalFn eval, std::string_view doc) {
  return {.name = name,
          .group = Group::kReduction,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = kCumulativeAttrs,
          .infer = infer,
          .eval = eval,
          .doc = doc};
}

constexpr InferFn kScanned = infer<scanned_shape, types::same>;

const std::array kCumulativeOps = {
    block("block:CumulativeSum", kScanned, cumulative<sum>,
          "Sum of all elements up to each one along an axis; integers wrap."),
    block("block:CumulativeProduct", kScanned, cumulative<whole_axis<mlxc::cumprod>>,
          "Product of all elements up to each one along an axis; integers wrap."),
    block("block:CumulativeMin", infer_cumulative_extreme, cumulative<extreme<mlxc::cummin>>,
          "Smallest element up to each one along an axis; NaN from the first NaN on."),
    block("block:CumulativeMax", infer_cumulative_extreme, cumulative<extreme<mlxc::cummax>>,
          "Largest element up to each one along an axis; NaN from the first NaN on."),
};

}  // namespace

std::span<const OpDef> cumulative_ops() { return kCumulativeOps; }

}  // namespace mlxnx::ops
