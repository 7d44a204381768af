#include "transforms/transform_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numeric>
#include <optional>

#include "mlxnx/error.h"
#include "mlxnx/ops/creation.h"
#include "ops/invoke.h"
#include "program/executable.h"
#include "program/verifier.h"
#include "tensor/element.h"
#include "transforms/apply.h"
#include "transforms/transforms.h"

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

// A factor of large numbers may be left without a digit.
bool factorises_large_numbers(const Region& region, const std::vector<Tensor>& inputs) {
  constexpr double kLarge = 1000;
  const auto& all = region.instructions;
  const auto is_large = [](const Complex& value) { return !(std::abs(value) < kLarge); };
  return std::any_of(all.begin(), all.end(),
                     [](const auto& instruction) {
                       return instruction.op != nullptr &&
                              instruction.op->group == ops::Group::kLinalg;
                     }) &&
         std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& input) {
           const std::vector<Complex> values = elements(input);
           return std::any_of(values.begin(), values.end(), is_large);
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
  if (!back || !there || holds_coarse_types(function) || factorises_large_numbers(function, inputs))
    return {};
  return compared(pairing(cotangents, std::span(*there).subspan(outputs.size())),
                  pairing(tangents, std::span(*back).subspan(outputs.size())));
}

Verdict judge_derivative(const RandomCall& call) {
  RegionPtr function;
  std::vector<Tensor> inputs;
  try {
    std::vector<TensorType> types;
    for (const RandomOperand& operand : call.operands) {
      inputs.push_back(tensor_of(operand));
      types.push_back(operand.type);
    }
    function = transforms::region_of(types, [&](const std::vector<Tensor>& operands) {
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
    const program::Executable executable({*function, {}}, {.fusion = program::Fusion::kNever});
    for (const Tensor& output : executable.run(inputs)) output.to_bytes();
  } catch (const std::exception&) {
    return {};  // no call to differentiate
  }
  return judge_transforms(*function, inputs);
}

}  // namespace mlxnx::testing_support
