// Products with quantized weights, in the shapes of SmolLM2-135M: 4 bits in groups of 32, scales of
// f32. With MLXNX_KERNELS=0 MLX's own kernels compute them.
#include <array>
#include <string>
#include <vector>

#include "cases.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::bench {
namespace {

const Quantization kForm{.bits = 4, .group_size = 32};

Quantized weights(const Shape& shape, const Quantization& form = kForm) {
  Quantized w = quantize(waves(shape), form);
  eval({w.weight, w.scales, *w.biases});
  return w;
}

Case product(std::int64_t rows, const Shape& shape, const Quantization& form = kForm,
             const std::string& suffix = "") {
  return {"quantized_dot_" + std::to_string(rows) + "x" + std::to_string(shape[1]) + "x" +
              std::to_string(shape[0]) + "_q" + std::to_string(*form.bits) + suffix,
          [=] {
            const Quantized w = weights(shape, form);
            const Tensor x = waves({rows, shape[1]});
            return Body([=] { eval(quantized_dot(x, w)); });
          }};
}

// All products of a decode step, of 30 layers and the head.
Case token(std::int64_t rows) {
  return {"quantized_dot_token_" + std::to_string(rows), [=] {
            struct Layer {
              std::vector<Quantized> of_576;
              Quantized down;
            };
            std::vector<Layer> layers(30);
            for (Layer& layer : layers) {
              for (const std::int64_t size : {576, 192, 192, 576, 1536, 1536})
                layer.of_576.push_back(weights({size, 576}));
              layer.down = weights({576, 1536});
            }
            const Quantized head = weights({49152, 576});
            const Tensor narrow = waves({rows, 576}), wide = waves({rows, 1536});
            const Tensor last = waves({1, 576});
            return Body([=] {
              std::vector<Tensor> results;
              for (const Layer& layer : layers) {
                for (const Quantized& w : layer.of_576) results.push_back(quantized_dot(narrow, w));
                results.push_back(quantized_dot(wide, layer.down));
              }
              results.push_back(quantized_dot(last, head));
              eval(results);
            });
          }};
}

Case embedding() {
  return {"quantized_rows_5_of_49152x576_q4", [] {
            const Quantized w = weights({49152, 576});
            const Tensor numbers = tensor({7, 49151, 0, 3, 20000});
            return Body([=] {
              const auto rows = [&](const Tensor& of) { return take(of, numbers, {.axis = 0}); };
              eval(dequantize({rows(w.weight), rows(w.scales), rows(*w.biases), w.form}));
            });
          }};
}

}  // namespace

std::vector<Case> quantized_cases() {
  std::vector<Case> cases;
  for (const std::int64_t rows : {1, 4, 8, 16, 64}) {
    for (const Shape& shape : {Shape{576, 576}, Shape{1536, 576}, Shape{576, 1536}})
      cases.push_back(product(rows, shape));
  }
  for (const std::int64_t rows : {1, 4, 64}) cases.push_back(product(rows, {49152, 576}));
  for (const std::int64_t bits : {2, 3, 5, 6, 8})
    cases.push_back(product(1, {1536, 576}, {.bits = bits, .group_size = 32}));
  for (const std::int64_t rows : {1, 64}) cases.push_back(token(rows));
  cases.push_back(embedding());
  return cases;
}

}  // namespace mlxnx::bench
