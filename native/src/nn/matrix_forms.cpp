#include "nn/matrix_forms.h"

#include <algorithm>

#include "mlxnx/error.h"

namespace mlxnx::nn {
namespace {

void bring_into(const MatrixForm& wanted, Tensor& weight, WeightForm& form, Tensor& key,
                const std::string& name) {
  if (!wanted.lora) weights::fuse(weight, form);
  if (wanted.quantization) {
    weights::quantize(weight, form, *wanted.quantization, name);
  } else {
    weights::dequantize(weight, form);
  }
  if (wanted.lora && !form.is_adapted())
    weights::adapt(weight, form, *wanted.lora, wanted.has_lengths, weights::next_key(key), name);
}

}  // namespace

std::vector<std::string> matrices_of(const Layer& layer) {
  std::vector<std::string> names;
  layer.with_matrices(
      [&](const std::string& name, Tensor&, WeightForm&) { names.push_back(name); });
  return names;
}

std::shared_ptr<const Layer> with_forms(const Layer& layer, const MatrixForms& forms,
                                        const Tensor& key, const std::string& path) {
  const std::vector<std::string> known = matrices_of(layer);
  for (const auto& [name, form] : forms) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw ArgumentError("[" + std::string(layer.row().name) + "] there is no matrix " + name);
  }
  Tensor rest = key;
  return layer.with_matrices([&](const std::string& name, Tensor& weight, WeightForm& form) {
    const auto wanted = forms.find(name);
    if (wanted == forms.end()) return;
    const std::string dot = path.empty() || name.empty() ? "" : ".";
    bring_into(wanted->second, weight, form, rest, path + dot + name);
  });
}

}  // namespace mlxnx::nn
