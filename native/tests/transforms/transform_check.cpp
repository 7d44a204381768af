#include "transforms/transform_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numeric>
#include <optional>

#include "mlxnx/error.h"
#include "mlxnx/ops/creation.h"
#include "mlxnx/ops/shape.h"
#include "ops/invoke.h"
#include "program/executable.h"
#include "program/verifier.h"
#include "tensor/element.h"
#include "transforms/apply.h"
#include "transforms/derivative_check.h"
#include "transforms/transforms.h"
#include "transforms/vmap_check.h"

namespace mlxnx::testing_support {
namespace {

using program::Region;
using transforms::RegionPtr;

std::vector<std::size_t> all_inputs(const Region& function) {
  std::vector<std::size_t> wrt(function.inputs.size());
  std::iota(wrt.begin(), wrt.end(), 0);
  return wrt;
}

// What a transform may throw: a derivative that there is not, or more memory than there is.
bool is_clear_refusal(const std::exception& error) {
  const std::string_view text = error.what();
  if (dynamic_cast<const UnsupportedError*>(&error) != nullptr) return text.starts_with('[');
  return dynamic_cast<const BackendError*>(&error) != nullptr &&
         text.find("memory limit") != std::string_view::npos;
}

// One transform of one function.
class Trial {
 public:
  Trial(std::string_view name, Running running) : name_(name), running_(running) {}

  // Makes the new function and runs it. Returns: its outputs; none without a run, or where it was
  // refused.
  template <typename Make>
  std::optional<std::vector<Tensor>> run(const Make& make, const std::vector<TensorType>& types,
                                         const std::vector<Tensor>& inputs) {
    try {
      const RegionPtr region = make();
      program::verify(*region);
      if (region->output_types() != types) {
        fault_ = "has outputs of other types than promised";
      } else if (running_ == Running::kOnce) {
        std::vector<Tensor> outputs =
            program::Executable({*region, {}}, {.fusion = program::Fusion::kNever}).run(inputs);
        for (const Tensor& output : outputs) output.to_bytes();
        return outputs;
      }
    } catch (const std::exception& error) {
      if (!is_clear_refusal(error)) fault_ = std::string("threw ") + error.what();
    }
    return std::nullopt;
  }
  // What is wrong, or nothing.
  std::string fault() const { return fault_.empty() ? "" : fmt::format("{} {}", name_, fault_); }

 private:
  std::string_view name_;
  Running running_;
  std::string fault_;
};

using Complex = std::complex<double>;

std::vector<Complex> elements(const Tensor& tensor) {
  std::vector<Complex> result;
  const std::vector<std::byte> bytes = tensor.to_bytes();
  for (std::size_t at = 0; at < bytes.size(); at += size_bytes(tensor.dtype())) {
    result.push_back(std::visit(
        [](auto value) {
          if constexpr (std::is_same_v<decltype(value), Complex>) {
            return value;
          } else {
            return Complex(static_cast<double>(value), 0);
          }
        },
        tensors::decode(tensor.dtype(), &bytes[at])));
  }
  return result;
}

// Small numbers that every type has, and that tell places apart.
Tensor direction(const TensorType& type) {
  const std::size_t step = size_bytes(type.dtype);
  std::vector<std::byte> bytes(static_cast<std::size_t>(element_count(type.shape)) * step);
  int at = 0;
  for (std::size_t place = 0; place < bytes.size(); place += step, ++at) {
    const double value = (at * 5 + 3) % 11 - 4;
    const Number number = is_complex(type.dtype) ? Number(Complex(value, at % 3)) : Number(value);
    tensors::encode(number, type.dtype, &bytes[place]);
  }
  return Tensor::from_bytes(bytes, type);
}

std::vector<Tensor> directions(const std::vector<TensorType>& values) {
  std::vector<Tensor> result;
  for (const TensorType& type : values) result.push_back(direction(program::cotangent_type(type)));
  return result;
}

bool holds_coarse_types(const Region& region) {
  const auto is_half = [](DType type) { return type == DType::f16 || type == DType::bf16; };
  for (const TensorType& type : region.value_types()) {
    if (is_half(type.dtype)) return true;
  }
  for (const program::Instruction& instruction : region.instructions) {
    for (const RegionPtr& nested : instruction.regions) {
      if (nested != nullptr && holds_coarse_types(*nested)) return true;
    }
  }
  return false;
}

bool holds_large_numbers(const std::vector<Tensor>& inputs) {
  constexpr double kLarge = 1000;
  const auto is_large = [](const Complex& value) { return !(std::abs(value) < kLarge); };
  return std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& input) {
    const std::vector<Complex> values = elements(input);
    return std::any_of(values.begin(), values.end(), is_large);
  });
}

// A factor of large numbers may be left without a digit.
bool is_factorisation(const ops::OpDef& op) { return op.group == ops::Group::kLinalg; }

// So may the slope of a norm, where one number is far larger than the others.
bool may_lose_digits(const ops::OpDef& op) {
  return is_factorisation(op) || op.group == ops::Group::kFast;
}

// Sums and products of large numbers overflow, or don't, by the order of their terms.
bool has_terms(const ops::OpDef& op) {
  using ops::Group;
  return op.group == Group::kReduction || op.group == Group::kWindow ||
         op.group == Group::kContraction || op.group == Group::kFft || op.group == Group::kFast ||
         is_factorisation(op);
}

bool calls_any(const Region& region, bool (*is_meant)(const ops::OpDef&)) {
  const auto& all = region.instructions;
  return std::any_of(all.begin(), all.end(), [&](const auto& instruction) {
    return instruction.op != nullptr && is_meant(*instruction.op);
  });
}

// The real part of the sum of products, and how large its terms are.
struct Pairing {
  double value = 0;
  double size = 0;
};
Pairing pairing(std::span<const Tensor> left, std::span<const Tensor> right) {
  Pairing result;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const std::vector<Complex> a = elements(left[i]), b = elements(right[i]);
    for (std::size_t k = 0; k < a.size(); ++k) {
      result.value += (a[k] * b[k]).real();
      result.size += std::abs(a[k] * b[k]);
    }
  }
  return result;
}

// Tangents paired with cotangents are the same on both sides of a function.
Verdict compared(const Pairing& forward, const Pairing& backward) {
  constexpr double kMostSure = 1e6;  // what is larger has lost its digits on the way
  const double size = 1 + forward.size + backward.size;
  if (!(size < kMostSure)) return {};
  if (std::abs(forward.value - backward.value) <= 1e-3 * size) return {"", true};
  return {fmt::format("tangents lead to {}, cotangents to {}", forward.value, backward.value),
          true};
}

bool is_large(const std::vector<TensorType>& types) {
  constexpr std::int64_t kMostElements = 100'000;
  return std::any_of(types.begin(), types.end(), [](const TensorType& type) {
    return element_count(type.shape) > kMostElements;
  });
}

template <typename T>
std::vector<T> joined(const std::vector<T>& first, const std::vector<T>& second) {
  std::vector<T> all = first;
  all.insert(all.end(), second.begin(), second.end());
  return all;
}

std::vector<TensorType> cotangent_types(std::vector<TensorType> types) {
  for (TensorType& type : types) type = program::cotangent_type(type);
  return types;
}

}  // namespace

Verdict judge_transforms(const Region& function, const std::vector<Tensor>& inputs,
                         Running running) {
  const std::vector<std::size_t> wrt = all_inputs(function);
  std::vector<TensorType> types;
  for (const program::Input& input : function.inputs) types.push_back(input.type);
  const std::vector<TensorType> outputs = function.output_types();
  if (is_large(types) || is_large(outputs)) running = Running::kNot;
  std::vector<Tensor> tangents, cotangents;
  if (running == Running::kOnce) {
    tangents = directions(types);
    cotangents = directions(outputs);
  }
  if (!outputs.empty()) {
    Trial gradient("grad", running);
    gradient.run([&] { return transforms::value_and_grad(function, wrt); },
                 joined(outputs, cotangent_types(types)), inputs);
    if (!gradient.fault().empty()) return {gradient.fault()};
  }
  Trial backward("vjp", running);
  const auto back =
      backward.run([&] { return transforms::vjp(function, wrt); },
                   joined(outputs, cotangent_types(types)), joined(inputs, cotangents));
  if (!backward.fault().empty()) return {backward.fault()};
  Trial forward("jvp", running);
  const auto there =
      forward.run([&] { return transforms::jvp(function, wrt); },
                  joined(outputs, cotangent_types(outputs)), joined(inputs, tangents));
  if (!forward.fault().empty()) return {forward.fault()};
  if (!back || !there || holds_coarse_types(function) ||
      (calls_any(function, may_lose_digits) && holds_large_numbers(inputs)))
    return {};
  return compared(pairing(cotangents, std::span(*there).subspan(outputs.size())),
                  pairing(tangents, std::span(*back).subspan(outputs.size())));
}

namespace {

// Inputs of a function for several examples, the first of which is known.
std::vector<Tensor> for_examples(const std::vector<Tensor>& inputs,
                                 const transforms::Mapping& mapping, Dice& dice) {
  std::vector<Tensor> result = inputs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!mapping.in_axes[i]) continue;
    std::vector<Tensor> all{inputs[i]};
    while (std::ssize(all) < mapping.size)
      all.push_back(Tensor::from_bytes(random_bytes(inputs[i].type(), dice), inputs[i].type()));
    result[i] = stack(all, {.axis = *mapping.in_axes[i]});
  }
  return result;
}

std::int64_t random_axis(std::size_t rank, Dice& dice) {
  const auto count = static_cast<std::int64_t>(rank);
  return dice.between(-count, count - 1);
}

transforms::Mapping random_mapping(const Region& function, Dice& dice) {
  transforms::Mapping mapping{{}, dice.between(1, 3)};
  for (const program::Input& input : function.inputs) {
    const std::int64_t axis = random_axis(input.type.shape.size() + 1, dice);
    mapping.in_axes.push_back(dice.chance(60) ? std::optional(axis) : std::nullopt);
  }
  for (const TensorType& type : function.output_types())
    mapping.out_axes.push_back(random_axis(type.shape.size() + 1, dice));
  return mapping;
}

std::vector<TensorType> mapped_types(const Region& function, const transforms::Mapping& mapping) {
  std::vector<TensorType> types = function.output_types();
  for (std::size_t i = 0; i < types.size(); ++i) {
    const auto count = static_cast<std::int64_t>(types[i].shape.size()) + 1;
    const std::int64_t axis = mapping.out_axes[i];
    types[i].shape.insert(types[i].shape.begin() + (axis < 0 ? axis + count : axis), mapping.size);
  }
  return types;
}

bool is_same(const Complex& a, const Complex& b, double limit) {
  const auto is_near = [limit](double x, double y) {
    return x == y || (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= limit;
  };
  return is_near(a.real(), b.real()) && is_near(a.imag(), b.imag());
}

// How the first output that is not what the loop answers differs.
std::string difference(const std::vector<Tensor>& mapped, const std::vector<Tensor>& loop) {
  for (std::size_t i = 0; i < loop.size(); ++i) {
    const std::vector<Complex> is = elements(mapped[i]), expected = elements(loop[i]);
    double scale = 1;
    for (const Complex& value : expected) {
      if (std::isfinite(std::abs(value))) scale = std::max(scale, std::abs(value));
    }
    const bool is_coarse = size_bytes(loop[i].dtype()) < 4 && !is_integer(loop[i].dtype());
    const double limit = is_coarse ? 2e-2 : loop[i].dtype() == DType::f64 ? 1e-9 : 1e-4;
    for (std::size_t k = 0; k < is.size(); ++k) {
      if (!is_same(is[k], expected[k], is_integer(loop[i].dtype()) ? 0 : limit * scale)) {
        return fmt::format("answers {} + {}i and not {} + {}i as element {} of output {}",
                           is[k].real(), is[k].imag(), expected[k].real(), expected[k].imag(), k,
                           i);
      }
    }
  }
  return "";
}

}  // namespace

Verdict judge_mapping(const Region& function, const std::vector<Tensor>& inputs, Dice& dice,
                      Running running) {
  const transforms::Mapping mapping = random_mapping(function, dice);
  if (is_large(function.output_types()) || is_large(transforms::types_of(inputs)))
    running = Running::kNot;
  std::vector<Tensor> all, loop;
  if (running == Running::kOnce) {
    all = for_examples(inputs, mapping, dice);
    try {
      loop = transforms::one_after_another(std::make_shared<Region>(function), all, mapping);
      for (const Tensor& output : loop) output.to_bytes();
    } catch (const std::exception&) {
      running = Running::kNot;  // an example without an answer
    }
  }
  Trial trial("vmap", running);
  const auto mapped = trial.run(
      [&] { return transforms::vmap(function, mapping.in_axes, mapping.size, mapping.out_axes); },
      mapped_types(function, mapping), all);
  if (!trial.fault().empty() || !mapped) return {trial.fault()};
  if (calls_any(function, has_terms) && holds_large_numbers(all)) return {};
  return {difference(*mapped, loop), true};
}

namespace {

// A call as a function, and operands at which it gives an answer.
struct CalledFunction {
  RegionPtr function;
  std::vector<Tensor> inputs;
};

std::optional<CalledFunction> function_of(const RandomCall& call) {
  CalledFunction result;
  try {
    std::vector<TensorType> types;
    for (const RandomOperand& operand : call.operands) {
      result.inputs.push_back(tensor_of(operand));
      types.push_back(operand.type);
    }
    result.function = transforms::region_of(types, [&](const std::vector<Tensor>& operands) {
      std::vector<TensorType> wanted;
      if (call.wanted) {
        const auto inferred = ops::infer_types(*call.op, types, call.attrs);
        wanted.assign(inferred.begin(), inferred.end());
        for (TensorType& type : wanted) type.dtype = *call.wanted;
      }
      const auto outputs =
          ops::invoke_all(*call.op, std::span<const Tensor>(operands), call.attrs, wanted);
      return std::vector<Tensor>(outputs.begin(), outputs.end());
    });
    for (const Tensor& output : transforms::run(result.function, result.inputs)) output.to_bytes();
  } catch (const std::exception&) {
    return std::nullopt;
  }
  return result;
}

}  // namespace

Verdict judge_derivative(const RandomCall& call) {
  const std::optional<CalledFunction> called = function_of(call);
  return called ? judge_transforms(*called->function, called->inputs) : Verdict{};
}

Verdict judge_mapping(const RandomCall& call, Dice& dice) {
  const std::optional<CalledFunction> called = function_of(call);
  return called ? judge_mapping(*called->function, called->inputs, dice) : Verdict{};
}

}  // namespace mlxnx::testing_support
