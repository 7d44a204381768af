// Closures and transformations in the bundled mlx-c.
#include <stdexcept>

#include "mlxc/bundled_test.h"

namespace mlxnx::bundled {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// What a closure of these tests carries; counts its calls and its end.
struct Payload {
  mlx_stream stream;
  int calls = 0;
  int ends = 0;
};

void end(void* payload) { ++static_cast<Payload*>(payload)->ends; }

// [x] -> [x * x]
int squares(mlx_vector_array* result, const mlx_vector_array inputs, void* payload) {
  Payload& self = *static_cast<Payload*>(payload);
  ++self.calls;
  Array x, y;
  if (mlx_vector_array_get(x.out(), inputs, 0) != 0) return 1;
  if (mlx_square(y.out(), x, self.stream) != 0) return 1;
  return mlx_vector_array_set_value(result, y);
}

class BundledClosureTest : public BundledTest {
 protected:
  mlx_closure square() { return mlx_closure_new_func_payload(squares, &payload_, end); }

  std::vector<float> apply(mlx_closure closure, float input) {
    const Array x(mlx_array_new_float(input));
    const VectorArray inputs(vector_of({x}));
    VectorArray outputs;
    EXPECT_EQ(mlx_closure_apply(outputs.out(), closure, inputs), 0);
    return first_values(outputs);
  }

  static std::vector<float> first_values(mlx_vector_array arrays) {
    Array first;
    EXPECT_EQ(mlx_vector_array_get(first.out(), arrays, 0), 0);
    return values_of(first);
  }

  Payload payload_{cpu_};
};

TEST_F(BundledClosureTest, PayloadIsDestroyedOnceWithTheLastCopy) {
  mlx_closure closure = square();
  mlx_closure copy = mlx_closure_new();
  ASSERT_EQ(mlx_closure_set(&copy, closure), 0);
  EXPECT_EQ(mlx_closure_free(closure), 0);
  EXPECT_EQ(payload_.ends, 0);
  EXPECT_THAT(apply(copy, 3), ElementsAre(9));
  EXPECT_EQ(mlx_closure_free(copy), 0);
  EXPECT_EQ(payload_.ends, 1);
  EXPECT_EQ(payload_.calls, 1);
}

TEST_F(BundledClosureTest, PayloadIsDestroyedWhenTheFunctionIsNull) {
  EXPECT_EQ(mlx_closure_new_func_payload(nullptr, &payload_, end).ctx, nullptr);
  EXPECT_THAT(error(), HasSubstr("function is a null pointer"));
  EXPECT_EQ(payload_.ends, 1);
  EXPECT_EQ(mlx_closure_new_func(nullptr).ctx, nullptr);
  EXPECT_THAT(error(), HasSubstr("function is a null pointer"));
}

TEST_F(BundledClosureTest, PayloadWithoutDestructorStaysTheCallers) {
  const Closure closure(mlx_closure_new_func_payload(squares, &payload_, nullptr));
  EXPECT_THAT(apply(closure, 2), ElementsAre(4));
}

TEST_F(BundledClosureTest, FailingFunctionGivesAnError) {
  const VectorArray none(mlx_vector_array_new());
  VectorArray outputs;
  const Closure fails(
      mlx_closure_new_func([](mlx_vector_array*, const mlx_vector_array) { return 7; }));
  EXPECT_NE(mlx_closure_apply(outputs.out(), fails, none), 0);
  EXPECT_THAT(error(), HasSubstr("function answered 7"));
  const Closure throws(mlx_closure_new_func([](mlx_vector_array*, const mlx_vector_array) -> int {
    throw std::runtime_error("thrown %s");
  }));
  EXPECT_NE(mlx_closure_apply(outputs.out(), throws, none), 0);
  EXPECT_THAT(error(), HasSubstr("thrown %s"));
  const Closure throws_int(
      mlx_closure_new_func([](mlx_vector_array*, const mlx_vector_array) -> int { throw 1; }));
  EXPECT_NE(mlx_closure_apply(outputs.out(), throws_int, none), 0);
  EXPECT_THAT(error(), HasSubstr("unknown type"));
  const Closure forgets(
      mlx_closure_new_func([](mlx_vector_array*, const mlx_vector_array) { return 0; }));
  EXPECT_NE(mlx_closure_apply(outputs.out(), forgets, none), 0);
  EXPECT_THAT(error(), HasSubstr("the mlx_vector_array is empty"));
}

TEST_F(BundledClosureTest, UnaryClosureTakesOneArray) {
  const Closure same(mlx_closure_new_unary(
      [](mlx_array* result, const mlx_array input) { return mlx_array_set(result, input); }));
  EXPECT_THAT(apply(same, 5), ElementsAre(5));
  const VectorArray none(mlx_vector_array_new());
  VectorArray outputs;
  EXPECT_NE(mlx_closure_apply(outputs.out(), same, none), 0);
  EXPECT_THAT(error(), HasSubstr("called with 0 arrays"));
}

TEST_F(BundledClosureTest, DerivativesOfASquare) {
  const Closure closure(square());
  const Array x(mlx_array_new_float(3)), one(mlx_array_new_float(1));
  const VectorArray primals(vector_of({x})), seeds(vector_of({one}));
  VectorArray values, derivatives;
  ASSERT_EQ(mlx_vjp(values.out(), derivatives.out(), closure, primals, seeds), 0);
  EXPECT_THAT(first_values(values), ElementsAre(9));
  EXPECT_THAT(first_values(derivatives), ElementsAre(6));
  ASSERT_EQ(mlx_jvp(values.out(), derivatives.out(), closure, primals, seeds), 0);
  EXPECT_THAT(first_values(derivatives), ElementsAre(6));

  ValueAndGrad value_and_grad, copy;
  const int argnum = 0;
  ASSERT_EQ(mlx_value_and_grad(value_and_grad.out(), closure, &argnum, 1), 0);
  ASSERT_EQ(mlx_closure_value_and_grad_set(copy.out(), value_and_grad), 0);
  ASSERT_EQ(mlx_closure_value_and_grad_apply(values.out(), derivatives.out(), copy, primals), 0);
  EXPECT_THAT(first_values(derivatives), ElementsAre(6));
  EXPECT_NE(mlx_closure_value_and_grad_apply(values.out(), nullptr, copy, primals), 0);
  EXPECT_THAT(error(), HasSubstr("result pointer is null"));

  Closure checkpointed;
  ASSERT_EQ(mlx_checkpoint(checkpointed.out(), closure), 0);
  ASSERT_EQ(mlx_vjp(values.out(), derivatives.out(), checkpointed, primals, seeds), 0);
  EXPECT_THAT(first_values(derivatives), ElementsAre(6));
}

TEST_F(BundledClosureTest, VmapTracesOneElementAndReplacesItByAll) {
  const Closure closure(square());
  const Array x(floats({1, 2, 3}, {3}));
  const VectorArray inputs(vector_of({x}));
  VectorArray stand_ins, traced, outputs;
  const int axis = 0;
  ASSERT_EQ(mlx_detail_vmap_trace(stand_ins.out(), traced.out(), closure, inputs, &axis, 1), 0);
  ASSERT_EQ(mlx_detail_vmap_replace(outputs.out(), inputs, stand_ins, traced, &axis, 1, &axis, 1),
            0);
  EXPECT_THAT(first_values(outputs), ElementsAre(1, 4, 9));
}

TEST_F(BundledClosureTest, CompiledClosureIsTracedOnce) {
  Closure compiled;
  {
    const Closure closure(square());
    ASSERT_EQ(mlx_compile(compiled.out(), closure, false), 0);
  }
  EXPECT_EQ(payload_.ends, 0);
  for (const float x : {1.0f, 2.0f, 3.0f}) EXPECT_THAT(apply(compiled, x), ElementsAre(x * x));
  EXPECT_EQ(payload_.calls, 1);
}

TEST_F(BundledClosureTest, ErasingACompiledClosureForgetsItsTrace) {
  const std::uintptr_t id = 12345;
  const std::uint64_t constants[] = {1, 2};
  Closure compiled;
  const Closure closure(square());
  ASSERT_EQ(mlx_detail_compile(compiled.out(), closure, id, false, constants, 2), 0);
  EXPECT_THAT(apply(compiled, 2), ElementsAre(4));
  EXPECT_THAT(apply(compiled, 3), ElementsAre(9));
  EXPECT_EQ(payload_.calls, 1);
  ASSERT_EQ(mlx_detail_compile_erase(id), 0);
  EXPECT_THAT(apply(compiled, 4), ElementsAre(16));
  EXPECT_EQ(payload_.calls, 2);
  ASSERT_EQ(mlx_detail_compile_clear_cache(), 0);
  EXPECT_THAT(apply(compiled, 5), ElementsAre(25));
  EXPECT_EQ(payload_.calls, 3);
  ASSERT_EQ(mlx_detail_compile_erase(id), 0);
}

TEST_F(BundledClosureTest, DisabledCompilationCallsTheFunctionEachTime) {
  ASSERT_EQ(mlx_disable_compile(), 0);
  Closure compiled;
  const Closure closure(square());
  ASSERT_EQ(mlx_compile(compiled.out(), closure, false), 0);
  apply(compiled, 1);
  apply(compiled, 2);
  EXPECT_EQ(payload_.calls, 2);
  ASSERT_EQ(mlx_enable_compile(), 0);
  ASSERT_EQ(mlx_set_compile_mode(MLX_COMPILE_MODE_NO_FUSE), 0);
  ASSERT_EQ(mlx_set_compile_mode(MLX_COMPILE_MODE_ENABLED), 0);
}

}  // namespace
}  // namespace mlxnx::bundled
