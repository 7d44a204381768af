#include "io/gguf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "files/blocks.h"
#include "files/file_errors.h"
#include "files/gguf.h"
#include "files/pack_blocks.h"
#include "io/gguf_names.h"
#include "io/heads.h"
#include "io/quantization_settings.h"
#include "io/rope_settings.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "tensor/node.h"

namespace mlxnx::io {
namespace {

using files::GgufFile;
using files::GgufValue;
using files::StoredTensor;
using files::StoredType;

constexpr std::string_view kFrequencies = "rope_freqs.weight";

// Blocks as words, scales and biases --------------------------------------------------------------

constexpr std::size_t kParts = 3;

// What holds the scales of a sane block exactly: f16 where they are single numbers, not products.
DType scale_type(StoredType type, const files::PackedForm& form) {
  if (!form.has_biases) return DType::u8;
  return type == StoredType::kQ4_K || type == StoredType::kQ5_K ? DType::f32 : DType::f16;
}

// Words, scales, and biases where there are any.
std::vector<TensorType> types_of(const StoredTensor& tensor, const files::PackedForm& form,
                                 DType scales) {
  Shape words = tensor.shape, groups = tensor.shape;
  words.back() = words.back() * form.bits / 32;
  groups.back() /= form.group_size;
  std::vector<TensorType> types = {{DType::u32, words}, {scales, groups}};
  if (form.has_biases) types.push_back({scales, groups});
  return types;
}

std::vector<Tensor> packed(const OpenFile& file, const StoredTensor& tensor) {
  const files::PackedForm form = *files::packed_form(tensor.type);
  const std::vector<TensorType> types = types_of(tensor, form, scale_type(tensor.type, form));
  const std::span<const std::byte> blocks = file.bytes(tensor);
  const auto exact = files::packed_scale_type(tensor.type, blocks);
  if (!exact || (types[1].dtype == DType::f16 && *exact != StoredType::kF16)) {
    throw UnsupportedError(fmt::format(
        "[checkpoint] {}: tensor {:?} of {} has a scale that MLX's form does not hold; read it by "
        "TensorFile, which decodes it",
        file.path().string(), tensor.name, files::row_of(tensor.type).name));
  }
  const StoredType stored = types[1].dtype == DType::f32 ? StoredType::kF32 : *exact;
  // Written where they stay: copies of all would be felt.
  std::array<files::Pages, 3> pages;
  for (std::size_t i = 0; i < types.size(); ++i) {
    pages[i] = files::Pages::of_memory(static_cast<std::size_t>(element_count(types[i].shape)) *
                                       size_bytes(types[i].dtype));
    pages[i].expect_writing();
  }
  const auto bytes = [&](std::size_t i) -> std::span<std::byte> {
    return {pages[i].data(), pages[i].bytes().size()};
  };
  files::pack_blocks(tensor.type, blocks, stored,
                     {reinterpret_cast<std::uint32_t*>(pages[0].data()), bytes(0).size() / 4},
                     bytes(1), bytes(2));
  file.forget(tensor);
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < types.size(); ++i)
    parts.push_back(tensors::from_pages(std::move(pages[i]), types[i]));
  return parts;
}

// Blocks that MLX has no form for, in the one that is nearest to them.
constexpr files::PackedForm kNearest = {"affine", 8, 32, true};

std::vector<Tensor> requantized(const OpenFile& file, const StoredTensor& tensor) {
  const Quantized nearest =
      quantize(file.read(tensor), {.bits = kNearest.bits, .group_size = kNearest.group_size});
  return {nearest.weight, nearest.scales, *nearest.biases};
}

// Settings ----------------------------------------------------------------------------------------

class SettingsReader {
 public:
  SettingsReader(const OpenFile& file, const GgufFile& gguf, const GgufArchitecture& architecture)
      : file_(file), gguf_(gguf), architecture_(architecture) {}

  Config read() {
    config_.set("model_type", std::string(architecture_.model_type));
    for (const auto& [key, own] : gguf_integers()) {
      if (const auto value = find(key)) set_integer(own, *value);
    }
    for (const auto& [key, own] : gguf_numbers()) {
      if (const auto value = find(key)) config_.set(own, value->as_number());
    }
    if (const auto tokens = gguf_.find("tokenizer.ggml.tokens"))
      config_.set("vocab_size", static_cast<std::int64_t>(tokens->size()));
    for (const auto& [key, own] : {GgufName{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                   GgufName{"tokenizer.ggml.eos_token_id", "eos_token_id"},
                                   GgufName{"tokenizer.ggml.padding_token_id", "pad_token_id"}}) {
      if (const auto value = gguf_.find(key)) config_.set(own, value->as_integer());
    }
    set_rope_scaling();
    config_.set("tie_word_embeddings", file_.find("output.weight") == nullptr);
    config_.set("attention_bias", file_.find("blk.0.attn_q.bias") != nullptr);
    config_.set("mlp_bias", file_.find("blk.0.ffn_up.bias") != nullptr);
    adapt();
    set_frequencies();
    set_rope_part();
    set_pattern();
    set_score_scale();
    return config_;
  }

 private:
  std::optional<GgufValue> find(std::string_view key) const {
    return gguf_.find(fmt::format("{}.{}", architecture_.name, key));
  }

  // What differs by layer stands there as a list; where it does not differ, one number says it.
  void set_integer(std::string_view own, const GgufValue& value) {
    if (value.type() != files::GgufType::kList) {
      config_.set(own, value.as_integer());
      return;
    }
    const std::vector<std::int64_t> each = value.as_integers();
    const bool are_equal =
        std::ranges::all_of(each, [&](std::int64_t number) { return number == each.front(); });
    if (are_equal && !each.empty()) {
      config_.set(own, each.front());
    } else {
      config_.set(own, each);
    }
  }

  void set_rope_scaling() {
    const auto kind = find("rope.scaling.type");
    if (!kind || kind->as_text() == "none") return;
    Config scaling;
    scaling.set("rope_type", std::string(kind->as_text()));
    if (const auto factor = find("rope.scaling.factor")) scaling.set("factor", factor->as_number());
    if (const auto length = find("rope.scaling.original_context_length"))
      scaling.set("original_max_position_embeddings", length->as_integer());
    for (const auto& [key, own] : gguf_yarn_numbers()) {
      if (const auto value = find(key)) scaling.set(own, value->as_number());
    }
    config_.set("rope_scaling", scaling);
  }

  // The settings whose frequencies a tensor divides.
  void set_frequencies() {
    const StoredTensor* stored = file_.find(kFrequencies);
    if (stored == nullptr || !architecture_.has_frequencies) return;
    const std::vector<float> factors = as_type(file_.read(*stored), DType::f32).to_vector<float>();
    if (factors.empty()) return;
    if (const auto scaling = llama3_scaling(factors, config_.get<double>("rope_theta", 10000)))
      config_.set("rope_scaling", *scaling);
  }

  // Which part of a head is turned.
  void set_rope_part() {
    const auto turned = find("rope.dimension_count");
    const auto size = config_.get<std::int64_t>("head_dim", 0);
    if (!turned || size < 1 || turned->as_integer() == size) return;
    config_.set("partial_rotary_factor",
                static_cast<double>(turned->as_integer()) / static_cast<double>(size));
  }

  void set_pattern() {
    if (architecture_.name != "gemma3") return;
    constexpr std::int64_t kUsual = 6;
    const auto pattern = find("attention.sliding_window_pattern");
    const bool is_number = pattern && pattern->type() != files::GgufType::kList;
    config_.set("sliding_window_pattern", is_number ? pattern->as_integer() : kUsual);
    if (const auto base = find("rope.freq_base_swa"))
      config_.set("rope_local_base_freq", base->as_number());
  }

  void set_score_scale() {
    const auto scale =
        gguf_score_scale(architecture_, config_.get<std::int64_t>("num_hidden_layers", 0),
                         config_.get<std::int64_t>("hidden_size", 0),
                         config_.get<std::int64_t>("num_attention_heads", 0),
                         config_.get<std::int64_t>("head_dim", 0));
    if (scale && *scale > 0) config_.set("query_pre_attn_scalar", *scale);
  }

  // What one model type says otherwise than others.
  void adapt() {
    const std::string_view type = architecture_.model_type;
    if (type == "llama" && config_.get<std::int64_t>("num_experts", 0) > 0) {
      config_.set("model_type", std::string("mixtral"));
      config_.set_from("num_local_experts", config_, "num_experts");
    }
    if (type == "qwen3_moe" || type == "qwen2_moe") {
      config_.set("norm_topk_prob", type == "qwen3_moe");
      config_.set("decoder_sparse_step", std::int64_t{1});
      config_.set("mlp_only_layers", std::vector<std::int64_t>());
    }
    if (!config_.contains("head_dim")) {
      const auto heads = config_.get<std::int64_t>("num_attention_heads", 0);
      const auto size = config_.get<std::int64_t>("hidden_size", 0);
      if (heads > 0 && size % heads == 0) config_.set("head_dim", size / heads);
    }
  }

  const OpenFile& file_;
  const GgufFile& gguf_;
  const GgufArchitecture& architecture_;
  Config config_;
};

// Tensors -----------------------------------------------------------------------------------------

class Tensors {
 public:
  Tensors(std::shared_ptr<const OpenFile> file, const GgufArchitecture& architecture,
          const Config& config, const Checkpoint::Options& options)
      : file_(std::move(file)), architecture_(architecture), config_(config), options_(options) {}

  Entries read() {
    for (const StoredTensor& tensor : file_->tensors()) {
      // What it says stands in the settings.
      if (tensor.name == kFrequencies && architecture_.has_frequencies) continue;
      add(tensor);
    }
    return std::move(entries_);
  }

 private:
  void add(const StoredTensor& tensor) {
    const std::string name = own_name(architecture_, tensor.name).value_or(tensor.name);
    const auto form = files::packed_form(tensor.type);
    const bool is_matrix = tensor.shape.size() >= 2 && name.ends_with(".weight");
    if (form && is_matrix) {
      add_parts(name, tensor, types_of(tensor, *form, scale_type(tensor.type, *form)),
                [file = file_, &tensor] { return packed(*file, tensor); });
    } else if (is_matrix && options_.requantize && files::is_block_type(tensor.type)) {
      add_parts(name, tensor, types_of(tensor, kNearest, DType::f32),
                [file = file_, &tensor] { return requantized(*file, tensor); });
    } else {
      Entry entry = entry_of(file_, tensor);
      if (architecture_.are_norms_shifted && name.ends_with("norm.weight")) {
        entry.read = [read = entry.read] {
          const Tensor own = read();
          return as_type(own - 1.0, own.dtype());
        };
        entry.place = nullptr;
      }
      put(name, std::move(entry));
    }
  }

  void add_parts(const std::string& name, const StoredTensor& tensor,
                 const std::vector<TensorType>& types, std::function<std::vector<Tensor>()> make) {
    constexpr std::array<std::string_view, 3> kNames = {"weight", "scales", "biases"};
    const auto parts = std::make_shared<PartsOnce>(std::move(make));
    const std::string layer = name.substr(0, name.size() - kNames[0].size());
    for (std::size_t part = 0; part < types.size(); ++part) {
      Entry entry;
      entry.type = types[part];
      entry.stored = std::string(files::row_of(tensor.type).name);
      entry.bytes = part == 0 ? tensor.bytes : 0;
      entry.read = [parts, part] { return parts->read(part); };
      put(layer + std::string(kNames[part]), std::move(entry));
    }
  }

  void put(const std::string& name, Entry entry) {
    const std::int64_t heads = interleaved_heads(architecture_, config_, name, entry.type.shape);
    if (heads > 0) {
      entry.read = [read = entry.read, heads] { return with_heads_apart(read(), heads); };
      entry.place = nullptr;
    }
    if (!entries_.emplace(name, std::move(entry)).second)
      throw FormatError(fmt::format("two tensors are {:?}", name));
  }

  std::shared_ptr<const OpenFile> file_;
  const GgufArchitecture& architecture_;
  const Config& config_;
  const Checkpoint::Options& options_;
  Entries entries_;
};

// The form of most layers, and those of others by their names.
void note_forms(const Entries& entries, Config& config) {
  constexpr std::string_view kScales = ".scales";
  const Quantization most = {.bits = 4, .group_size = 32};
  Config settings = settings_of(most);
  bool has_affine = false;
  for (const auto& [name, entry] : entries) {
    if (!name.ends_with(kScales)) continue;
    const std::string layer = name.substr(0, name.size() - kScales.size());
    Quantization own = most;
    if (!entries.contains(layer + ".biases")) {
      const bool is_nvfp4 = entry.stored == "NVFP4";
      own.mode = is_nvfp4 ? QuantizationMode::kNvfp4 : QuantizationMode::kMxfp4;
      if (is_nvfp4) own.group_size = 16;
    }
    has_affine = has_affine || own.mode == QuantizationMode::kAffine;
    own.bits = entries.at(layer + ".weight").type.shape.back() * 32 /
               (entry.type.shape.back() * *own.group_size);
    if (own != most) settings.set(layer, settings_of(own));
  }
  // Other modes are told by the shapes.
  if (has_affine) note_quantization(config, settings);
}

Source opened(const std::shared_ptr<const OpenFile>& file, const Checkpoint::Options& options) {
  const GgufFile& gguf = *file->gguf();
  const std::string_view name = gguf.at("general.architecture").as_text();
  const GgufArchitecture* architecture = find_gguf_architecture(name);
  if (architecture == nullptr) {
    throw UnsupportedError(fmt::format(
        "the architecture {:?} is not supported: {} are; its tensors can be read by TensorFile",
        files::cut(std::string(name)), known_gguf_architectures()));
  }
  Source source{.format = "gguf", .gguf_file = file};
  source.config = SettingsReader(*file, gguf, *architecture).read();
  source.entries = Tensors(file, *architecture, source.config, options).read();
  note_forms(source.entries, source.config);
  return source;
}

}  // namespace

std::optional<Quantized> read_packed(const OpenFile& file, const StoredTensor& tensor) {
  const auto form = files::packed_form(tensor.type);
  if (!form || tensor.shape.size() < 2) return std::nullopt;
  const std::vector<Tensor> parts = packed(file, tensor);
  Quantized matrix{.weight = parts[0],
                   .scales = parts[1],
                   .form = {.mode = quantization_mode(form->mode),
                            .bits = form->bits,
                            .group_size = form->group_size}};
  if (form->has_biases) matrix.biases = parts[2];
  return matrix;
}

Source open_gguf(const std::shared_ptr<const OpenFile>& file, const Checkpoint::Options& options) {
  return files::naming_file("checkpoint", file->path(), [&] { return opened(file, options); });
}

}  // namespace mlxnx::io
