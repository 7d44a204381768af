// Program files: what is written is read back, and nothing else is.
#include "program/serializer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "mlxnx/error.h"
#include "program/build_helpers.h"
#include "program/printer.h"
#include "program/tensor_file.h"

namespace mlxnx::program {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// One of everything: constants of several kinds, loops, branches, functions, callbacks.
Program one_of_everything() {
  const Program loop = counted_loop(3, 0.5, {2});
  const Instruction& inner = loop.main.instructions.front();
  RegionBuilder fun;
  const ValueId e = fun.input("e", f32());
  const ValueId a = fun.input("a", f32());
  const auto larger = fun.region(std::vector{fun.op("max", {e, a})});
  RegionBuilder yes;
  const ValueId y = yes.input("y", f32({2}));
  const auto told = yes.hook("yes \"quoted\" é", std::vector{y});
  const auto first = yes.region(told);
  RegionBuilder no;
  const auto second = no.region(std::vector{no.input("n", f32({2}))});

  RegionBuilder builder;
  const ValueId i = builder.input("i", s32());
  const ValueId x = builder.input("x", f32({2}));
  const ValueId c = builder.constant(tensor({1.5, -2.5}));
  const auto state = builder.while_loop(std::vector{i, x}, {}, inner.regions[0], inner.regions[1]);
  const ValueId sum = builder.op("add", {state[1], c});
  const ValueId nan = number(builder, std::nan(""));
  const ValueId big =
      number(builder, Number(std::numeric_limits<std::uint64_t>::max()), DType::u64);
  const ValueId z =
      number(builder, Number(std::complex<double>(1, -std::numeric_limits<double>::infinity())),
             DType::c64);
  const ValueId part = builder.op("slice", {sum, i},
                                  {{"starts", std::vector<ops::Start>{ops::DynamicStart{1}}},
                                   {"lengths", Axes{1}},
                                   {"strides", Axes{1}}});
  const auto most = builder.ops("reduce", std::vector{sum, nan}, {}, {}, larger);
  const auto chosen = builder.cond(std::vector{i}, std::vector{sum}, {first, second});
  const TensorType type = f32({2});
  const auto called = builder.runtime_call("call", chosen, std::span(&type, 1));
  const std::vector<ValueId> outputs{called[0], most[0], part, big, z, c};
  return builder.program(outputs, {"a", "b", "c", "d", "e", "f"});
}

std::string refusal_of(std::span<const std::byte> bytes) {
  try {
    deserialize(bytes);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "taken";
}

std::vector<std::byte> with_program(const std::string& json) {
  return to_bytes({{{"format", "mlxnx.program"}, {"program", json}}, {}});
}

TEST(Serializer, ReadsBackWhatItWrote) {
  const Program program = one_of_everything();
  const std::vector<std::byte> bytes = serialize(program);
  const Program again = deserialize(bytes);
  EXPECT_EQ(to_text(again), to_text(program));
  EXPECT_EQ(again.output_names, program.output_names);
  EXPECT_EQ(serialize(again), bytes);
}

TEST(Serializer, KeepsWhatProgramsCompute) {
  const Program program = counted_loop(4, 2.0, {2});
  const auto outputs = run(deserialize(serialize(program)), {Tensor(0), tensor({1.0, 0.0})});
  EXPECT_THAT(outputs.at(1).to_vector<float>(), ElementsAre(31.0f, 15.0f));
}

TEST(Serializer, WritesATensorThatIsCapturedTwiceOnce) {
  const Tensor weights = tensor({1.0, 2.0, 3.0});
  RegionBuilder builder;
  const ValueId a = builder.constant(weights);
  const ValueId b = builder.constant(weights);
  const TensorFile file = tensor_file_from_bytes(serialize(builder.program({a, b})));
  EXPECT_EQ(file.tensors.size(), 1u);
}

TEST(Serializer, KeepsElementsOfEveryType) {
  TensorFile file;
  for (const DType type : kDTypes) {
    std::vector<std::byte> bytes(3 * size_bytes(type), std::byte{0x3c});
    file.tensors.emplace(name(type), Tensor::from_bytes(bytes, {type, {3}}));
  }
  const TensorFile again = tensor_file_from_bytes(to_bytes(file));
  for (const DType type : kDTypes) {
    const Tensor& tensor = again.tensors.at(std::string(name(type)));
    EXPECT_EQ(tensor.type(), (TensorType{type, {3}}));
    EXPECT_EQ(tensor.to_bytes(), file.tensors.at(std::string(name(type))).to_bytes());
  }
}

struct BadProgram {
  const char* name;
  std::string json;
  const char* complaint;
};

TEST(MalformedProgram, IsAFormatErrorThatSaysWhy) {
  const auto program = [](const std::string& inputs, const std::string& instructions,
                          const std::string& outputs) {
    return R"({"version":1,"inputs":[)" + inputs + R"(],"instructions":[)" + instructions +
           R"(],"outputs":[)" + outputs + "]}";
  };
  const std::string x = R"({"name":"x","type":"f32[2]"})";
  const auto op = [](const std::string& rest) { return R"({"op":"add",)" + rest + "}"; };
  std::string nest = R"({"op":"hook","callback":"h","outputs":[]})";
  for (int i = 0; i < 70; ++i) {
    nest = R"({"op":"hook","callback":"h","outputs":[],"regions":[)" +
           program("", nest, "").replace(1, 12, "") + "]}";
  }
  const std::vector<BadProgram> cases = {
      {"no JSON", "{", "parse error"},
      {"no version", "{}", "'version' not found"},
      {"another version", R"({"version":2})", "version 2 of the format is not known"},
      {"no type", program(R"({"name":"x","type":"f32[2"})", "", ""), "\"f32[2\" is no type"},
      {"unknown type", program(R"({"name":"x","type":"f31"})", "", ""), "f31"},
      {"huge dimension", program(R"({"name":"x","type":"f32[9999999999]"})", "", ""),
       "between 0 and 2147483647"},
      {"too many digits", program(R"({"name":"x","type":"f32[99999999999]"})", "", ""),
       "is no type"},
      {"unknown op", program(x, R"({"op":"frobnicate","outputs":[]})", ""), "frobnicate"},
      {"value from nowhere", program(x, op(R"("operands":[0,5],"outputs":["f32[2]"])"), ""),
       "%1 = add %0, %5: [add] reads %5"},
      {"negative value", program(x, op(R"("operands":[0,-1],"outputs":["f32[2]"])"), ""),
       "-1 is not an integer"},
      {"wrong output", program(x, op(R"("operands":[0,0],"outputs":["f32[3]"])"), ""),
       "were expected as (f32[3])"},
      {"unknown attribute",
       program(x, op(R"("operands":[0,0],"attrs":{"a":1},"outputs":["f32[2]"])"), ""),
       "unknown attribute a"},
      {"no such tensor",
       program("", R"({"op":"constant_tensor","tensor":"c","outputs":["f32"]})", ""),
       "there is no tensor c"},
      {"loop without regions",
       program(x, R"({"op":"while","operands":[0],"outputs":["f32[2]"]})", ""),
       "takes 2 regions, got 0"},
      {"branch without predicates",
       program(x, R"({"op":"cond","operands":[0],"predicates":4,"outputs":[]})", ""),
       "has 4 predicates among 1 operands"},
      {"deep nest", program("", nest, ""), "deep"},
  };
  for (const BadProgram& bad : cases)
    EXPECT_THAT(refusal_of(with_program(bad.json)), HasSubstr(bad.complaint)) << bad.name;
}

TEST(MalformedProgram, FilesThatAreNoProgramsAreRefused) {
  const std::vector<std::byte> good = serialize(one_of_everything());
  EXPECT_THAT(refusal_of({}), HasSubstr("0 bytes"));
  EXPECT_THAT(refusal_of(to_bytes({{}, {{"x", Tensor(1.0)}}})), HasSubstr("holds no program"));
  for (std::size_t size = 0; size < good.size(); size += 7)
    EXPECT_NE(refusal_of(std::span(good).first(size)), "taken") << size;
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  EXPECT_THAT(refusal_of(longer), HasSubstr("the tensors end at"));
  EXPECT_THROW(load("/no/such/100%s"), ArgumentError);
}

// Bytes changed at random: refused, or a program that keeps all rules.
TEST(MalformedProgram, MutationsAreRefusedOrVerify) {
  const std::vector<std::byte> good = serialize(one_of_everything());
  std::mt19937 dice(20260101);
  constexpr int kMutations = 4000;
  int refused = 0;
  for (int i = 0; i < kMutations; ++i) {
    std::vector<std::byte> bytes = good;
    const int changes = 1 + static_cast<int>(dice() % 3);
    for (int c = 0; c < changes; ++c) {
      const std::size_t at = dice() % bytes.size();
      constexpr std::string_view kTelling = "0123456789[]{},:\"-eE. truefalsn%";
      switch (dice() % 3) {
        case 0:
          bytes[at] = static_cast<std::byte>(dice() & 0xff);
          break;
        case 1:
          bytes[at] = static_cast<std::byte>(kTelling[dice() % kTelling.size()]);
          break;
        default:
          bytes[at] = bytes[dice() % bytes.size()];
      }
    }
    try {
      const Program program = deserialize(bytes);
      EXPECT_FALSE(to_text(program).empty());
      EXPECT_NO_THROW(serialize(program));
    } catch (const FormatError&) {
      ++refused;
    } catch (const UnsupportedError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, kMutations / 2);
}

}  // namespace
}  // namespace mlxnx::program
