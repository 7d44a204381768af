// mlx.random's functions under their names. Bounds and the like are operands, or numbers among the
// options.
#include <string>

#include "mlxnx/mlxnx.h"
#include "nn/function.h"

namespace mlxnx::nn {
namespace {

using ops::AttrDef;
using ops::AttrKind;

constexpr OperandDef kKey[] = {{"key"}};
constexpr OperandDef kKeyBounds[] = {{"key"}, {"low", true}, {"high", true}};
constexpr OperandDef kKeyLocScale[] = {{"key"}, {"loc", true}, {"scale", true}};
constexpr OperandDef kKeyP[] = {{"key"}, {"p", true}};
constexpr OperandDef kKeyLogits[] = {{"key"}, {"logits"}};
constexpr OperandDef kKeyLowerUpper[] = {{"key"}, {"lower", true}, {"upper", true}};
constexpr OperandDef kKeyX[] = {{"key"}, {"x", true}};
constexpr OperandDef kKeyMeanCov[] = {{"key"}, {"mean"}, {"cov"}};

const AttrDef kShape = {"shape", AttrKind::kInts, Axes{}};
const AttrDef kOptionalShape = {.name = "shape", .kind = AttrKind::kInts, .optional = true};
const AttrDef kFloatType = {"dtype", AttrKind::kType, DType::f32};

AttrDef number(std::string_view name, std::int64_t fallback) {
  return {name, AttrKind::kNumber, Number(fallback)};
}
AttrDef optional(std::string_view name, AttrKind kind) {
  return {.name = name, .kind = kind, .optional = true};
}

const AttrDef kSeed[] = {number("seed", 0)};
const AttrDef kNum[] = {{"num", AttrKind::kInt, std::int64_t{2}}};
const AttrDef kUniform[] = {number("low", 0), number("high", 1), kShape, kFloatType};
const AttrDef kNormal[] = {kShape, kFloatType, optional("loc", AttrKind::kNumber),
                           optional("scale", AttrKind::kNumber)};
const AttrDef kBernoulli[] = {{"p", AttrKind::kFloat, 0.5}, kOptionalShape};
const AttrDef kCategorical[] = {{"axis", AttrKind::kInt, std::int64_t{-1}},
                                kOptionalShape,
                                optional("num_samples", AttrKind::kInt)};
const AttrDef kRandint[] = {optional("low", AttrKind::kNumber),
                            optional("high", AttrKind::kNumber),
                            kShape,
                            {"dtype", AttrKind::kType, DType::s32}};
const AttrDef kTruncated[] = {optional("lower", AttrKind::kNumber),
                              optional("upper", AttrKind::kNumber), kOptionalShape, kFloatType};
const AttrDef kShapeAndType[] = {kShape, kFloatType};
const AttrDef kLaplace[] = {
    kShape, kFloatType, {"loc", AttrKind::kFloat, 0.0}, {"scale", AttrKind::kFloat, 1.0}};
const AttrDef kPermutation[] = {optional("x", AttrKind::kInt),
                                {"axis", AttrKind::kInt, std::int64_t{0}}};

std::optional<Tensor> if_given(const FunctionCall& call, std::size_t operand,
                               std::string_view option) {
  if (call.optional(operand)) return call.optional(operand);
  const auto* const number = call.option_if<Number>(option);
  return number != nullptr ? std::optional(Tensor(*number)) : std::nullopt;
}

// An operand, or the option that says the same.
Tensor given(const FunctionCall& call, std::size_t operand, std::string_view option) {
  const auto value = if_given(call, operand, option);
  return value ? *value : call[operand];
}

Shape shape(const FunctionCall& call) { return call.option<Axes>("shape"); }
std::optional<Shape> optional_shape(const FunctionCall& call) {
  const auto* const shape = call.option_if<Axes>("shape");
  return shape != nullptr ? std::optional<Shape>(*shape) : std::nullopt;
}
DType type(const FunctionCall& call) { return call.option<DType>("dtype"); }

std::uint64_t seed(const FunctionCall& call) {
  const Number& number = call.option<Number>("seed");
  if (const auto* const whole = std::get_if<std::uint64_t>(&number)) return *whole;
  if (const auto* const whole = std::get_if<std::int64_t>(&number))
    return static_cast<std::uint64_t>(*whole);
  throw TypeError("[key] a seed is an integer");
}

Tensor categorical(const FunctionCall& call) {
  random::CategoricalOptions options{.axis = call.option<std::int64_t>("axis"),
                                     .shape = optional_shape(call)};
  if (const auto* const count = call.option_if<std::int64_t>("num_samples"))
    options.num_samples = *count;
  return random::categorical(call[0], call[1], options);
}

Tensor permutation(const FunctionCall& call) {
  const auto* const count = call.option_if<std::int64_t>("x");
  if (count != nullptr && !call.optional(1)) return random::permutation(call[0], *count);
  return random::permutation(call[0], call[1], {.axis = call.option<std::int64_t>("axis")});
}

Tensor bernoulli(const FunctionCall& call) {
  const Tensor p = call.optional(1) ? *call.optional(1) : Tensor(call.option<double>("p"));
  // One probability alone says nothing about the shape.
  return random::bernoulli(call[0], p, optional_shape(call));
}

template <Tensor (*function)(const FunctionCall&)>
constexpr FunctionDef row(std::string_view name, std::span<const OperandDef> operands,
                          std::span<const AttrDef> options) {
  return {name, Family::kRandom, operands, options,
          [](const FunctionCall& call) { return std::vector{function(call)}; }};
}

Tensor key(const FunctionCall& call) { return random::key(seed(call)); }
Tensor split(const FunctionCall& call) {
  return random::split(call[0], call.option<std::int64_t>("num"));
}
Tensor uniform(const FunctionCall& call) {
  return random::uniform(
      call[0], shape(call),
      {.low = given(call, 1, "low"), .high = given(call, 2, "high"), .type = type(call)});
}
Tensor normal(const FunctionCall& call) {
  return random::normal(
      call[0], shape(call),
      {.loc = if_given(call, 1, "loc"), .scale = if_given(call, 2, "scale"), .type = type(call)});
}
Tensor randint(const FunctionCall& call) {
  return random::randint(call[0], given(call, 1, "low"), given(call, 2, "high"), shape(call),
                         {.type = type(call)});
}
Tensor truncated_normal(const FunctionCall& call) {
  return random::truncated_normal(call[0], given(call, 1, "lower"), given(call, 2, "upper"),
                                  {.shape = optional_shape(call), .type = type(call)});
}
Tensor gumbel(const FunctionCall& call) { return random::gumbel(call[0], shape(call), type(call)); }
Tensor laplace(const FunctionCall& call) {
  return random::laplace(call[0], shape(call),
                         {.loc = call.option<double>("loc"),
                          .scale = call.option<double>("scale"),
                          .type = type(call)});
}
Tensor multivariate_normal(const FunctionCall& call) {
  return random::multivariate_normal(call[0], call[1], call[2],
                                     {.shape = shape(call), .type = type(call)});
}

const FunctionDef kRandomFunctions[] = {
    row<&bernoulli>("bernoulli", kKeyP, kBernoulli),
    row<&categorical>("categorical", kKeyLogits, kCategorical),
    row<&gumbel>("gumbel", kKey, kShapeAndType),
    row<&key>("key", {}, kSeed),
    row<&laplace>("laplace", kKey, kLaplace),
    row<&multivariate_normal>("multivariate_normal", kKeyMeanCov, kShapeAndType),
    row<&normal>("normal", kKeyLocScale, kNormal),
    row<&permutation>("permutation", kKeyX, kPermutation),
    row<&randint>("randint", kKeyBounds, kRandint),
    row<&split>("split", kKey, kNum),
    row<&truncated_normal>("truncated_normal", kKeyLowerUpper, kTruncated),
    row<&uniform>("uniform", kKeyBounds, kUniform),
};

}  // namespace

std::span<const FunctionDef> random_functions() { return kRandomFunctions; }

}  // namespace mlxnx::nn
