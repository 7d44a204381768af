#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "io/quantization_settings.h"
#include "mlxnx/error.h"
#include "mlxnx/nn/weights.h"

namespace mlxnx::nn::weights {
namespace {

std::optional<Tensor> find(const Parameters& tensors, const std::string& layer,
                           std::string_view part) {
  const auto found = tensors.find(fmt::format("{}{}{}", layer, layer.empty() ? "" : ".", part));
  if (found == tensors.end()) return std::nullopt;
  return found->second;
}

// Whether shapes of `lora_a` and `lora_b` are those of a change of one matrix, or of several.
bool is_change_of(const Shape& whole, const Shape& a, const Shape& b) {
  if (a.size() != whole.size() || b.size() != whole.size()) return false;
  if (whole.size() == 2) return a[0] == whole[1] && b[1] == whole[0] && a[1] == b[0];
  return a == Shape{whole[0], b[2], whole[2]} && b == Shape{whole[0], whole[1], a[1]};
}

// The same of a table whose rows are looked up.
bool is_change_of_embedding(const Shape& whole, const Shape& a, const Shape& b) {
  return whole.size() == 2 && is_change_of({whole[1], whole[0]}, a, b);
}

// Gives a matrix the form that it is given in, with the tensors of that form; a dense one is left
// as it is.
void take_form(Tensor& weight, WeightForm& form, const Config& config, const Parameters& given,
               const std::string& layer) {
  const std::optional<Tensor> words = find(given, layer, "weight"),
                              scales = find(given, layer, "scales");
  if (!words || !scales) return;
  const std::optional<Quantization> own =
      io::quantization_of(config, layer, words->type(), scales->type());
  if (!own) return;
  Shape wanted = weight.shape();
  const std::int64_t columns = columns_of(weight, form);
  wanted.back() = columns * *own->bits / 32;
  if (words->shape() != wanted) {
    throw ArgumentError(
        fmt::format("[load_weights] the layer {:?} has words {}, and rows of {} weights of {} bits "
                    "would be {}",
                    layer, to_string(words->type()), columns, *own->bits,
                    to_string(TensorType{DType::u32, wanted})));
  }
  form = WeightForm{};
  form.mode = own->mode;
  form.bits = own->bits;
  form.group_size = own->group_size;
  form.scales = scales;
  form.biases = find(given, layer, "biases");
  form.global_scale = find(given, layer, "global_scale");
  weight = *words;
}

// Puts the change of low rank beside a matrix for which the adapter has one.
void take_change(Tensor& weight, WeightForm& form, const Adapter& adapter,
                 const std::string& layer) {
  const std::optional<Tensor> a = find(adapter.tensors, layer, "lora_a"),
                              b = find(adapter.tensors, layer, "lora_b"),
                              m = find(adapter.tensors, layer, "m");
  if (!a && !b) return;
  Shape whole = weight.shape();
  whole.back() = columns_of(weight, form);
  if (!a || !b || !is_change_of(whole, a->shape(), b->shape())) {
    if (a && b && is_change_of_embedding(whole, a->shape(), b->shape())) {
      throw UnsupportedError(fmt::format(
          "[load_adapter] the change of {:?} is that of an embedding; embeddings take no adapters",
          layer));
    }
    throw ArgumentError(
        fmt::format("[load_adapter] the layer {:?} has weights {}, and its change is lora_a {} and "
                    "lora_b {}",
                    layer, to_string(whole), a ? to_string(a->type()) : "missing",
                    b ? to_string(b->type()) : "missing"));
  }
  form.lora_a = a;
  form.lora_b = b;
  form.m = adapter.kind == Adapter::Kind::kDora ? m : std::nullopt;
  form.lora_scale = adapter.scale;
}

// Throws: where the adapter has tensors beside those that the model has taken.
void require_known(const Adapter& adapter, const Parameters& taken) {
  std::string unknown;
  std::size_t count = 0;
  constexpr std::size_t kMost = 10;
  for (const auto& [name, tensor] : adapter.tensors) {
    if (taken.contains(name) || ++count > kMost) continue;
    unknown += (unknown.empty() ? "" : ", ") + name;
  }
  if (count == 0) return;
  throw ArgumentError(
      fmt::format("[load_adapter] {} tensors of the adapter are not the model's: {}{}", count,
                  unknown, count > kMost ? ", ..." : ""));
}

}  // namespace

void load(Layers& layers, const Parameters& given, const Config& config, bool strict) {
  layers.visit_matrices([&](const std::string& layer, Tensor& weight, WeightForm& form) {
    take_form(weight, form, config, given, layer);
  });
  naming::Loading loading(given);
  layers.visit_tensors([&](const std::string& name, Tensor& tensor) { loading(name, tensor); });
  loading.finish(strict);
}

void load(Layers& layers, const Adapter& adapter) {
  if (adapter.kind != Adapter::Kind::kFull) {
    layers.visit_matrices([&](const std::string& layer, Tensor& weight, WeightForm& form) {
      take_change(weight, form, adapter, layer);
    });
  }
  Parameters taken;
  naming::Loading loading(adapter.tensors);
  layers.visit_tensors([&](const std::string& name, Tensor& tensor) {
    taken.emplace(name, tensor);
    loading(name, tensor);
  });
  require_known(adapter, taken);
  loading.finish(false);
}

}  // namespace mlxnx::nn::weights
