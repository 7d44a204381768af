// Models as GGUF files.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "files/atomic_file.h"
#include "files/blocks.h"
#include "files/file_errors.h"
#include "files/gguf_writer.h"
#include "files/places.h"
#include "files/unpack_blocks.h"
#include "io/checkpoint_contents.h"
#include "io/destination.h"
#include "io/family_rules.h"
#include "io/gguf_names.h"
#include "io/gguf_settings.h"
#include "io/gguf_tokenizer.h"
#include "io/heads.h"
#include "io/rope_settings.h"
#include "mlxnx/convert.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx {
namespace {

using files::GgufEntry;
using files::StoredTensor;
using files::StoredType;
using io::GgufArchitecture;

constexpr std::string_view kGgufExportOp = "convert_to_gguf";
constexpr std::string_view kFrequencies = "rope_freqs.weight";

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

// Nothing for what is no number of a token: some settings have -1 for none.
std::optional<std::uint32_t> token_of(const Config& config, const char* key) {
  if (!config.contains(key)) return std::nullopt;
  std::vector<std::int64_t> ids;
  if (config.holds_list(key)) {
    // Of several ends the first is the one that models write.
    ids = config.get<std::vector<std::int64_t>>(key);
  } else {
    ids = {config.get<std::int64_t>(key)};
  }
  if (ids.empty() || ids[0] < 0) return std::nullopt;
  if (std::in_range<std::uint32_t>(ids[0])) return static_cast<std::uint32_t>(ids[0]);
  throw FormatError(fmt::format("{} is {}, which is no token", key, ids[0]));
}

std::vector<GgufEntry> tokenizer_of(const Checkpoint& from, std::int64_t rows) {
  if (!files::is_there(from.path() / "tokenizer.json", kGgufExportOp)) return {};
  std::vector<GgufEntry> entries = io::gguf_tokenizer(from.path(), rows);
  const auto put = [&](const char* own, const char* key) {
    if (const auto id = token_of(from.config(), own)) entries.push_back({key, *id});
  };
  put("bos_token_id", "tokenizer.ggml.bos_token_id");
  put("eos_token_id", "tokenizer.ggml.eos_token_id");
  put("pad_token_id", "tokenizer.ggml.padding_token_id");
  if (const auto text = from.chat_template()) entries.push_back({"tokenizer.chat_template", *text});
  return entries;
}

// Of the embedding, which has one for each token; without one what the settings say.
std::int64_t vocabulary_rows(const Checkpoint& from) {
  constexpr std::int64_t kMost = 1 << 24;
  const CheckpointTensor* embedding = from.find("model.embed_tokens.weight");
  if (embedding != nullptr && !embedding->type.shape.empty()) return embedding->type.shape[0];
  const auto size = from.config().get<std::int64_t>("vocab_size", 0);
  if (size >= 0 && size <= kMost) return size;
  throw FormatError(fmt::format("vocab_size is {}, and {} are the most", size, kMost));
}

std::vector<GgufEntry> metadata_of(const Checkpoint& from, const GgufArchitecture& architecture) {
  if (const files::GgufFile* gguf = from.contents().gguf()) return copied(*gguf);
  const std::int64_t rows = vocabulary_rows(from);
  std::vector<GgufEntry> metadata = io::gguf_settings(from.config(), architecture, rows);
  for (GgufEntry& entry : tokenizer_of(from, rows)) metadata.push_back(std::move(entry));
  return metadata;
}

// Tensors with their new names, each made when it is its turn.
class Tensors {
 public:
  using Make = std::function<std::vector<std::byte>()>;

  Tensors(const Checkpoint& from, const GgufArchitecture& architecture,
          std::optional<StoredType> wanted)
      : from_(from), architecture_(architecture), wanted_(wanted) {
    const bool has_tied_head = from.format() == "folder" && io::has_tied_head(from.config()) &&
                               from.contains("model.embed_tokens.weight");
    for (const CheckpointTensor& tensor : from.tensors()) {
      // Frequencies follow from the settings, and so does a head that is the embedding.
      if (tensor.name.ends_with("rotary_emb.inv_freq") ||
          (has_tied_head && tensor.name.starts_with("lm_head.")))
        continue;
      files::naming_tensor(tensor.name, [&] { add(tensor); });
    }
    if (from.format() == "folder") add_frequencies();
  }

  std::vector<StoredTensor> descriptions;
  std::vector<Make> makers;

 private:
  void add(const CheckpointTensor& tensor) {
    const std::string layer =
        tensor.name.substr(0, std::min(tensor.name.rfind('.'), tensor.name.size()));
    const std::optional<Quantization> form = from_.quantization(layer);
    const bool is_words = form && tensor.name.ends_with(".weight");
    if (form && !is_words && tensor.name != layer + ".bias") return;
    const auto name = io::gguf_name(architecture_, tensor.name);
    if (!name && tensor.name != kFrequencies) {
      throw UnsupportedError(fmt::format("the tensor {:?} has no name in GGUF's {}",
                                         files::cut(tensor.name), architecture_.name));
    }
    if (is_words) {
      add_quantized(tensor, layer, *form, *name);
    } else {
      add_dense(tensor, name.value_or(tensor.name));
    }
  }

  // What llama 3's scaling makes of frequencies has no settings there.
  void add_frequencies() {
    const io::RopeSettings rope = io::rope_settings(from_.config());
    if (rope.kind != "llama3" || !architecture_.has_frequencies) return;
    const Config& config = from_.config();
    const auto dim = config.get<std::int64_t>(
        "head_dim", config.get<std::int64_t>("hidden_size") /
                        std::max<std::int64_t>(config.get<std::int64_t>("num_attention_heads"), 1));
    const std::vector<double> exact =
        io::llama3_factors(rope.scaling, rope.base.value_or(10000), dim);
    const std::vector<float> factors(exact.begin(), exact.end());
    push(std::string(kFrequencies), StoredType::kF32, {static_cast<std::int64_t>(factors.size())},
         [factors] {
           const auto bytes = std::as_bytes(std::span(factors));
           return std::vector<std::byte>(bytes.begin(), bytes.end());
         });
  }

  std::int64_t heads_of(const std::string& name, const Shape& shape) const {
    return io::interleaved_heads(architecture_, from_.config(), name, shape);
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
      "[{}] the type {:?} is not written: keep, f32, f16, bf16, q8_0, q4_0 and q4_1 are",
      kGgufExportOp, name));
}

const GgufArchitecture& architecture_of(const Checkpoint& from) {
  const std::string type = from.config().get<std::string>("model_type", "");
  const GgufArchitecture* found = io::find_gguf_architecture_of(type);
  if (found != nullptr) return *found;
  throw UnsupportedError(fmt::format("[{}] {}: the model type {:?} has no GGUF form here: {} have",
                                     kGgufExportOp, from.path().string(), files::cut(type),
                                     io::known_gguf_architectures()));
}

}  // namespace

void convert_to_gguf(const Checkpoint& from, const std::filesystem::path& to,
                     const GgufOptions& options) {
  const std::filesystem::path place = io::free_place(to, kGgufExportOp);
  const std::optional<StoredType> wanted = wanted_type(options.type);
  const GgufArchitecture& architecture = architecture_of(from);
  const auto prepared = files::naming_file(kGgufExportOp, from.path(), [&] {
    return std::pair(metadata_of(from, architecture), Tensors(from, architecture, wanted));
  });
  const std::vector<GgufEntry>& metadata = prepared.first;
  const Tensors& tensors = prepared.second;
  std::uint64_t total = 0, done = 0;
  for (const StoredTensor& tensor : tensors.descriptions) total += tensor.bytes;
  files::AtomicFile file(place, kGgufExportOp);
  const auto make = [&](std::size_t i) {
    if (options.progress && !options.progress(done, total)) {
      throw InterruptedError(
          fmt::format("[{}] ended before all was written; nothing is left of it", kGgufExportOp));
    }
    const StoredTensor& tensor = tensors.descriptions[i];
    done += tensor.bytes;
    return files::naming_tensor(tensor.name, tensors.makers[i]);
  };
  files::naming_file(kGgufExportOp, from.path(), [&] {
    files::write_gguf(file, metadata, tensors.descriptions,
                      [&](std::size_t i, const files::GgufSink& sink) { sink(make(i)); });
  });
  file.commit();
  if (options.progress) options.progress(total, total);
}

}  // namespace mlxnx
