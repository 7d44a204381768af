// Short words for building programs in tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mlxnx/literal.h"
#include "program/builder.h"
#include "program/executable.h"

namespace mlxnx::program {

inline TensorType f32(Shape shape = {}) { return {DType::f32, shape}; }
inline TensorType s32(Shape shape = {}) { return {DType::s32, shape}; }

inline ValueId number(RegionBuilder& builder, const Number& value, DType type) {
  return builder.op("constant", {}, {{"value", value}, {"type", type}});
}
inline ValueId number(RegionBuilder& builder, std::int64_t value) {
  return number(builder, Number(value), DType::s32);
}
inline ValueId number(RegionBuilder& builder, double value) {
  return number(builder, Number(value), DType::f32);
}

/// Outputs of `program` for `inputs`.
inline std::vector<Tensor> run(Program program, const std::vector<Tensor>& inputs,
                               const RunOptions& options = {},
                               ExecutableOptions how = {.fusion = Fusion::kNever}) {
  return Executable(std::move(program), how).run(inputs, options);
}

/// (i, x) -> (i + 1, x * factor + 1) while i < bound.
inline Program counted_loop(std::int64_t bound, double factor, const Shape& shape) {
  RegionBuilder condition;
  const ValueId ci = condition.input("i", s32());
  condition.input("x", f32(shape));
  const auto test =
      condition.region(std::vector{condition.op("less", {ci, number(condition, bound)})});
  RegionBuilder body;
  const ValueId i = body.input("i", s32());
  const ValueId x = body.input("x", f32(shape));
  const ValueId next = body.op("add", {i, number(body, std::int64_t{1})});
  const ValueId scaled = body.op("multiply", {x, number(body, factor)});
  const ValueId moved = body.op("add", {scaled, number(body, 1.0)});
  const auto step = body.region(std::vector{next, moved});
  RegionBuilder builder;
  const ValueId start = builder.input("i", s32());
  const ValueId value = builder.input("x", f32(shape));
  const auto ids = builder.while_loop(std::vector{start, value}, {}, test, step);
  return builder.program(ids);
}

}  // namespace mlxnx::program
