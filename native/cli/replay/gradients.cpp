#include "replay/gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <complex>

#include "mlxnx/error.h"
#include "program/executable.h"
#include "program/marks.h"
#include "program/serializer.h"
#include "replay/compare.h"
#include "tensor/element.h"
#include "transforms/transforms.h"

namespace mlxnx::cli {
namespace {

using Complex = std::complex<double>;
using Values = std::vector<Complex>;

Complex number(const Number& value) {
  return std::visit(
      [](auto v) {
        if constexpr (std::is_same_v<decltype(v), Complex>) {
          return v;
        } else {
          return Complex(static_cast<double>(v), 0);
        }
      },
      value);
}

Values values(DType type, std::span<const std::byte> bytes) {
  const std::size_t step = size_bytes(type);
  Values result;
  for (std::size_t at = 0; at < bytes.size(); at += step)
    result.push_back(number(tensors::decode(type, bytes.data() + at)));
  return result;
}

// g + gᴴ of each matrix. Gradients pair without conjugation, so that the mirror image has none.
void make_symmetric(Values& g, const Shape& shape) {
  const auto n = static_cast<std::size_t>(shape.back());
  for (std::size_t start = 0; start < g.size(); start += n * n) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        Complex& a = g[start + i * n + j];
        Complex& b = g[start + j * n + i];
        const Complex lower = a + std::conj(b), upper = b + std::conj(a);
        a = lower;
        b = upper;
      }
    }
  }
}

double tolerance_of(DType type) {
  if (type == DType::bf16) return 4e-2;
  return type == DType::f64 ? 1e-8 : 1e-4;
}

// Nx.vectorize makes numbers beside a tensor f32.
bool is_rounded_when_mapped(const program::Instruction& instruction) {
  if (instruction.name() != "constant") return false;
  const auto* value = std::get_if<double>(&instruction.attrs.get<Number>("value"));
  return value != nullptr && static_cast<double>(static_cast<float>(*value)) != *value;
}

// What the program itself costs in digits, here or in Nx: values that are cast to a coarser type,
// windows, which Nx folds and scatters in f32, and decompositions, which Nx ends early.
double tolerance_of(const program::Region& region, bool is_mapped) {
  double result = 0;
  for (const program::Instruction& instruction : region.instructions) {
    const std::string_view name = instruction.name();
    const DType type = instruction.outputs.front().dtype;
    if (name == "as_type" && (is_float(type) || is_complex(type)))
      result = std::max(result, tolerance_of(type));
    if (name.starts_with("window_max") || name.starts_with("window_min") || name == "window_reduce")
      result = std::max(result, tolerance_of(DType::f32));
    if (name == "block:LinAlg.Eigh" || name == "block:LinAlg.SVD") result = std::max(result, 1e-6);
    for (const auto& nested : instruction.regions) {
      if (nested != nullptr) result = std::max(result, tolerance_of(*nested, is_mapped));
    }
    if (is_mapped && is_rounded_when_mapped(instruction))
      result = std::max(result, tolerance_of(DType::f32));
  }
  return result;
}

double tolerance_of(const GoldenTransform& transform, std::span<const DType> types) {
  constexpr double kOfDifferences = 1e-5;  // what central differences are exact to
  double result = 4 * transform.noise;
  for (const DType type : types) result = std::max(result, tolerance_of(type));
  return transform.are_differences ? std::max(result, kOfDifferences) : result;
}

bool is_near(const Complex& a, const Complex& b, double within) {
  const auto part = [within](double x, double y) {
    if (!std::isfinite(x) || !std::isfinite(y)) return x == y || (std::isnan(x) && std::isnan(y));
    return std::abs(x - y) <= within;
  };
  return part(a.real(), b.real()) && part(a.imag(), b.imag());
}

std::string fault_of(const Values& expected, const Values& got, double tolerance) {
  double largest = 1;
  for (const Complex& value : expected) {
    if (std::isfinite(std::abs(value))) largest = std::max(largest, std::abs(value));
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (is_near(expected[i], got[i], tolerance * largest)) continue;
    return fmt::format("element {} is {}{:+}i, expected {}{:+}i", i, got[i].real(), got[i].imag(),
                       expected[i].real(), expected[i].imag());
  }
  return {};
}

std::vector<Tensor> run(const transforms::RegionPtr& region, const std::vector<Tensor>& inputs) {
  return program::Executable({*region, {}}, {.fusion = program::Fusion::kNever}).run(inputs);
}

void judge_gradients(const GoldenCase& golden, const program::Region& function,
                     std::span<const Tensor> gradients, Outcome& outcome) {
  const GoldenTransform& transform = *golden.transform;
  for (std::size_t k = 0; k < transform.wrt.size() && outcome.fault.empty(); ++k) {
    const Tensor& gradient = gradients[k];
    const GoldenTensor& wanted = transform.gradients.at(k);
    const DType input = golden.inputs.at(transform.wrt[k]).type.dtype;
    outcome.types.push_back(gradient.type());
    outcome.outputs.push_back(gradient.to_bytes());
    if (gradient.shape() != wanted.type.shape) {
      outcome.fault = fmt::format("gradient {} is {}, expected {}", k, to_string(gradient.type()),
                                  to_string(wanted.type));
      return;
    }
    Values expected = values(wanted.type.dtype, wanted.bytes);
    Values got = values(gradient.dtype(), outcome.outputs.back());
    if (!is_complex(gradient.dtype())) {
      for (Complex& value : expected) value = value.real();
    }
    if (transform.is_symmetric) {
      make_symmetric(expected, wanted.type.shape);
      make_symmetric(got, wanted.type.shape);
    }
    const std::array types{input, gradient.dtype(), wanted.type.dtype};
    const double tolerance =
        std::max(tolerance_of(transform, types), tolerance_of(function, false));
    const std::string fault = fault_of(expected, got, tolerance);
    if (!fault.empty()) outcome.fault = fmt::format("gradient {}: {}", k, fault);
  }
}

// Row by row: the tangents of the gradient along each element of the input.
void judge_hessian(const GoldenCase& golden, const program::Region& gradient,
                   const std::vector<Tensor>& inputs, Outcome& outcome) {
  const GoldenTensor& wanted = *golden.transform->hessian;
  const std::size_t by = golden.transform->wrt.front();
  const std::array wrt{by};
  const transforms::RegionPtr second = transforms::jvp(gradient, wrt);
  const std::size_t outputs = gradient.outputs.size();
  const std::size_t place = outputs + outputs - golden.transform->wrt.size();
  const TensorType type = program::cotangent_type(golden.inputs[by].type);
  const auto count = static_cast<std::size_t>(element_count(type.shape));
  Values got(count * count);
  for (std::size_t j = 0; j < count; ++j) {
    std::vector<std::byte> tangent(count * size_bytes(type.dtype));
    tensors::encode(Number(1.0), type.dtype, tangent.data() + j * size_bytes(type.dtype));
    std::vector<Tensor> arguments = inputs;
    arguments.push_back(Tensor::from_bytes(tangent, type));
    const Tensor column = run(second, arguments).at(place);
    const Values elements = values(column.dtype(), column.to_bytes());
    for (std::size_t i = 0; i < count; ++i) got[i * count + j] = elements[i];
  }
  const std::array types{type.dtype, wanted.type.dtype};
  const std::string fault = fault_of(values(wanted.type.dtype, wanted.bytes), got,
                                     std::max(tolerance_of(*golden.transform, types), 1e-7));
  if (!fault.empty()) outcome.fault = fmt::format("second derivative: {}", fault);
}

void judge_mapped(const GoldenCase& golden, const program::Region& function,
                  const std::vector<Tensor>& inputs, Outcome& outcome) {
  const auto& axes = golden.transform->in_axes;
  std::int64_t size = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (axes[i]) size = inputs[i].shape()[static_cast<std::size_t>(*axes[i])];
  }
  const std::vector<Tensor> results = run(transforms::vmap(function, axes, size), inputs);
  for (std::size_t k = 0; k < results.size() && outcome.fault.empty(); ++k) {
    const GoldenTensor& wanted = golden.outputs.at(k);
    outcome.types.push_back(results[k].type());
    outcome.outputs.push_back(results[k].to_bytes());
    if (results[k].type() != wanted.type) {
      outcome.fault = fmt::format("output {} is {}, expected {}", k, to_string(results[k].type()),
                                  to_string(wanted.type));
      break;
    }
    const double tolerance =
        std::max(tolerance_of(wanted.type.dtype), tolerance_of(function, true));
    const std::string fault =
        fault_of(values(wanted.type.dtype, wanted.bytes),
                 values(results[k].dtype(), outcome.outputs.back()), tolerance);
    if (!fault.empty()) outcome.fault = fmt::format("output {}: {}", k, fault);
  }
  outcome.passed = outcome.fault.empty();
}

}  // namespace

Outcome run_transform(const GoldenCase& golden, const RunOptions& options) {
  Outcome outcome;
  const program::Program program = program::load(golden.program->file);
  std::vector<Tensor> inputs;
  for (const GoldenTensor& input : golden.inputs)
    inputs.push_back(lay_out(input.bytes, input.type, options.layout));
  const GoldenTransform& transform = *golden.transform;
  if (!transform.marks.empty() && !program::holds_marks(program.main))
    throw FormatError("the program lacks the marks that its gradient comes from");
  if (transform.is_vmap) {
    judge_mapped(golden, program.main, inputs, outcome);
    return outcome;
  }
  const transforms::RegionPtr gradient = transforms::value_and_grad(program.main, transform.wrt);
  const std::vector<Tensor> results = run(gradient, inputs);
  judge_gradients(golden, program.main, std::span(results).subspan(program.main.outputs.size()),
                  outcome);
  if (outcome.fault.empty() && transform.hessian) judge_hessian(golden, *gradient, inputs, outcome);
  outcome.passed = outcome.fault.empty();
  return outcome;
}

}  // namespace mlxnx::cli
