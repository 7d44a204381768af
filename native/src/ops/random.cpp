// Random bits from a key and a counter: what every distribution in random.h is made of.
#include <array>

#include "ops/composed.h"
#include "ops/operands.h"
#include "ops/registry.h"

namespace mlxnx::ops {
namespace {

OutputTypes infer_random_bits(const Call& call) {
  if (call.type(0) != TensorType{DType::u32, {2}})
    call.shape_error("a key is u32[2], got " + to_string(call.type(0)));
  const DType type = call.attr<DType>("type");
  if (!is_unsigned(type) || type == DType::u64)
    call.type_error("bits are u8, u16 or u32, not " + std::string(name(type)));
  return {type, shape_attr(call)};
}

mlxc::Array eval_random_bits(const Call& call) {
  const std::size_t width = size_bytes(call.attr<DType>("type"));
  // MLX's CUDA (0.32.4) reads outside of a key that lies backwards.
  const mlxc::Array key = on_cpu() ? operand(call, 0) : mlxc::contiguous(operand(call, 0));
  return mlxc::random_bits(key, call.output().shape, static_cast<int>(width));
}

const std::array kRandomBitsAttrs = {
    AttrDef{.name = "shape", .kind = AttrKind::kInts},
    AttrDef{.name = "type", .kind = AttrKind::kType, .fallback = DType::u32}};

const std::array kRandomOps = {
    OpDef{.name = "random_bits",
          .group = Group::kRandom,
          .min_operands = 1,
          .max_operands = 1,
          .attrs = kRandomBitsAttrs,
          .infer = infer_random_bits,
          .eval = eval_random_bits,
          .doc = "Random bits, which depend on the key and on nothing else; those of MLX.",
          .compose = composed::random_bits},
};

}  // namespace

std::span<const OpDef> random_ops() { return kRandomOps; }

}  // namespace mlxnx::ops
