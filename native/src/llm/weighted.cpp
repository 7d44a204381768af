#include "llm/weighted.h"

#include <fmt/format.h>

#include "mlxnx/error.h"
#include "mlxnx/nn/weights.h"

namespace mlxnx::llm {

void take_weights(Weighted& layers, const nn::Parameters& weights, const Config& config) {
  layers.visit_matrices([&](const std::string& layer, Tensor& weight, nn::WeightForm& form) {
    nn::weights::take_form(weight, form, config, weights, layer);
  });
  nn::naming::Loading loading(weights);
  layers.visit_tensors([&](const std::string& name, Tensor& tensor) { loading(name, tensor); });
  loading.finish(true);
}

std::string model_type(const Config& config) {
  if (config.contains("model_file")) {
    throw UnsupportedError(fmt::format(
        "[load] the model brings code of its own ({}), which is not run; only known model types "
        "are",
        config.get<std::string>("model_file")));
  }
  return config.get<std::string>("model_type");
}

}  // namespace mlxnx::llm
