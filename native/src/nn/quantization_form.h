// The options by which MLX says how weights are quantized, for functions and layers.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "mlxnx/quantize.h"
#include "nn/function.h"
#include "nn/options.h"

namespace mlxnx::nn {

inline const ops::AttrDef kModeOption{"mode", ops::AttrKind::kString,
                                      ops::AttrValue(std::string("affine"))};
inline const ops::AttrDef kGroupSizeOption{
    .name = "group_size", .kind = ops::AttrKind::kInt, .optional = true};
inline const ops::AttrDef kBitsOption{
    .name = "bits", .kind = ops::AttrKind::kInt, .optional = true};

template <>
struct EnumNames<QuantizationMode> {
  static constexpr std::array<std::string_view, 4> values = {"affine", "mxfp4", "nvfp4", "mxfp8"};
};

/// What these options say. Throws: ArgumentError for an unknown mode.
Quantization quantization_form(const FunctionCall& call);

}  // namespace mlxnx::nn
