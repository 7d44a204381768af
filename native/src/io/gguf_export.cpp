// Models as GGUF files.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "files/atomic_file.h"
#include "files/blocks.h"
#include "files/file_errors.h"
#include "files/gguf_writer.h"
#include "files/unpack_blocks.h"
#include "io/checkpoint_contents.h"
#include "io/gguf_names.h"
#include "io/gguf_tokenizer.h"
#include "io/heads.h"
#include "mlxnx/convert.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx {
namespace {

using files::GgufEntry;
using files::StoredTensor;
using files::StoredType;
using io::GgufArchitecture;

constexpr std::string_view kOp = "convert_to_gguf";

struct Wanted {
  std::string_view name;
  StoredType type;
};
constexpr std::array kWanted = {
    Wanted{"f32", StoredType::kF32},   Wanted{"f16", StoredType::kF16},
    Wanted{"bf16", StoredType::kBF16}, Wanted{"q8_0", StoredType::kQ8_0},
    Wanted{"q4_0", StoredType::kQ4_0}, Wanted{"q4_1", StoredType::kQ4_1}};

template <typename T>
std::span<const T> elements(const TensorView& view) {
  return {reinterpret_cast<const T*>(view.bytes().data()), view.bytes().size() / sizeof(T)};
}

// Settings as the file names them.
class Settings {
 public:
  Settings(const Checkpoint& from, const GgufArchitecture& architecture)
      : config_(from.config()), architecture_(architecture) {}

  std::vector<GgufEntry> write() {
    entries_.push_back({"general.architecture", std::string(architecture_.name)});
    entries_.push_back({"general.quantization_version", std::uint32_t{2}});
    for (const auto& [key, own] : io::gguf_integers()) put_integer(key, own);
    for (const auto& [key, own] : io::gguf_numbers()) put_number(key, own);
    if (config_.contains("head_dim")) {
      put_integer("rope.dimension_count", "head_dim");
      put_integer("attention.value_length", "head_dim");
    }
    put_rope_scaling();
    return std::move(entries_);
  }

 private:
  std::string full(std::string_view key) const {
    return fmt::format("{}.{}", architecture_.name, key);
  }
  void put_integer(std::string_view key, std::string_view own) {
    if (config_.contains(own))
      entries_.push_back({full(key), static_cast<std::uint32_t>(config_.get<std::int64_t>(own))});
  }
  void put_number(std::string_view key, std::string_view own) {
    if (config_.contains(own))
      entries_.push_back({full(key), static_cast<float>(config_.get<double>(own))});
  }
  void put_rope_scaling() {
    if (!config_.contains("rope_scaling")) return;
    const Config scaling = config_.get<Config>("rope_scaling");
    const std::string kind =
        scaling.get<std::string>("rope_type", scaling.get<std::string>("type", "default"));
    if (kind == "default") return;
    if (kind != "linear" && kind != "yarn") {
      throw UnsupportedError(
          fmt::format("[{}] rope_scaling of the type {:?} is not written to GGUF", kOp, kind));
    }
    entries_.push_back({full("rope.scaling.type"), kind});
    entries_.push_back(
        {full("rope.scaling.factor"), static_cast<float>(scaling.get<double>("factor"))});
    if (scaling.contains("original_max_position_embeddings")) {
      entries_.push_back({full("rope.scaling.original_context_length"),
                          static_cast<std::uint32_t>(
                              scaling.get<std::int64_t>("original_max_position_embeddings"))});
    }
  }

  const Config& config_;
  const GgufArchitecture& architecture_;
  std::vector<GgufEntry> entries_;
};

// All that a file says, but for what is about how it is written.
std::vector<GgufEntry> copied(const files::GgufFile& gguf) {
  constexpr std::array<std::string_view, 2> kOwn = {files::kGgufAlignmentKey, "general.file_type"};
  std::vector<GgufEntry> entries;
  for (std::size_t i = 0; i < gguf.size(); ++i) {
    const files::GgufValue value = gguf.value(i);
    if (std::ranges::find(kOwn, value.key()) == kOwn.end())
      entries.push_back({std::string(value.key()), value});
  }
  return entries;
}

std::vector<GgufEntry> tokenizer_of(const Checkpoint& from) {
  std::vector<GgufEntry> entries;
  if (!std::filesystem::exists(from.path() / "tokenizer.json")) return entries;
  entries = io::gguf_tokenizer(from.path(), from.config());
  const auto put = [&](std::string_view own, const char* key) {
    if (!from.config().contains(own)) return;
    // Of several ends the first is the one that models write.
    const std::int64_t id = from.config().holds_list(own)
                                ? from.config().get<std::vector<std::int64_t>>(own).at(0)
                                : from.config().get<std::int64_t>(own);
    entries.push_back({key, static_cast<std::uint32_t>(id)});
  };
  put("bos_token_id", "tokenizer.ggml.bos_token_id");
  put("eos_token_id", "tokenizer.ggml.eos_token_id");
  put("pad_token_id", "tokenizer.ggml.padding_token_id");
  if (const auto text = from.chat_template()) entries.push_back({"tokenizer.chat_template", *text});
  return entries;
}

std::vector<GgufEntry> metadata_of(const Checkpoint& from, const GgufArchitecture& architecture) {
  if (const files::GgufFile* gguf = from.contents().gguf()) return copied(*gguf);
  std::vector<GgufEntry> metadata = Settings(from, architecture).write();
  for (GgufEntry& entry : tokenizer_of(from)) metadata.push_back(std::move(entry));
  return metadata;
}

// Tensors with their new names, each made when it is its turn.
class Tensors {
 public:
  using Make = std::function<std::vector<std::byte>()>;

  Tensors(const Checkpoint& from, const GgufArchitecture& architecture,
          std::optional<StoredType> wanted)
      : from_(from), architecture_(architecture), wanted_(wanted) {
    for (const CheckpointTensor& tensor : from.tensors()) add(tensor);
  }

  std::vector<StoredTensor> descriptions;
  std::vector<Make> makers;

 private:
  void add(const CheckpointTensor& tensor) {
    const std::string layer =
        tensor.name.substr(0, std::min(tensor.name.rfind('.'), tensor.name.size()));
    const std::optional<Quantization> form = from_.quantization(layer);
    if (form && !tensor.name.ends_with(".weight") && tensor.name != layer + ".bias") return;
    const auto name = io::gguf_name(architecture_, tensor.name);
    if (!name && tensor.name != "rope_freqs.weight") {
      throw UnsupportedError(fmt::format("[{}] the tensor {:?} has no name in GGUF's {}", kOp,
                                         tensor.name, architecture_.name));
    }
    if (form) {
      add_quantized(tensor, layer, *form, *name);
    } else {
      add_dense(tensor, name.value_or(tensor.name));
    }
  }

  std::int64_t heads_of(const std::string& name, const Shape& shape) const {
    return files::naming_file(kOp, from_.path(), [&] {
      return io::interleaved_heads(architecture_, from_.config(), name, shape);
    });
  }

  StoredType dense_type(const CheckpointTensor& tensor) const {
    if (tensor.type.shape.size() < 2) return StoredType::kF32;
    StoredType type = wanted_.value_or(tensor.type.dtype == DType::f32    ? StoredType::kF32
                                       : tensor.type.dtype == DType::bf16 ? StoredType::kBF16
                                                                          : StoredType::kF16);
    // Rows that are no whole blocks stay floats.
    if (tensor.type.shape.back() % files::row_of(type).per_block != 0) type = StoredType::kF16;
    return type;
  }

  void push(const std::string& name, StoredType type, const Shape& shape, Make make) {
    descriptions.push_back(
        {.name = name, .type = type, .shape = shape, .bytes = files::stored_bytes(type, shape)});
    makers.push_back(std::move(make));
  }

  void add_dense(const CheckpointTensor& tensor, const std::string& name) {
    const StoredType type = dense_type(tensor);
    const bool is_shifted = architecture_.are_norms_shifted && tensor.name.ends_with("norm.weight");
    push(name, type, tensor.type.shape,
         [from = from_, own = tensor.name, type, heads = heads_of(tensor.name, tensor.type.shape),
          is_shifted] {
           Tensor elements = from.read(own);
           if (is_shifted) elements = as_type(elements, DType::f32) + 1.0;
           return as_stored(io::with_heads_interleaved(elements, heads), type);
         });
  }

  static std::vector<std::byte> as_stored(const Tensor& tensor, StoredType type) {
    const files::StoredTypeRow& row = files::row_of(type);
    if (row.dtype) return as_type(tensor, *row.dtype).to_bytes();
    const TensorView view(as_type(tensor, DType::f32));
    std::vector<std::byte> blocks(files::stored_bytes(type, tensor.shape()));
    files::encode_blocks(type, elements<float>(view), blocks);
    return blocks;
  }

  void add_quantized(const CheckpointTensor& tensor, const std::string& layer,
                     const Quantization& form, const std::string& name) {
    Shape dense = tensor.type.shape;
    dense.back() = dense.back() * 32 / *form.bits;
    const std::int64_t heads = heads_of(tensor.name, dense);
    const bool may_be_kept = !wanted_ && form.mode == QuantizationMode::kAffine &&
                             form.group_size == 32 &&
                             from_.find(layer + ".scales")->type.dtype == DType::f16;
    if (may_be_kept) {
      if (const auto type = kept_type(layer, form)) {
        push(name, *type, dense, [from = from_, layer, form, type, heads] {
          return kept(from, layer, form, *type, heads);
        });
        return;
      }
    }
    const StoredType type =
        dense_type({.name = tensor.name, .type = {DType::f16, dense}, .stored = ""});
    push(name, type, dense, [from = from_, layer, type, heads] {
      const Tensor own = dequantize(from.read_quantized(layer).value(), DType::f32);
      return as_stored(io::with_heads_interleaved(own, heads), type);
    });
  }

  // Views of the three parts, in the order of the file's rows.
  template <typename F>
  static auto with_groups(const Checkpoint& from, const std::string& layer,
                          const Quantization& form, std::int64_t heads, F f) {
    const auto read = [&](const char* part) {
      return io::with_heads_interleaved(from.read(layer + part), heads);
    };
    const TensorView words(read(".weight")), scales(read(".scales")), biases(read(".biases"));
    return f(files::AffineGroups{static_cast<int>(*form.bits), elements<std::uint32_t>(words),
                                 elements<std::uint16_t>(scales), elements<std::uint16_t>(biases)});
  }

  std::optional<StoredType> kept_type(const std::string& layer, const Quantization& form) const {
    return with_groups(from_, layer, form, 0,
                       [](const files::AffineGroups& groups) { return files::block_type(groups); });
  }

  static std::vector<std::byte> kept(const Checkpoint& from, const std::string& layer,
                                     const Quantization& form, StoredType type,
                                     std::int64_t heads) {
    return with_groups(from, layer, form, heads, [&](const files::AffineGroups& groups) {
      std::vector<std::byte> blocks(groups.scales.size() * files::row_of(type).block_bytes);
      files::unpack_blocks(groups, type, blocks);
      return blocks;
    });
  }

  const Checkpoint& from_;
  const GgufArchitecture& architecture_;
  std::optional<StoredType> wanted_;
};

std::optional<StoredType> wanted_type(const std::string& name) {
  if (name == "keep") return std::nullopt;
  const auto* found = std::ranges::find(kWanted, name, &Wanted::name);
  if (found != kWanted.end()) return found->type;
  throw ArgumentError(fmt::format(
      "[{}] the type {:?} is not written: keep, f32, f16, bf16, q8_0, q4_0 and q4_1 are", kOp,
      name));
}

const GgufArchitecture& architecture_of(const Checkpoint& from) {
  const std::string type = from.config().get<std::string>("model_type", "");
  const GgufArchitecture* found = io::find_gguf_architecture_of(type);
  if (found != nullptr) return *found;
  throw UnsupportedError(fmt::format("[{}] {}: the model type {:?} has no GGUF form here: {} have",
                                     kOp, from.path().string(), type,
                                     io::known_gguf_architectures()));
}

}  // namespace

void convert_to_gguf(const Checkpoint& from, const std::filesystem::path& to,
                     const GgufOptions& options) {
  const std::optional<StoredType> wanted = wanted_type(options.type);
  const GgufArchitecture& architecture = architecture_of(from);
  if (std::filesystem::exists(to)) {
    throw ArgumentError(
        fmt::format("[{}] {} exists: remove it, or choose another place", kOp, to.string()));
  }
  std::vector<GgufEntry> metadata = metadata_of(from, architecture);
  const Tensors tensors(from, architecture, wanted);
  std::uint64_t total = 0, done = 0;
  for (const StoredTensor& tensor : tensors.descriptions) total += tensor.bytes;
  files::AtomicFile file(to, kOp);
  files::write_gguf(
      file, metadata, tensors.descriptions, [&](std::size_t i, const files::GgufSink& sink) {
        if (options.progress && !options.progress(done, total)) {
          throw InterruptedError(
              fmt::format("[{}] ended before all was written; nothing is left of it", kOp));
        }
        sink(tensors.makers[i]());
        done += tensors.descriptions[i].bytes;
      });
  file.commit();
  if (options.progress) options.progress(total, total);
}

}  // namespace mlxnx
