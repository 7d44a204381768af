// Loops, branches, functions of reductions, marks and calls of the host, mapped over examples.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mlxnx/error.h"
#include "mlxnx/jit.h"
#include "mlxnx/transforms.h"
#include "program/build_helpers.h"
#include "transforms/apply.h"
#include "transforms/op_cases.h"
#include "transforms/vmap_check.h"

namespace mlxnx::transforms {
namespace {

using program::f32;
using program::RegionBuilder;
using program::ValueId;
using testing::ElementsAre;
using Ids = std::vector<ValueId>;

struct Case {
  const char* name;
  const char* words;
  Tensors (*function)(const Tensors& in);
  bool has_gradient = true;
};
std::ostream& operator<<(std::ostream& out, const Case& value) { return out << value.name; }

// x to y = sin(x) * a, n times.
Tensors iterated(const Tensor& n, const Tensor& x, const Tensor& a) {
  return tracing::while_loop(
      {n, x}, [](const Tensors& state) { return state[0] > 0; },
      [&](const Tensors& state) {
        return Tensors{state[0] - 1, sin(state[1]) * a};
      });
}

const Case kCases[] = {
    {"loop", "s32=2 f64[2] f64", [](const Tensors& in) { return iterated(in[0], in[1], in[2]); }},
    {"loop_until_small", "f64[2]:1..2 f64:0.3..0.8",
     [](const Tensors& in) {
       return tracing::while_loop(
           {in[0], Tensor(0)}, [](const Tensors& state) { return sum(state[0]) > 0.5; },
           [&](const Tensors& state) {
             return Tensors{state[0] * in[1], state[1] + 1};
           });
     }},
    {"loop_over_rows", "f64[3,2] s32=2",
     [](const Tensors& in) {
       return tracing::while_loop(
           {in[1], sum(in[0]) * 0.0}, [](const Tensors& state) { return state[0] >= 0; },
           [&](const Tensors& state) {
             const Tensor row = slice_along_axis(in[0], state[0], 1);
             return Tensors{state[0] - 1, state[1] * 0.5 + sum(row * row)};
           });
     }},
    {"loop_in_loop", "s32=3 f64[2] f64",
     [](const Tensors& in) {
       return tracing::while_loop(
           {in[0], in[1]}, [](const Tensors& state) { return state[0] > 0; },
           [&](const Tensors& state) {
             return Tensors{state[0] - 1, iterated(state[0], state[1], in[2])[1]};
           });
     }},
    {"branch_in_loop", "s32=3 f64 f64",
     [](const Tensors& in) {
       return tracing::while_loop(
           {in[0], in[1]}, [](const Tensors& state) { return state[0] > 0; },
           [&](const Tensors& state) {
             return Tensors{
                 state[0] - 1,
                 tracing::cond(
                     remainder(state[0], 2) == 0, [&] { return Tensors{sin(state[1]) * in[2]}; },
                     [&] { return Tensors{state[1] * state[1] - in[2]}; })[0]};
           });
     }},
    {"loop_in_branch", "s32=2 f64 f64",
     [](const Tensors& in) {
       return tracing::cond(
           in[1] > 0.0, [&] { return iterated(in[0], in[1], in[2]); },
           [&] {
             return Tensors{in[0] * 2, in[2] - in[1]};
           });
     }},
    {"branches", "u8=1 f64 f64[2]",
     [](const Tensors& in) {
       return tracing::cond(
           in[0],
           [&] {
             return Tensors{exp(in[2]) * in[1], in[1]};
           },
           [&] {
             return tracing::cond(
                 in[1] > 0.5,
                 [&] {
                   return Tensors{in[2], in[1] * 3.0};
                 },
                 [&] {
                   return Tensors{in[2] * in[2], Tensor(Number(1.0), DType::f64)};
                 });
           });
     }},
    {"reduce", "f64[2,3] f64 f64",
     [](const Tensors& in) {
       return Tensors{reduce(in[0], in[1],
                             [&](const Tensor& x, const Tensor& all) { return all * in[2] + x; },
                             {.axes = Axes{1}})};
     },
     false},
    {"reduce_scalar", "f64 f64 f64",
     [](const Tensors& in) {
       return Tensors{reduce(in[0], in[1],
                             [&](const Tensor& x, const Tensor& all) { return all * in[2] + x; })};
     },
     false},
    {"reduce_along_no_axis", "f64[3] f64",
     [](const Tensors& in) {
       return Tensors{reduce(in[0], in[1],
                             [](const Tensor& x, const Tensor& all) { return all * 2.0 + x; },
                             {.axes = Axes{}})};
     },
     false},
    {"reduce_scalar_along_no_axis", "f64 f64",
     [](const Tensors& in) {
       return Tensors{reduce(in[0], in[1],
                             [](const Tensor& x, const Tensor& all) { return all * 2.0 + x; },
                             {.axes = Axes{}})};
     },
     false},
    {"window_reduce", "f64[4] f64 f64",
     [](const Tensors& in) {
       return Tensors{window_reduce(
           in[0], in[1], {2}, [&](const Tensor& x, const Tensor& all) { return all * in[2] + x; },
           {.padding = std::vector<EdgePadding>{{1, 0}}})};
     },
     false},
    {"stop_gradient", "f64[2] f64",
     [](const Tensors& in) { return Tensors{in[0] * stop_gradient(in[0] * in[1])}; }},
    {"checkpoint", "f64[2] f64",
     [](const Tensors& in) {
       return Tensors{checkpoint([&](const Tensor& x) { return exp(x) * in[1]; })(in[0])};
     }},
    {"custom_vjp", "f64[2] f64[2]",
     [](const Tensors& in) {
       const auto own = custom_vjp([](const Tensor& x) { return x * x; },
                                   [](const Tensor& g, const auto& args, const Tensor& y) {
                                     return std::tuple(g * (sum(std::get<0>(args)) * y + 7.0));
                                   });
       return Tensors{own(in[0]) * in[1]};
     }},
};

class MappedControl : public testing::TestWithParam<Case> {
 protected:
  Subject at = subject(operands_of(GetParam().words), GetParam().function);
};

TEST_P(MappedControl, AnswersWhatTheLoopDoes) {
  for (const Flags& is_mapped : choices(at.point.size())) {
    const Tensors inputs = of_examples(GetParam().words, is_mapped, 4);
    check_vmap(at.function, inputs, in_front(is_mapped, 4), 1e-12);
  }
  check_mapped_again(at.function, GetParam().words);
}

TEST_P(MappedControl, HasItsGradients) {
  if (!GetParam().has_gradient) {
    const RegionPtr mapped =
        vmap(*at.function, in_front(Flags(at.point.size(), true), 3).in_axes, 3);
    EXPECT_THROW(vjp(*mapped, at.wrt), UnsupportedError);
    return;
  }
  for (const Tape tape : {Tape::kAll, Tape::kSqrt, Tape::kRecompute})
    check_mapped_gradients(at, GetParam().words, tape);
}

INSTANTIATE_TEST_SUITE_P(Table, MappedControl, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

// What the host is told, and doubles.
class Host : public program::CallbackHost {
 public:
  void start(program::CallbackRequest request, std::shared_ptr<program::Reply> reply) override {
    told += std::string(request.callback);
    shapes.push_back(request.values[0].shape());
    reply->answer(request.callback == "call" ? Tensors{request.values[0] * 2.0} : Tensors{});
  }
  std::string told;
  std::vector<Shape> shapes;
};

TEST(MappedCallbacks, HooksAreToldOnceOfAllExamplesAndCallsAreMadeForEach) {
  RegionBuilder builder;
  const ValueId x = builder.input("x", f32({2}));
  const ValueId shared = builder.input("shared", f32({2}));
  builder.hook("shared ", Ids{shared});
  const TensorType type = f32({2});
  const ValueId told = builder.hook("hook ", Ids{x})[0];
  const RegionPtr region =
      builder.region(Ids{builder.runtime_call("call", Ids{told}, std::span(&type, 1))[0]});
  Host host;
  const Mapping mapping{{1, std::nullopt}, 3};
  const Tensors inputs{tensor({{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}}), tensor({1.0, 2.0})};
  const Tensors results =
      program::run({*vmap(*region, mapping.in_axes, 3), {}}, inputs, {.host = &host});
  EXPECT_EQ(host.told, "shared hook callcallcall");
  EXPECT_THAT(host.shapes, ElementsAre(Shape{2}, Shape{3, 2}, Shape{2}, Shape{2}, Shape{2}));
  EXPECT_THAT(results[0].to_vector<float>(), ElementsAre(2, 8, 4, 10, 6, 12));
}

}  // namespace
}  // namespace mlxnx::transforms
