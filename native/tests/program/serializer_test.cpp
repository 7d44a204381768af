// Program files: what is written is read back, and nothing else is.
#include "program/serializer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <tuple>

#include "mlxnx/error.h"
#include "program/build_helpers.h"
#include "program/printer.h"
#include "program/tensor_file.h"

namespace mlxnx::program {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// One of everything: constants of several kinds, loops, branches, functions, callbacks, marks.
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
  RegionBuilder gradient;
  const ValueId g = gradient.input("g", f32({2}));
  const auto backward =
      gradient.region(std::vector{gradient.op("multiply", {g, gradient.input("", f32({2}))})});
  const auto marked =
      builder.custom_vjp(called, std::vector{sum}, builder.stop_gradient(chosen), backward);
  const auto refused = builder.custom_vjp(marked, {}, "a \"reason\"");
  const std::vector<ValueId> outputs{refused[0], most[0], part, big, z, c};
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

std::string text_of(const Program& program) {
  return tensor_file_from_bytes(serialize(program)).metadata.at("program");
}

TEST(Serializer, WritesTheOldestVersionThatKnowsTheProgram) {
  EXPECT_THAT(text_of(counted_loop(3, 0.5, {2})), HasSubstr("\"version\":1"));
  EXPECT_THAT(text_of(one_of_everything()), HasSubstr("\"version\":2"));
  // Also where the mark stands in a region.
  RegionBuilder branch;
  const auto stopped = branch.region(branch.stop_gradient(std::vector{branch.input("", f32())}));
  RegionBuilder builder;
  const std::vector<ValueId> x{builder.input("x", f32())};
  EXPECT_THAT(text_of(builder.program(builder.cond(x, x, {stopped, stopped}))),
              HasSubstr("\"version\":2"));
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

// The seconds of the processor that reading takes: a chain of ops, some of them on captured
// tensors.
double seconds_to_read(int length) {
  RegionBuilder builder;
  ValueId value = builder.input("x", f32({2}));
  for (int i = 0; i < length; ++i) {
    const bool captures = i % 8 == 0;
    value = builder.op("add", {value, captures ? builder.constant(tensor({1.0, 2.0})) : value});
  }
  const std::vector<std::byte> bytes = serialize(builder.program({value}));
  const std::clock_t start = std::clock();
  deserialize(bytes);
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

TEST(Serializer, ReadsInLinearTime) {
  const double quick = seconds_to_read(10'000);
  EXPECT_LT(seconds_to_read(80'000), 18 * quick) << "eight times the length";
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
      {"no JSON", "{", "[program] no JSON from byte 2 of 1 on"},
      {"huge number", R"({"version":1e999})", "[program] a number in it is larger than any type"},
      {"no version", "{}", "[program] {} has no version"},
      {"no object", "[1]", "[program] [1] is no object"},
      {"another version", R"({"version":3})", "version 3 of the format is not known"},
      {"a mark in an old version",
       program(x, R"({"op":"stop_gradient","operands":[0],"outputs":["f32[2]"]})", ""),
       "[program] instruction 0: version 1 of the format has no stop_gradient"},
      {"no list of inputs", R"({"version":1,"inputs":5})", "[program] inputs: 5 is no list"},
      {"no name", program(R"({"name":5,"type":"f32"})", "", ""), "[program] name: 5 is no text"},
      {"no op", program("", R"({"outputs":[]})", ""),
       R"([program] instruction 0: {"outputs":[]} has no op)"},
      {"no object of attributes", program(x, op(R"("attrs":[],"outputs":[])"), ""),
       "[program] instruction 0: [] are no attributes"},
      {"attribute of another kind",
       program(x, R"({"op":"sum","operands":[0],"attrs":{"keep_axes":"a"},"outputs":["f32"]})", ""),
       R"([program] instruction 0: the attribute keep_axes: "a" is not of the kind bool)"},
      {"no number of complex parts",
       program(x, R"({"op":"constant","attrs":{"value":{"re":1},"type":"c64"},"outputs":["c64"]})",
               ""),
       R"([program] instruction 0: the attribute value: {"re":1} has no im)"},
      {"in a region",
       program(x,
               R"({"op":"hook","callback":"h","outputs":[],"regions":[{"inputs":[],)"
               R"("instructions":[{"op":5}],"outputs":[]}]})",
               ""),
       "[program] instruction 0: instruction 0: op: 5 is no text"},
      {"no type", program(R"({"name":"x","type":"f32[2"})", "", ""), "\"f32[2\" is no type"},
      {"unknown type", program(R"({"name":"x","type":"f31"})", "", ""), "f31"},
      {"huge dimension", program(R"({"name":"x","type":"f32[9999999999]"})", "", ""),
       "axis 0 of f32[9999999999] is too long"},
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

// A file with this header and so many bytes of elements.
std::vector<std::byte> with_header(const std::string& header, std::size_t elements) {
  std::vector<std::byte> bytes(8 + header.size() + elements);
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

TEST(MalformedProgram, HeadersAreRefusedInWordsOfTheirOwn) {
  const auto entry = [](int first, int last) {
    return R"({"dtype":"U8","shape":[2],"data_offsets":[)" + std::to_string(first) + "," +
           std::to_string(last) + "]}";
  };
  const auto two = [&](int a, int b) {
    return R"({"a":)" + entry(a, a + 2) + R"(,"b":)" + entry(b, b + 2) + "}";
  };
  const std::vector<std::tuple<std::string, std::size_t, const char*>> cases = {
      {two(0, 2), 4, "[program] the file holds no program"},
      {two(2, 0), 4, "[program] the file holds no program"},
      {two(0, 0), 2,
       R"([program] tensor "b" begins at byte 0, and the tensors before it end at 2)"},
      {two(0, 1), 3,
       R"([program] tensor "b" begins at byte 1, and the tensors before it end at 2)"},
      {two(0, 3), 5,
       R"([program] tensor "b" begins at byte 3, and the tensors before it end at 2)"},
      {two(1, 3), 5,
       R"([program] tensor "a" begins at byte 1, and the tensors before it end at 0)"},
      {two(0, 2), 5, "[program] 5 bytes of elements, and the tensors end at 4"},
      {"{", 0, "[program] the header: no JSON from byte 2 on"},
      {"[]", 0, "[program] the header is a list"},
      {R"({"__metadata__":[]})", 0, R"([program] "__metadata__" is a list)"},
      {R"({"__metadata__":{"a":1}})", 0, R"([program] __metadata__, "a" is 1)"},
      {R"({"a":{"dtype":"U8"}})", 0,
       R"([program] tensor "a": it lacks dtype, shape or data_offsets)"},
      {R"({"a":{"dtype":"F8","shape":[],"data_offsets":[0,0]}})", 0,
       R"([program] tensor "a": element type F8 is not supported)"},
  };
  for (const auto& [header, elements, complaint] : cases)
    EXPECT_EQ(refusal_of(with_header(header, elements)), complaint) << header;
}

TEST(MalformedProgram, IsNamedWithItsFile) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("mlxnx_100%s_" + std::to_string(::getpid()) + ".mlxnx");
  std::ofstream(path) << "short";
  try {
    load(path);
    ADD_FAILURE() << "taken";
  } catch (const FormatError& error) {
    EXPECT_EQ(error.what(), "[program] " + path.string() + ": 5 bytes are no file");
  }
  std::filesystem::remove(path);
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
