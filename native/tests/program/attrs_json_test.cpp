// Attributes from JSON and back.
#include "program/attrs_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "mlxnx/error.h"

namespace mlxnx::program {
namespace {

using nlohmann::json;
using ops::AttrDef;
using ops::AttrKind;

const std::array kSchema = {
    AttrDef{"flag", AttrKind::kBool},     AttrDef{"count", AttrKind::kInt},
    AttrDef{"eps", AttrKind::kFloat},     AttrDef{"value", AttrKind::kNumber},
    AttrDef{"mode", AttrKind::kString},   AttrDef{"axes", AttrKind::kInts},
    AttrDef{"edges", AttrKind::kPairs},   AttrDef{"padding", AttrKind::kTriples},
    AttrDef{"starts", AttrKind::kStarts}, AttrDef{"scales", AttrKind::kFloats},
};

template <typename T>
T value_of(const char* name, const char* text) {
  return attrs_from_json({{name, json::parse(text)}}, kSchema, {}).get<T>(name);
}

TEST(AttrsJson, ReadsEachKind) {
  EXPECT_EQ(value_of<bool>("flag", "true"), true);
  EXPECT_EQ(value_of<std::int64_t>("count", "-3"), -3);
  EXPECT_EQ(value_of<double>("eps", "1e-10"), 1e-10);
  EXPECT_EQ(value_of<double>("eps", "1"), 1.0);
  EXPECT_EQ(value_of<std::string>("mode", "\"reduced\""), "reduced");
  EXPECT_EQ(value_of<Axes>("axes", "[0, -1]"), (Axes{0, -1}));
  EXPECT_EQ(value_of<Axes>("axes", "[]"), Axes{});
  EXPECT_EQ(value_of<std::vector<ops::Pair>>("edges", "[[1, 2], [3, 4]]"),
            (std::vector<ops::Pair>{{1, 2}, {3, 4}}));
  EXPECT_EQ(value_of<std::vector<ops::Triple>>("padding", "[[1, 2, 0]]"),
            (std::vector<ops::Triple>{{1, 2, 0}}));
  EXPECT_EQ(value_of<std::vector<ops::Start>>("starts", R"([1, {"operand": 2}])"),
            (std::vector<ops::Start>{std::int64_t{1}, ops::DynamicStart{2}}));
  EXPECT_EQ(value_of<std::vector<double>>("scales", R"([1, 0.5, "infinity"])"),
            (std::vector<double>{1, 0.5, INFINITY}));
}

TEST(AttrsJson, ReadsNumbersThatJsonHasNot) {
  EXPECT_EQ(value_of<Number>("value", "7"), Number(std::int64_t{7}));
  EXPECT_EQ(value_of<Number>("value", "18446744073709551615"), Number(~std::uint64_t{0}));
  EXPECT_EQ(value_of<Number>("value", "0.5"), Number(0.5));
  EXPECT_EQ(value_of<Number>("value", "\"neg_infinity\""), Number(-INFINITY));
  EXPECT_EQ(value_of<double>("eps", "\"infinity\""), INFINITY);
  EXPECT_TRUE(std::isnan(std::get<double>(value_of<Number>("value", "\"nan\""))));
  EXPECT_EQ(value_of<Number>("value", R"({"re": 1, "im": "infinity"})"),
            Number(std::complex<double>(1, INFINITY)));
}

TEST(AttrsJson, TakesNullAsNil) {
  const ops::Attrs attrs = attrs_from_json({{"axes", nullptr}}, kSchema, {});
  EXPECT_TRUE(std::holds_alternative<std::monostate>(*attrs.find("axes")));
}

TEST(AttrsJson, TakesTypeAndShapeFromTheOutput) {
  const std::array schema = {AttrDef{"type", AttrKind::kType}, AttrDef{"shape", AttrKind::kInts}};
  const ops::Attrs attrs = attrs_from_json(json::object(), schema, {DType::bf16, {2, 3}});
  EXPECT_EQ(attrs.get<DType>("type"), DType::bf16);
  EXPECT_EQ(attrs.get<Axes>("shape"), (Axes{2, 3}));
  const ops::Attrs given =
      attrs_from_json({{"shape", {4}}, {"type", "u8"}}, schema, {DType::bf16, {2, 3}});
  EXPECT_EQ(given.get<Axes>("shape"), Axes{4});
  EXPECT_EQ(given.get<DType>("type"), DType::u8);
}

TEST(AttrsJson, KeepsUnknownNamesForTheOpToRefuse) {
  const ops::Attrs attrs = attrs_from_json({{"speed", 3}}, kSchema, {});
  EXPECT_EQ(attrs.get<std::int64_t>("speed"), 3);
}

TEST(AttrsJson, RefusesValuesOfAnotherKind) {
  constexpr std::array<std::array<const char*, 2>, 10> kCases = {{{"flag", "3"},
                                                                  {"count", "1.5"},
                                                                  {"eps", "\"fast\""},
                                                                  {"value", "{}"},
                                                                  {"mode", "[]"},
                                                                  {"axes", "3"},
                                                                  {"axes", "[[1]]"},
                                                                  {"edges", "[[1]]"},
                                                                  {"starts", R"([{"at": 1}])"},
                                                                  {"scales", "[true]"}}};
  for (const auto& [name, text] : kCases) {
    try {
      attrs_from_json({{name, json::parse(text)}}, kSchema, {});
      ADD_FAILURE() << name << " " << text;
    } catch (const FormatError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(name));
    }
  }
}

}  // namespace
}  // namespace mlxnx::program
