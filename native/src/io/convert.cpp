#include "mlxnx/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "files/atomic_file.h"
#include "files/file_errors.h"
#include "files/mapped_file.h"
#include "io/checkpoint_contents.h"
#include "io/configured_type.h"
#include "io/destination.h"
#include "io/family_rules.h"
#include "io/model_folder.h"
#include "io/quantization_settings.h"
#include "io/recipes.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConvertOp = "convert";
constexpr std::string_view kWeight = ".weight";

std::string layer_of(std::string_view name) {
  return std::string(name.substr(0, name.size() - kWeight.size()));
}

// Decides what becomes of each tensor, and notes it in the settings.
class Plan {
 public:
  Plan(const Checkpoint& from, const ConvertOptions& options)
      : from_(from), options_(options), config_(from.config()) {
    model_type_ = config_.get<std::string>("model_type", "");
    type_ = options.dtype ? options.dtype : io::configured_type(config_);
    if (options.quantize) form_ = with_defaults(*options.quantize);
    if (options.recipe) choose_ = recipe_of(*options.recipe);
    // Of a model that is quantized in part, each new layer is noted by itself.
    if (options.quantize && !config_.contains("quantization")) noted_ = io::settings_of(form_);
    has_tied_head_ = io::has_tied_head(config_) && from.contains("model.embed_tokens.weight");
    for (const CheckpointTensor& tensor : from.tensors()) {
      // mlx-lm does not know of a head beside the embedding that is one.
      if (has_tied_head_ && tensor.name.starts_with("lm_head.")) continue;
      files::naming_tensor(tensor.name, [&] { add(tensor); });
    }
    if (options.quantize && !has_quantized_) {
      throw ArgumentError(
          fmt::format("[convert] there is nothing to quantize: no dense matrix of a layer has rows "
                      "that groups of {} divide",
                      *form_.group_size));
    }
    finish_config();
  }

  std::vector<PlannedTensor>& tensors() { return tensors_; }
  const Config& config() const { return config_; }
  Converted result() const { return result_; }

 private:
  static Quantization with_defaults(Quantization form) {
    // What the mode's defaults are is the op's to know.
    const Quantized probe = mlxnx::quantize(constant(0.0, DType::f32, {1, 128}), form);
    form.bits = probe.weight.shape()[1] * 32 / 128;
    form.group_size = 128 / probe.scales.shape()[1];
    return form;
  }

  std::function<Quantization(std::string_view)> recipe_of(const std::string& name) const {
    if (!options_.quantize)
      throw ArgumentError("[convert] a recipe says how to quantize: set `quantize` too");
    std::vector<std::string> names;
    for (const CheckpointTensor& tensor : from_.tensors()) names.push_back(tensor.name);
    const Config inner =
        config_.contains("text_config") ? config_.get<Config>("text_config") : config_;
    return io::recipe(name, form_, inner.get<std::int64_t>("num_hidden_layers"), names);
  }

  void add(const CheckpointTensor& tensor) {
    const std::string& name = tensor.name;
    const std::size_t dot = name.rfind('.');
    const std::string layer = name.substr(0, dot == std::string::npos ? 0 : dot);
    const std::optional<Quantization> form = from_.quantization(layer);
    const std::string last = name.substr(dot + 1);
    if (form && options_.dequantize) {
      if (name.ends_with(kWeight)) add_dequantized(tensor, layer, *form);
      if (last == "weight" || last == "scales" || last == "biases" || last == "global_scale")
        return;
    } else if (form && name.ends_with(kWeight)) {
      result_.parameters += static_cast<std::uint64_t>(element_count(tensor.type.shape)) * 32 /
                            static_cast<std::uint64_t>(*form->bits);
      add_kept(tensor);
      return;
    } else if (form && has_scale_of_matrix(layer) && (last == "scales" || last == "global_scale")) {
      if (last == "scales") add_folded(tensor, layer);
      return;
    } else if (const auto own = form_to_be(tensor, layer)) {
      io::require_own_matrices(model_type_, name);
      has_quantized_ = true;
      add_quantized(tensor, *own);
      return;
    }
    if (!form || name == layer + ".bias")
      result_.parameters += static_cast<std::uint64_t>(element_count(tensor.type.shape));
    add_kept(tensor);
  }

  // Matrices of layers: rows of experts too, but no kernels of convolutions.
  bool is_to_quantize(const CheckpointTensor& tensor) const {
    const Shape& shape = tensor.type.shape;
    if (!options_.quantize || !tensor.name.ends_with(kWeight) || !is_float(tensor.type.dtype))
      return false;
    const bool is_matrix =
        shape.size() == 2 || (shape.size() == 3 && tensor.name.find("conv") == std::string::npos);
    return is_matrix && shape.back() % *form_.group_size == 0;
  }

  // None for a layer that stays dense.
  std::optional<Quantization> form_to_be(const CheckpointTensor& tensor,
                                         const std::string& layer) const {
    if (!is_to_quantize(tensor)) return std::nullopt;
    const io::LayerRule rule = io::layer_rule(model_type_, layer);
    if (rule == io::LayerRule::kDense) return std::nullopt;
    if (choose_) return choose_(layer);
    if (rule == io::LayerRule::kUsual) return form_;
    for (const std::int64_t group : {64, 32}) {
      if (tensor.type.shape.back() % group == 0)
        return Quantization{.bits = 8, .group_size = group};
    }
    return std::nullopt;
  }

  DType cast(DType type) const { return is_float(type) && type_ ? *type_ : type; }

  void push(std::string name, TensorType type, std::function<Tensor()> make) {
    if (!names_.insert(name).second) {
      throw FormatError(
          fmt::format("two tensors would be {:?}: the model has parts of a quantized layer beside "
                      "weights that are none",
                      name));
    }
    result_.bytes += static_cast<std::uint64_t>(element_count(type.shape)) * size_bytes(type.dtype);
    tensors_.push_back({std::move(name), std::move(type), std::move(make)});
  }

  void add_kept(const CheckpointTensor& tensor) {
    const DType type =
        io::keeps_type(model_type_, tensor.name) ? tensor.type.dtype : cast(tensor.type.dtype);
    push(tensor.name, {type, tensor.type.shape},
         [from = from_, name = tensor.name, type] { return as_type(from.read(name), type); });
  }

  // mlx-lm has one for matrices of experts only.
  bool has_scale_of_matrix(const std::string& layer) const {
    return from_.contains(layer + ".global_scale") &&
           from_.find(layer + ".weight")->type.shape.size() == 2;
  }

  // Scales of groups times that of the matrix.
  void add_folded(const CheckpointTensor& tensor, const std::string& layer) {
    const auto wide = [from = from_, name = tensor.name, layer] {
      constexpr double kLargest = 448.0 * 6.0;  // that nvfp4 reaches without it
      return from_fp8(from.read(name), DType::f32) *
             (as_type(from.read(layer + ".global_scale"), DType::f32) / kLargest);
    };
    const Tensor exact = wide();
    if (all(equal(from_fp8(to_fp8(exact), DType::f32), exact)).item<int>() == 0) {
      throw UnsupportedError(fmt::format(
          "the layer {:?} has a scale of the whole matrix, which mlx-lm's linear layers "
          "have not, and those of its groups don't hold it exactly: dequantize the model "
          "(--dequantize)",
          layer));
    }
    push(tensor.name, tensor.type, [wide] { return to_fp8(wide()); });
  }

  void add_dequantized(const CheckpointTensor& tensor, const std::string& layer,
                       const Quantization& form) {
    const CheckpointTensor* biases = from_.find(layer + ".biases");
    const DType type = cast(biases != nullptr ? biases->type.dtype : DType::bf16);
    TensorType dense{type, tensor.type.shape};
    dense.shape.back() = dense.shape.back() * 32 / *form.bits;
    result_.parameters += static_cast<std::uint64_t>(element_count(dense.shape));
    push(tensor.name, dense, [from = from_, layer, type] {
      Quantized own = from.read_quantized(layer).value();
      if (own.biases) {
        own.scales = as_type(own.scales, type);
        own.biases = as_type(*own.biases, type);
      }
      return dequantize(own, type);
    });
  }

  void add_quantized(const CheckpointTensor& tensor, const Quantization& form) {
    const std::string layer = layer_of(tensor.name);
    const DType type = cast(tensor.type.dtype);
    Shape words = tensor.type.shape, groups = tensor.type.shape;
    words.back() = words.back() * *form.bits / 32;
    groups.back() /= *form.group_size;
    const bool is_affine = form.mode == QuantizationMode::kAffine;
    const auto parts =
        std::make_shared<io::PartsOnce>([from = from_, name = tensor.name, type, form] {
          const Quantized own = mlxnx::quantize(as_type(from.read(name), type), form);
          std::vector<Tensor> made = {own.weight, own.scales};
          if (own.biases) made.push_back(*own.biases);
          return made;
        });
    const auto part = [&parts](std::size_t number) {
      return [parts, number] { return parts->read(number); };
    };
    result_.parameters += static_cast<std::uint64_t>(element_count(tensor.type.shape));
    if (is_affine) push(layer + ".biases", {type, groups}, part(2));
    push(layer + ".scales", {is_affine ? type : DType::u8, groups}, part(1));
    push(tensor.name, {DType::u32, words}, part(0));
    if (choose_ || !noted_ || form != form_) own_forms_.emplace_back(layer, form);
  }

  void finish_config() {
    if (options_.dequantize) {
      config_.erase("quantization");
      config_.erase("quantization_config");
    }
    if (options_.quantize) {
      Config settings = noted_ ? *noted_ : config_.get<Config>("quantization");
      for (const auto& [layer, form] : own_forms_) settings.set(layer, io::settings_of(form));
      io::note_quantization(config_, settings);
    } else if (config_.contains("quantization")) {
      io::note_quantization(config_, config_.get<Config>("quantization"));
    }
    for (const char* key : {"_name_or_path", "vision_config"}) config_.erase(key);
  }

  const Checkpoint& from_;
  const ConvertOptions& options_;
  Config config_;
  std::string model_type_;
  bool has_tied_head_ = false, has_quantized_ = false;
  std::set<std::string> names_;
  std::optional<DType> type_;
  Quantization form_;
  std::function<Quantization(std::string_view)> choose_;
  std::optional<Config> noted_;
  std::vector<std::pair<std::string, Quantization>> own_forms_;
  std::vector<PlannedTensor> tensors_;
  Converted result_;
};

bool is_copied(const std::string& name) {
  constexpr std::array<std::string_view, 4> kSuffixes = {".jinja", ".tiktoken", ".model", ".txt"};
  // What says how weights were quantized before is not true of those that are written.
  constexpr std::array<std::string_view, 4> kOwn = {"config.json", "adapter_config.json",
                                                    "hf_quant_config.json", "quantize_config.json"};
  if (std::ranges::find(kOwn, name) != kOwn.end() || name.ends_with(".index.json")) return false;
  return name.ends_with(".json") ||
         std::ranges::any_of(kSuffixes, [&](auto suffix) { return name.ends_with(suffix); });
}

void copy_others(const fs::path& from, const fs::path& to) {
  for (const std::string& name : io::listed_files(from)) {
    if (is_copied(name))
      files::write_file(to / name, files::read_text(from / name, kConvertOp), kConvertOp);
  }
}

// What transformers asks for beside `tokenizer.json`.
Config tokenizer_settings(const Checkpoint& from, const files::GgufFile& gguf) {
  Config settings;
  settings.set("tokenizer_class", std::string("PreTrainedTokenizerFast"));
  if (const auto text = from.chat_template()) settings.set("chat_template", *text);
  const auto tokens = gguf.find("tokenizer.ggml.tokens");
  if (!tokens) return settings;
  const std::vector<std::string_view> texts = tokens->as_texts();
  for (const char* token : {"bos_token", "eos_token", "pad_token"}) {
    const std::string key = fmt::format("{}_id", token);
    if (!from.config().contains(key)) continue;
    const auto id = from.config().get<std::int64_t>(key);
    if (id >= 0 && std::cmp_less(id, texts.size()))
      settings.set(token, std::string(texts[static_cast<std::size_t>(id)]));
  }
  return settings;
}

// What a single file says of texts, in files of its own. Returns: whether that is all it says.
bool write_texts(const Checkpoint& from, const fs::path& to) {
  if (const auto text = from.chat_template())
    files::write_file(to / "chat_template.jinja", *text, kConvertOp);
  const files::GgufFile* gguf = from.contents().gguf();
  if (gguf == nullptr || !gguf->find("tokenizer.ggml.model")) return true;
  if (!has_text()) return false;
  try {
    files::write_file(to / "tokenizer.json", from.tokenizer().to_json(), kConvertOp);
  } catch (const UnsupportedError&) {
    return false;
  }
  files::write_file(to / "tokenizer_config.json", tokenizer_settings(from, *gguf).to_json(2) + "\n",
                    kConvertOp);
  return true;
}

// A change of a model has tensors of a model's folder, and no settings.
void require_model(const Checkpoint& from) {
  std::error_code ignored;
  if (!fs::exists(from.path() / "adapter_config.json", ignored) || !from.config().keys().empty())
    return;
  throw ArgumentError(
      fmt::format("[convert] {} is an adapter, a change of a model: give the model's folder",
                  from.path().string()));
}

void check_options(const ConvertOptions& options) {
  if (options.quantize && options.dequantize)
    throw ArgumentError("[convert] either quantize or dequantize, not both");
  const auto is_written = [](DType type) {
    return type == DType::f16 || type == DType::bf16 || type == DType::f32;
  };
  if (options.dtype && !is_written(*options.dtype)) {
    throw ArgumentError(
        fmt::format("[convert] weights of type {} are not supported: take f16, bf16 or f32",
                    name(*options.dtype)));
  }
}

Converted write(const Checkpoint& from, const fs::path& place, const ConvertOptions& options) {
  Plan plan(from, options);
  Converted result = plan.result();
  io::DraftFolder draft(place, kConvertOp);
  write_weights(draft.path(), plan.tensors(), plan.result().parameters, options.write);
  files::write_file(draft.path() / "config.json", plan.config().to_json(4) + "\n", kConvertOp);
  if (from.format() == "folder") {
    copy_others(from.path(), draft.path());
  } else {
    result.has_tokenizer = write_texts(from, draft.path());
  }
  draft.take_place();
  return result;
}

}  // namespace

double Converted::bits_per_weight() const {
  return parameters == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
}

Converted convert(const Checkpoint& from, const fs::path& to, const ConvertOptions& options) {
  const fs::path place = io::free_place(to, kConvertOp);
  check_options(options);
  require_model(from);
  return files::naming_file(kConvertOp, from.path(), [&] { return write(from, place, options); });
}

}  // namespace mlxnx
