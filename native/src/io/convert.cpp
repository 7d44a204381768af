#include "mlxnx/convert.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "files/atomic_file.h"
#include "io/checkpoint_contents.h"
#include "io/quantization_settings.h"
#include "io/recipes.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kOp = "convert";
constexpr std::string_view kWeight = ".weight";

std::string layer_of(std::string_view name) {
  return std::string(name.substr(0, name.size() - kWeight.size()));
}

// What mlx-lm's default is, by the names that settings use.
std::optional<DType> configured_type(const Config& config) {
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (!config.contains(key)) continue;
    const std::string name = config.get<std::string>(key);
    if (name == "float16") return DType::f16;
    if (name == "bfloat16") return DType::bf16;
    if (name == "float32") return DType::f32;
  }
  return config.contains("text_config") ? configured_type(config.get<Config>("text_config"))
                                        : std::nullopt;
}

// Decides what becomes of each tensor, and notes it in the settings.
class Plan {
 public:
  Plan(const Checkpoint& from, const ConvertOptions& options)
      : from_(from), options_(options), config_(from.config()) {
    type_ = options.dtype ? options.dtype : configured_type(config_);
    if (options.quantize) form_ = with_defaults(*options.quantize);
    if (options.recipe) choose_ = recipe_of(*options.recipe);
    // Of a model that is quantized in part, each new layer is noted by itself.
    if (options.quantize && !config_.contains("quantization")) noted_ = io::settings_of(form_);
    for (const CheckpointTensor& tensor : from.tensors()) add(tensor);
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
    if (form && options_.dequantize) {
      if (name.ends_with(kWeight)) add_dequantized(tensor, layer, *form);
      const std::string last = name.substr(dot + 1);
      if (last == "weight" || last == "scales" || last == "biases" || last == "global_scale")
        return;
    } else if (form && name.ends_with(kWeight)) {
      result_.parameters += static_cast<std::uint64_t>(element_count(tensor.type.shape)) * 32 /
                            static_cast<std::uint64_t>(*form->bits);
      add_kept(tensor);
      return;
    } else if (is_to_quantize(tensor)) {
      add_quantized(tensor, choose_ ? choose_(layer) : form_);
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

  DType cast(DType type) const { return is_float(type) && type_ ? *type_ : type; }

  void push(std::string name, TensorType type, std::function<Tensor()> make) {
    result_.bytes += static_cast<std::uint64_t>(element_count(type.shape)) * size_bytes(type.dtype);
    tensors_.push_back({std::move(name), std::move(type), std::move(make)});
  }

  void add_kept(const CheckpointTensor& tensor) {
    const DType type = cast(tensor.type.dtype);
    push(tensor.name, {type, tensor.type.shape},
         [from = from_, name = tensor.name, type] { return as_type(from.read(name), type); });
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
    if (choose_ || !noted_) own_forms_.emplace_back(layer, form);
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
  if (name == "config.json" || name.ends_with(".index.json") || name == "adapter_config.json")
    return false;
  return name.ends_with(".json") ||
         std::ranges::any_of(kSuffixes, [&](auto suffix) { return name.ends_with(suffix); });
}

void copy_others(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && is_copied(name)) fs::copy_file(entry.path(), to / name);
  }
}

// What a single file says of texts, in files of its own. Returns: whether that is all it says.
bool write_texts(const Checkpoint& from, const fs::path& to) {
  if (const auto text = from.chat_template())
    files::write_file(to / "chat_template.jinja", *text, kOp);
  const files::GgufFile* gguf = from.contents().gguf();
  if (gguf == nullptr || !gguf->find("tokenizer.ggml.model")) return true;
  if (!has_text()) return false;
  try {
    files::write_file(to / "tokenizer.json", from.tokenizer().to_json(), kOp);
  } catch (const UnsupportedError&) {
    return false;
  }
  return true;
}

// A folder that is gone unless it is kept.
class Draft {
 public:
  explicit Draft(const fs::path& place)
      : path_(fmt::format("{}.{}.partial", place.string(), ::getpid())) {
    fs::create_directories(path_);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    std::error_code ignored;
    if (!is_kept_) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  void keep_as(const fs::path& place) {
    fs::rename(path_, place);
    is_kept_ = true;
  }

 private:
  fs::path path_;
  bool is_kept_ = false;
};

void check_options(const fs::path& to, const ConvertOptions& options) {
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
  if (fs::exists(to)) {
    throw ArgumentError(
        fmt::format("[convert] {} exists: remove it, or choose another place", to.string()));
  }
}

}  // namespace

double Converted::bits_per_weight() const {
  return parameters == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
}

Converted convert(const Checkpoint& from, const fs::path& to, const ConvertOptions& options) {
  // A slash at its end would put what is partial inside.
  const fs::path place = to.has_filename() ? to : to.parent_path();
  check_options(place, options);
  Plan plan(from, options);
  Converted result = plan.result();
  try {
    Draft draft(place);
    write_weights(draft.path(), plan.tensors(), plan.result().parameters, options.write);
    files::write_file(draft.path() / "config.json", plan.config().to_json(4) + "\n", kOp);
    if (fs::is_directory(from.path())) {
      copy_others(from.path(), draft.path());
    } else {
      result.has_tokenizer = write_texts(from, draft.path());
    }
    draft.keep_as(place);
  } catch (const fs::filesystem_error& error) {
    throw ArgumentError(
        fmt::format("[convert] {} can't be written: {}", place.string(), error.code().message()));
  }
  return result;
}

}  // namespace mlxnx
