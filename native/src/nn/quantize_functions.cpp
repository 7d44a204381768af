// The rows of mx.quantize's family, under MLX's names.
#include <array>
#include <string>

#include "mlxnx/error.h"
#include "mlxnx/quantize.h"
#include "nn/function.h"
#include "nn/quantization_form.h"

namespace mlxnx::nn {
namespace {

using ops::AttrDef;
using ops::AttrKind;
using ops::AttrValue;

constexpr OperandDef kW[] = {{"w"}, {"global_scale", true}};
constexpr OperandDef kPacked[] = {{"w"}, {"scales"}, {"biases", true}, {"global_scale", true}};
constexpr OperandDef kProduct[] = {
    {"x"}, {"w"}, {"scales"}, {"biases", true}, {"global_scale", true}};
constexpr OperandDef kGather[] = {{"a"}, {"b"}, {"lhs_indices", true}, {"rhs_indices", true}};
constexpr OperandDef kGatherQuantized[] = {
    {"x"}, {"w"}, {"scales"}, {"biases", true}, {"lhs_indices", true}, {"rhs_indices", true}};
constexpr OperandDef kSegmented[] = {{"a"}, {"b"}, {"segments"}};

const AttrDef kTranspose{"transpose", AttrKind::kBool, AttrValue(true)};
const AttrDef kSorted{"sorted_indices", AttrKind::kBool, AttrValue(false)};
const AttrDef kForm[] = {kModeOption, kGroupSizeOption, kBitsOption};
const AttrDef kFormAndType[] = {kModeOption,
                                kGroupSizeOption,
                                kBitsOption,
                                {.name = "dtype", .kind = AttrKind::kType, .optional = true}};
const AttrDef kProductOptions[] = {kModeOption, kGroupSizeOption, kBitsOption, kTranspose};
const AttrDef kGatherOptions[] = {kSorted};
const AttrDef kGatherQuantizedOptions[] = {kModeOption, kGroupSizeOption, kBitsOption, kTranspose,
                                           kSorted};
const AttrDef kFp8Type[] = {{"dtype", AttrKind::kType, AttrValue(DType::bf16)}};

// The matrix whose parts are operands `first`, `first + 1`, ….
Quantized packed(const FunctionCall& call, std::size_t first) {
  return {call[first], call[first + 1], call.optional(first + 2), quantization_form(call)};
}

GatherOptions gather_options(const FunctionCall& call, std::size_t first) {
  return {call.optional(first), call.optional(first + 1), call.option<bool>("sorted_indices")};
}

std::vector<Tensor> quantize_row(const FunctionCall& call) {
  const Quantized w = quantize(call[0], quantization_form(call), call.optional(1));
  std::vector<Tensor> parts{w.weight, w.scales};
  if (w.biases) parts.push_back(*w.biases);
  return parts;
}

std::vector<Tensor> dequantize_row(const FunctionCall& call) {
  Quantized w = packed(call, 0);
  w.global_scale = call.optional(3);
  const auto* const type = call.option_if<DType>("dtype");
  return {dequantize(w, type != nullptr ? std::optional(*type) : std::nullopt)};
}

std::vector<Tensor> quantized_matmul_row(const FunctionCall& call) {
  Quantized w = packed(call, 1);
  w.global_scale = call.optional(4);
  return {quantized_dot(call[0], w, call.option<bool>("transpose"))};
}

std::vector<Tensor> gather_mm_row(const FunctionCall& call) {
  return {gather_dot(call[0], call[1], gather_options(call, 2))};
}

std::vector<Tensor> gather_qmm_row(const FunctionCall& call) {
  return {gather_quantized_dot(call[0], packed(call, 1), gather_options(call, 4),
                               call.option<bool>("transpose"))};
}

std::vector<Tensor> segmented_mm_row(const FunctionCall& call) {
  return {segmented_dot(call[0], call[1], call[2])};
}

std::vector<Tensor> to_fp8_row(const FunctionCall& call) { return {to_fp8(call[0])}; }

std::vector<Tensor> from_fp8_row(const FunctionCall& call) {
  return {from_fp8(call[0], call.option<DType>("dtype"))};
}

const FunctionDef kFunctions[] = {
    {"dequantize", Family::kQuantize, kPacked, kFormAndType, &dequantize_row},
    {"from_fp8", Family::kQuantize, kOnlyX, kFp8Type, &from_fp8_row},
    {"gather_mm", Family::kQuantize, kGather, kGatherOptions, &gather_mm_row},
    {"gather_qmm", Family::kQuantize, kGatherQuantized, kGatherQuantizedOptions, &gather_qmm_row},
    {"quantize", Family::kQuantize, kW, kForm, &quantize_row},
    {"quantized_matmul", Family::kQuantize, kProduct, kProductOptions, &quantized_matmul_row},
    {"segmented_mm", Family::kQuantize, kSegmented, {}, &segmented_mm_row},
    {"to_fp8", Family::kQuantize, kOnlyX, {}, &to_fp8_row},
};

}  // namespace

Quantization quantization_form(const FunctionCall& call) {
  Quantization form{.mode = quantization_mode(call.option<std::string>("mode"))};
  if (const auto* bits = call.option_if<std::int64_t>("bits")) form.bits = *bits;
  if (const auto* size = call.option_if<std::int64_t>("group_size")) form.group_size = *size;
  return form;
}

std::span<const FunctionDef> quantize_functions() { return kFunctions; }

}  // namespace mlxnx::nn
