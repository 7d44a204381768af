// Convolution, Nx.conv.
#include <algorithm>
#include <array>

#include "mlxc/graph.h"
#include "ops/conv_paths.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/shape_rules.h"
#include "ops/type_rules.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

OutputTypes infer_conv(const Call& call) {
  const ConvGeometry geometry = conv_geometry(call);
  return {{types::floating(call), geometry.output_shape()}};
}

// The type to compute in. Sums of products of integers are exact in f64 where f32 would lose them
// to cancellation; the result is rounded once.
DType compute_type(const Call& call) {
  const DType merged = types::merged(call);
  const bool on_cpu = mlxc::current_device() == Device::kCpu;
  if (is_integer(merged)) return on_cpu && bits(merged) > 8 ? DType::f64 : DType::f32;
  return on_cpu && bits(merged) == 16 ? DType::f32 : merged;
}

Array eval_conv(const Call& call) {
  const DType type = compute_type(call);
  const ConvGeometry geometry = conv_geometry(call);
  const bool has_nothing = element_count(call.shape(0)) == 0 || element_count(call.shape(1)) == 0 ||
                           element_count(call.output().shape) == 0 || has_no_products(geometry);
  if (has_nothing) return zeros({type, call.output().shape});
  const bool is_native =
      mlxc::current_device() == Device::kGpu && is_native_convolution(geometry, type);
  const auto convolve = is_native                               ? convolve_natively
                        : is_direct_convolution(geometry, type) ? convolve_directly
                        : has_phases(geometry)                  ? convolve_phases
                                                                : convolve_patches;
  return convolve(geometry, operand(call, 0), operand(call, 1), type);
}

const std::array<AttrDef, 9> kConvAttrs = {
    AttrDef{.name = "strides", .kind = AttrKind::kInts, .optional = true},
    AttrDef{.name = "padding", .kind = AttrKind::kPairs, .optional = true},
    AttrDef{.name = "input_dilation", .kind = AttrKind::kInts, .optional = true},
    AttrDef{.name = "kernel_dilation", .kind = AttrKind::kInts, .optional = true},
    AttrDef{"feature_group_size", AttrKind::kInt, AttrValue(std::int64_t{1})},
    AttrDef{"batch_group_size", AttrKind::kInt, AttrValue(std::int64_t{1})},
    AttrDef{.name = "input_permutation", .kind = AttrKind::kInts, .optional = true},
    AttrDef{.name = "kernel_permutation", .kind = AttrKind::kInts, .optional = true},
    AttrDef{.name = "output_permutation", .kind = AttrKind::kInts, .optional = true},
};

const std::array kConvOps = {
    OpDef{.name = "conv",
          .group = Group::kContraction,
          .min_operands = 2,
          .max_operands = 2,
          .attrs = kConvAttrs,
          .infer = infer_conv,
          .eval = eval_conv,
          .doc = "Convolution of a tensor with a kernel over any number of spatial axes, with "
                 "strides, padding, dilations and groups."},
};

}  // namespace

bool has_no_products(const ConvGeometry& geometry) {
  return std::any_of(geometry.spatial.begin(), geometry.spatial.end(), [](const auto& axis) {
    const SpatialAxis::Cut cut = axis.cut();
    return cut.begin >= cut.end;
  });
}

std::span<const OpDef> conv_ops() { return kConvOps; }

}  // namespace mlxnx::ops
