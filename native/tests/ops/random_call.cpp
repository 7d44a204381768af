#include "ops/random_call.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "mlxc/graph.h"
#include "tensor/element.h"

namespace mlxnx::testing_support {
namespace {

using ops::AttrDef;
using ops::AttrKind;
using ops::Attrs;
using ops::AttrValue;

constexpr std::array<std::int64_t, 11> kSmallDims = {0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 7};
constexpr std::array<std::int64_t, 11> kLargeDims = {1, 1, 2, 3, 5, 20, 30, 40, 64, 90, 130};

constexpr std::array<std::int64_t, 14> kExtremeInts = {std::numeric_limits<std::int64_t>::min(),
                                                       std::numeric_limits<std::int64_t>::max(),
                                                       std::numeric_limits<std::int64_t>::min() + 1,
                                                       std::numeric_limits<std::int32_t>::min(),
                                                       std::numeric_limits<std::int32_t>::max(),
                                                       std::int64_t{1} << 31,
                                                       std::int64_t{1} << 32,
                                                       std::int64_t{1} << 40,
                                                       -(std::int64_t{1} << 40),
                                                       std::int64_t{1} << 62,
                                                       std::int64_t{1} << 20,
                                                       1000,
                                                       -1000,
                                                       -1};

const std::array<double, 14> kSpecialReals = {std::numeric_limits<double>::quiet_NaN(),
                                              std::numeric_limits<double>::infinity(),
                                              -std::numeric_limits<double>::infinity(),
                                              0.0,
                                              -0.0,
                                              1.0,
                                              -1.0,
                                              0.5,
                                              1e300,
                                              -1e300,
                                              1e-300,
                                              1e-310,
                                              3.5e38,
                                              65520.0};

const std::array<std::string, 13> kStrings = {
    "reduced", "complete", "none", "transpose", "conjugate", "low",   "high",
    "left",    "right",    "",     "%s%n%d",    "no such",   "\xff\n"};

// ---- shapes

std::int64_t random_dim(Dice& dice) { return dice.pick(dice.scale().dims); }

void bound(Shape& shape, const Dice& dice) {
  while (element_count(shape) > dice.scale().most_elements)
    *std::max_element(shape.begin(), shape.end()) = 1;
}

Shape random_shape(std::size_t rank, Dice& dice) {
  Shape shape;
  for (std::size_t i = 0; i < rank; ++i) shape.push_back(random_dim(dice));
  bound(shape, dice);
  return shape;
}

// A shape that has to do with `other`: the same, one that broadcasts with it, its matrix product's
// partner, a row of it, …
Shape related_shape(const Shape& other, Dice& dice) {
  Shape shape = other;
  switch (dice.below(7)) {
    case 0:
    case 1:
    case 2:
      return shape;
    case 3:
      for (std::int64_t& dim : shape) dim = dice.chance(40) ? 1 : dim;
      return shape;
    case 4:
      std::reverse(shape.begin(), shape.end());
      return shape;
    case 5:
      if (!shape.empty()) shape.pop_back();
      return shape;
    default:
      if (!shape.empty()) shape[dice.below(shape.size())] = random_dim(dice);
      bound(shape, dice);
      return shape;
  }
}

bool likes_square(const ops::OpDef& op) { return op.group == ops::Group::kLinalg; }

Shape first_shape(const ops::OpDef& op, Dice& dice) {
  if (likes_square(op) && dice.chance(70)) {
    Shape shape = random_shape(dice.below(3), dice);
    const std::int64_t side = random_dim(dice);
    shape.push_back(side);
    shape.push_back(side);
    bound(shape, dice);
    shape[shape.size() - 2] = shape.back();
    if (element_count(shape) > dice.scale().most_elements) return {side, side};
    return shape;
  }
  return random_shape(dice.below(6), dice);
}

// ---- elements

Number small_number(Dice& dice) { return dice.between(-4, 4); }

Number special_number(DType type, Dice& dice) {
  if (!is_integer(type)) return dice.pick(kSpecialReals);
  const int value_bits = bits(type);
  const std::uint64_t top = std::uint64_t{1} << (value_bits - 1);
  const std::array<std::uint64_t, 6> values = {0, 1, ~std::uint64_t{0}, top, top - 1, 2};
  return dice.pick(values);
}

}  // namespace

const Scale kSmall = {kSmallDims, 300};
const Scale kLarge = {kLargeDims, 40'000};

std::vector<std::byte> random_bytes(const TensorType& type, Dice& dice) {
  const auto count = static_cast<std::size_t>(element_count(type.shape));
  const std::size_t width = size_bytes(type.dtype);
  std::vector<std::byte> bytes(count * width);
  const std::size_t kind = dice.below(6);
  if (kind == 5) {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(dice.bits());
    return bytes;
  }
  const Number constant = dice.chance(50) ? Number(std::int64_t{0}) : small_number(dice);
  for (std::size_t i = 0; i < count; ++i) {
    Number number = constant;
    if (kind == 1) number = special_number(type.dtype, dice);
    if (kind == 2) number = dice.chance(20) ? special_number(type.dtype, dice) : small_number(dice);
    if (kind > 2) number = small_number(dice);
    tensors::encode(number, type.dtype, bytes.data() + i * width);
  }
  return bytes;
}

namespace {

RandomOperand random_operand(const TensorType& type, Dice& dice) {
  RandomOperand operand{type, Form::kKnown, random_bytes(type, dice)};
  constexpr std::array kForms = {Form::kOffset, Form::kTransposed, Form::kReversed, Form::kRepeated,
                                 Form::kMask};
  if (dice.chance(50)) operand.form = dice.pick(kForms);
  return operand;
}

// ---- attributes

// What plausible attribute values depend on: the first operand's shape.
struct Context {
  Shape shape;
  std::size_t rank() const { return shape.size(); }
};

Axes some_axes(const Context& context, Dice& dice) {
  std::vector<std::int64_t> all(context.rank());
  std::iota(all.begin(), all.end(), 0);
  for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[dice.below(i)]);
  const std::size_t count = dice.chance(50) ? all.size() : dice.below(all.size() + 1);
  Axes axes;
  for (std::size_t i = 0; i < count; ++i)
    axes.push_back(dice.chance(25) ? all[i] - static_cast<std::int64_t>(all.size()) : all[i]);
  return axes;
}

Axes small_ints(std::size_t count, std::int64_t low, std::int64_t high, Dice& dice) {
  Axes result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(dice.between(low, high));
  return result;
}

Axes plausible_ints(const Context& context, Dice& dice) {
  switch (dice.below(7)) {
    case 0:
    case 1:
      return some_axes(context, dice);
    case 2:
      return small_ints(context.rank(), 1, 3, dice);
    case 3:
      return context.shape;
    case 4:
      return related_shape(context.shape, dice);
    case 5:
      return {element_count(context.shape)};
    default:
      return small_ints(dice.below(6), -2, 4, dice);
  }
}

template <std::size_t N>
std::vector<std::array<std::int64_t, N>> plausible_tuples(const Context& context, Dice& dice) {
  std::vector<std::array<std::int64_t, N>> result(dice.chance(85) ? context.rank() : dice.below(6));
  const std::int64_t low = dice.chance(40) ? -2 : 0;
  for (auto& tuple : result) {
    for (std::size_t i = 0; i < N; ++i) tuple[i] = dice.between(i == 2 ? 0 : low, i == 2 ? 1 : 3);
  }
  return result;
}

std::vector<ops::Start> plausible_starts(const Context& context, Dice& dice) {
  std::vector<ops::Start> result;
  for (std::size_t i = 0; i < context.rank(); ++i) {
    if (dice.chance(30)) {
      result.emplace_back(ops::DynamicStart{dice.between(0, 3)});
    } else {
      result.emplace_back(dice.between(-2, 4));
    }
  }
  return result;
}

std::shared_ptr<const ops::Function> plausible_function(Dice& dice) {
  using mlxc::Array;
  switch (dice.below(6)) {
    case 0:
      return std::make_shared<ops::Function>(ops::Function{"maximum", mlxc::maximum});
    case 1:
      return std::make_shared<ops::Function>(
          ops::Function{"throws", [](const Array&, const Array&) -> Array {
                          throw ArgumentError("[reduce] thrown by the function");
                        }});
    case 2:
      return std::make_shared<ops::Function>(
          ops::Function{"other shape", [](const Array& element, const Array&) {
                          return mlxc::stack(std::array{element, element, element}, 0);
                        }});
    case 3:
      return std::make_shared<ops::Function>(ops::Function{
          "other type", [](const Array& element, const Array&) { return mlxc::asbool(element); }});
    default:
      return std::make_shared<ops::Function>(ops::Function{"add", mlxc::add});
  }
}

AttrValue plausible_value(const AttrDef& def, const Context& context, Dice& dice) {
  const auto rank = static_cast<std::int64_t>(context.rank());
  switch (def.kind) {
    case AttrKind::kNil:
      break;
    case AttrKind::kBool:
      return dice.chance(50);
    case AttrKind::kInt:
      return dice.chance(50) ? dice.between(-rank, std::max<std::int64_t>(rank - 1, 0))
                             : dice.between(-1, 6);
    case AttrKind::kFloat:
      return dice.chance(50) ? 1e-10 : dice.pick(kSpecialReals);
    case AttrKind::kNumber:
      if (dice.chance(30)) return AttrValue(Number(dice.pick(kSpecialReals)));
      if (dice.chance(20)) return AttrValue(Number(std::complex<double>(1.5, -2.0)));
      return AttrValue(Number(dice.between(-3, 300)));
    case AttrKind::kString:
      return dice.pick(kStrings);
    case AttrKind::kType:
      return dice.pick(kDTypes);
    case AttrKind::kInts:
      return plausible_ints(context, dice);
    case AttrKind::kPairs:
      return plausible_tuples<2>(context, dice);
    case AttrKind::kTriples:
      return plausible_tuples<3>(context, dice);
    case AttrKind::kStarts:
      return plausible_starts(context, dice);
    case AttrKind::kFunction:
      return plausible_function(dice);
    case AttrKind::kFloats:
      return std::vector<double>(dice.below(4), dice.pick(kSpecialReals));
  }
  return std::monostate{};
}

// One number somewhere in `value` replaced by an extreme one, or the list made longer or shorter.
struct Spoil {
  Dice& dice;
  std::int64_t extreme() { return dice.pick(kExtremeInts); }

  void operator()(std::monostate&) {}
  void operator()(bool& flag) { flag = !flag; }
  void operator()(std::int64_t& value) { value = extreme(); }
  void operator()(double& value) { value = dice.pick(kSpecialReals); }
  void operator()(Number& value) { value = Number(extreme()); }
  void operator()(std::string& text) {
    text = dice.chance(20) ? std::string(10'000, 'x') : dice.pick(kStrings);
  }
  void operator()(DType& type) { type = dice.pick(kDTypes); }
  void operator()(ops::Start& start) {
    if (dice.chance(50)) {
      start = ops::DynamicStart{extreme()};
    } else {
      start = extreme();
    }
  }
  template <std::size_t N>
  void operator()(std::array<std::int64_t, N>& tuple) {
    tuple[dice.below(N)] = extreme();
  }
  template <typename List>
  requires requires(List list) { list.push_back(list[0]); }
  void operator()(List& list) {
    const std::size_t way = dice.below(6);
    if (list.empty() || way == 0) {
      list.push_back(typename List::value_type{});
    } else if (way == 1) {
      list = List(list.begin(), list.end() - 1);
    } else if (way == 2) {
      list = List(dice.below(40), list[0]);
    } else {
      (*this)(list[dice.below(list.size())]);
    }
  }
  void operator()(std::shared_ptr<const ops::Function>& function) {
    if (dice.chance(50)) {
      function = nullptr;
    } else {
      function = std::make_shared<ops::Function>();
    }
  }
};

AttrValue value_of_any_kind(const Context& context, Dice& dice) {
  const auto kind = static_cast<AttrKind>(dice.below(std::variant_size_v<AttrValue>));
  return plausible_value({.name = "", .kind = kind}, context, dice);
}

void mutate_attrs(RandomCall& call, Dice& dice) {
  const Context context{call.operands.empty() ? Shape{2, 3} : call.operands[0].type.shape};
  const auto& schema = call.op->attrs;
  if (schema.empty() || dice.chance(8)) {
    call.attrs.set("unknown", value_of_any_kind(context, dice));
    return;
  }
  const AttrDef& def = dice.pick(schema);
  const std::size_t way = dice.below(10);
  if (way == 0) {
    Attrs fewer;
    for (const auto& [name, value] : call.attrs.entries()) {
      if (name != def.name) fewer.set(name, value);
    }
    call.attrs = fewer;
  } else if (way == 1) {
    call.attrs.set(def.name, value_of_any_kind(context, dice));
  } else if (way < 4) {
    call.attrs.set(def.name, plausible_value(def, context, dice));
  } else {
    const AttrValue* old = call.attrs.find(def.name);
    AttrValue value = old != nullptr ? *old : plausible_value(def, context, dice);
    Spoil spoil{dice};
    std::visit([&spoil](auto& held) { spoil(held); }, value);
    call.attrs.set(def.name, std::move(value));
  }
}

void mutate_operand(RandomOperand& operand, Dice& dice) {
  TensorType type = operand.type;
  switch (dice.below(5)) {
    case 0:
      type.dtype = dice.pick(kDTypes);
      break;
    case 1:
      if (!type.shape.empty()) type.shape[dice.below(type.shape.size())] = random_dim(dice);
      break;
    case 2:
      type.shape.push_back(random_dim(dice));
      break;
    case 3:
      type.shape = related_shape(type.shape, dice);
      break;
    default:
      break;
  }
  bound(type.shape, dice);
  operand = random_operand(type, dice);
}

std::size_t random_count(const ops::OpDef& op, Dice& dice) {
  const std::int64_t least = op.min_operands;
  const std::int64_t most = op.max_operands == ops::kVariadic ? least + 3 : op.max_operands;
  return static_cast<std::size_t>(dice.between(least, most));
}

}  // namespace

void mutate(RandomCall& call, Dice& dice) {
  if (dice.chance(20)) call.wanted = dice.pick(kDTypes);
  do {
    const std::size_t way = dice.below(20);
    if (way == 0 && !call.operands.empty()) {
      call.operands.pop_back();
    } else if (way == 1) {
      call.operands.push_back(random_operand({dice.pick(kDTypes), random_shape(2, dice)}, dice));
    } else if (way < 11 && !call.operands.empty()) {
      mutate_operand(call.operands[dice.below(call.operands.size())], dice);
    } else {
      mutate_attrs(call, dice);
    }
  } while (dice.chance(35));
}

namespace {

// Parts of quantized matrices that fit one another, and numbers of matrices, which chance alone
// would not bring about.
RandomCall random_quantized_call(const ops::OpDef& op, Dice& dice) {
  RandomCall call{&op, {}, {}};
  const std::string_view mode = dice.pick(std::array{"affine", "mxfp4", "nvfp4", "mxfp8"});
  const bool is_affine = mode == "affine";
  const std::int64_t size = mode == "nvfp4" ? 16 : dice.pick(std::array{32, 64});
  const std::int64_t bits = is_affine         ? dice.pick(std::array{2, 3, 4, 5, 6, 8})
                            : mode == "mxfp8" ? 8
                                              : 4;
  const std::int64_t group = is_affine ? size : mode == "nvfp4" ? 16 : 32;
  const std::int64_t groups = dice.between(0, 2), rows = dice.between(0, 3);
  const std::int64_t others = dice.between(0, 3), count = dice.between(0, 2);
  const DType type = dice.pick(std::array{DType::f32, DType::f16, DType::bf16, DType::f64});
  const bool is_gather = op.name.find("gather") != std::string_view::npos;
  const bool transpose = dice.chance(60);
  const Shape batch = is_gather || dice.chance(30) ? Shape{count} : Shape{};
  const auto matrix = [&](const Shape& before, std::int64_t high, std::int64_t wide) {
    Shape shape = before;
    shape.push_back(high);
    shape.push_back(wide);
    return shape;
  };
  const auto add = [&](DType of, const Shape& shape) {
    call.operands.push_back(random_operand({of, shape}, dice));
  };
  const bool is_dense = op.name == "fast:gather_dot";
  if (!is_dense) {
    call.attrs.set("mode", std::string(mode));
    if (is_affine || dice.chance(50)) {
      call.attrs.set("bits", bits);
      call.attrs.set("group_size", group);
    }
  }
  const std::int64_t length = groups * group;
  if (op.name == "fast:quantize") {
    add(type, matrix(batch, rows, length));
    return call;
  }
  const std::int64_t inner = is_dense || !transpose ? rows : length;
  if (op.name != "fast:dequantize") {
    const Shape left = dice.chance(40) ? Shape{dice.between(1, 2)} : is_gather ? Shape{2} : Shape{};
    add(type, matrix(left, others, inner));
  }
  if (is_dense) {
    add(type, matrix(batch, inner, dice.between(0, 3)));
  } else {
    add(DType::u32, matrix(batch, rows, length * bits / 32));
    add(is_affine ? type : DType::u8, matrix(batch, rows, groups));
    if (is_affine) add(type, matrix(batch, rows, groups));
    if (op.name != "fast:dequantize") call.attrs.set("transpose", transpose);
  }
  if (is_gather) {
    add(DType::s32, {2});
    if (dice.chance(50)) add(DType::u8, dice.chance(50) ? Shape{2} : Shape{3, 1});
  }
  return call;
}

}  // namespace

RandomCall random_call(const ops::OpDef& op, Dice& dice) {
  if (op.group == ops::Group::kQuantization && dice.chance(80)) {
    RandomCall call = random_quantized_call(op, dice);
    if (dice.chance(35)) mutate(call, dice);
    return call;
  }
  RandomCall call{&op, {}, {}};
  const std::size_t count = random_count(op, dice);
  const bool has_key = op.group == ops::Group::kRandom && dice.chance(80);
  const DType type = has_key ? DType::u32 : dice.pick(kDTypes);
  const Shape shape = has_key ? Shape{2} : first_shape(op, dice);
  const bool alike = dice.chance(60);
  for (std::size_t i = 0; i < count; ++i) {
    const Shape own = i == 0            ? shape
                      : dice.chance(75) ? related_shape(shape, dice)
                                        : random_shape(dice.below(6), dice);
    call.operands.push_back(random_operand({alike ? type : dice.pick(kDTypes), own}, dice));
  }
  const Context context{shape};
  for (const AttrDef& def : op.attrs) {
    const bool needed = !def.optional && !def.fallback;
    if (needed || dice.chance(60)) call.attrs.set(def.name, plausible_value(def, context, dice));
  }
  if (dice.chance(15)) call.wanted = dice.pick(kDTypes);
  if (dice.chance(35)) mutate(call, dice);
  return call;
}

}  // namespace mlxnx::testing_support
