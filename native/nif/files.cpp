// Files of tensors and model folders, opened, read by names, and written. What reads or writes runs
// where it may wait for a disk.
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "files/gguf.h"
#include "io/tensor_file_contents.h"
#include "mlxnx/checkpoint.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "nif/function.h"
#include "nif/functions.h"
#include "nif/json_term.h"
#include "nif/pressure.h"
#include "nif/resource.h"
#include "nif/stream.h"
#include "nif/tensor.h"

namespace mlxnx::nif {

// What tensors are read from by their names.
using Source = std::variant<TensorFile, Checkpoint>;

template <>
struct Codec<Source> {
  static Source decode(ErlNifEnv* env, Term term) {
    if (const auto* file = Resource<TensorFile>::find(env, term)) return *file;
    if (const auto* checkpoint = Resource<Checkpoint>::find(env, term)) return *checkpoint;
    throw_unexpected(term, "an open file");
  }
};

template <>
struct Codec<TensorFile> {
  static TensorFile decode(ErlNifEnv* env, Term term) {
    return Resource<TensorFile>::get(env, term, "a file of tensors");
  }
};

template <>
struct Codec<Checkpoint> {
  static Checkpoint decode(ErlNifEnv* env, Term term) {
    return Resource<Checkpoint>::get(env, term, "a checkpoint");
  }
};

namespace {

// `{mode, bits, group_size}`
Term term_of(ErlNifEnv* env, const Quantization& form) {
  return enif_make_tuple3(env, encode(env, std::string(name(form.mode))), encode(env, form.bits),
                          encode(env, form.group_size));
}

Term named(ErlNifEnv* env, const std::map<std::string, Tensor>& tensors) {
  std::vector<Term> pairs;
  for (const auto& [name, tensor] : tensors)
    pairs.push_back(enif_make_tuple2(env, encode(env, name), with_type(env, tensor)));
  return encode(env, pairs);
}

Term pairs(ErlNifEnv* env, const std::map<std::string, std::string>& texts) {
  std::vector<Term> pairs;
  for (const auto& [key, value] : texts)
    pairs.push_back(enif_make_tuple2(env, encode(env, key), encode(env, value)));
  return encode(env, pairs);
}

// The parser allows four lists within each other.
Term term_of(ErlNifEnv* env, const files::GgufValue& value);

template <typename T>
Term list_of(ErlNifEnv* env, const std::vector<T>& items) {
  std::vector<Term> terms;
  terms.reserve(items.size());
  for (const T& item : items) {
    if constexpr (std::is_same_v<T, files::GgufValue>) {
      terms.push_back(term_of(env, item));
    } else {
      terms.push_back(
          Codec<std::conditional_t<std::is_same_v<T, std::string_view>, std::string, T>>::encode(
              env, item));
    }
  }
  return encode(env, terms);
}

Term list_of(ErlNifEnv* env, const files::GgufValue& value) {
  using files::GgufType;
  switch (value.item_type()) {
    case GgufType::kText:
      return list_of(env, value.as_texts());
    case GgufType::kList:
      return list_of(env, value.as_lists());
    case GgufType::kF32:
    case GgufType::kF64:
      return list_of(env, value.as_numbers());
    case GgufType::kU64: {
      std::vector<Term> items;
      for (auto bytes = value.as_bytes(); !bytes.empty(); bytes = bytes.subspan(8)) {
        std::uint64_t item = 0;
        std::memcpy(&item, bytes.data(), sizeof item);
        items.push_back(enif_make_uint64(env, item));
      }
      return encode(env, items);
    }
    case GgufType::kBool: {
      std::vector<Term> items;
      for (const bool item : value.as_booleans()) items.push_back(encode(env, item));
      return encode(env, items);
    }
    default:
      return list_of(env, value.as_integers());
  }
}

Term term_of(ErlNifEnv* env, const files::GgufValue& value) {
  using files::GgufType;
  switch (value.type()) {
    case GgufType::kText:
      return Codec<std::string>::encode(env, value.as_text());
    case GgufType::kList:
      return list_of(env, value);
    case GgufType::kBool:
      return encode(env, value.as_boolean());
    case GgufType::kF32:
    case GgufType::kF64:
      return encode(env, value.as_number());
    case GgufType::kU64:
      return enif_make_uint64(env, value.as_natural());
    default:
      return encode(env, value.as_integer());
  }
}

const files::GgufFile& gguf_of(const TensorFile& file) {
  const files::GgufFile* const gguf = file.contents().file.gguf();
  if (gguf == nullptr) throw ArgumentError("expected a .gguf file");
  return *gguf;
}

// NIF functions

Term file_open(ErlNifEnv* env, std::string path) {
  return Resource<TensorFile>::make(env, std::filesystem::path(path));
}

Term checkpoint_open(ErlNifEnv* env, std::string path, bool requantize) {
  return Resource<Checkpoint>::make(env, std::filesystem::path(path),
                                    Checkpoint::Options{.requantize = requantize});
}

std::string file_format(ErlNifEnv*, Source source) {
  return std::visit([](const auto& opened) { return std::string(opened.format()); }, source);
}

// `{name, type and shape of what reading answers, how it is stored, bytes in the file}` of each.
std::vector<Term> file_tensors(ErlNifEnv* env, Source source) {
  std::vector<Term> rows;
  const auto add = [&](const std::string& name, const TensorType& type, const std::string& stored,
                       std::uint64_t bytes) {
    rows.push_back(enif_make_tuple4(env, encode(env, name), encode(env, type), encode(env, stored),
                                    enif_make_uint64(env, bytes)));
  };
  if (const auto* file = std::get_if<TensorFile>(&source)) {
    for (const TensorInfo& tensor : file->tensors())
      add(tensor.name, {tensor.dtype, tensor.shape}, tensor.type, tensor.bytes);
  } else {
    for (const CheckpointTensor& tensor : std::get<Checkpoint>(source).tensors())
      add(tensor.name, tensor.type, tensor.stored, tensor.bytes);
  }
  return rows;
}

// `{key, text}` of each.
Term file_metadata(ErlNifEnv* env, Source source) {
  const auto* file = std::get_if<TensorFile>(&source);
  return file == nullptr ? encode(env, std::vector<Term>()) : pairs(env, file->metadata());
}

// `{tensor, {type, shape}}` for each name.
Term file_read(ErlNifEnv* env, Source source, std::vector<std::string> names, Where where) {
  const WhereScope scope(where);
  std::vector<Term> tensors;
  std::size_t bytes = 0;
  for (const std::string& name : names) {
    const Tensor tensor = std::visit([&](const auto& opened) { return opened.read(name); }, source);
    bytes += tensor.size() * size_bytes(tensor.dtype());
    tensors.push_back(with_type(env, tensor));
  }
  return with_pressure(env, note_built(bytes), encode(env, tensors));
}

// `{key, value}` of each.
std::vector<Term> gguf_metadata(ErlNifEnv* env, TensorFile file) {
  const files::GgufFile& gguf = gguf_of(file);
  std::vector<Term> pairs;
  for (std::size_t i = 0; i < gguf.size(); ++i) {
    const files::GgufValue value = gguf.value(i);
    pairs.push_back(
        enif_make_tuple2(env, Codec<std::string>::encode(env, value.key()), term_of(env, value)));
  }
  return pairs;
}

// `[value]`, or `[]` where there is no such key.
Term gguf_value(ErlNifEnv* env, TensorFile file, std::string key) {
  std::vector<Term> found;
  if (const auto value = gguf_of(file).find(key)) found.push_back(term_of(env, *value));
  return encode(env, found);
}

// For each name `{{mode, bits, group_size}, [{tensor, {type, shape}}]}`, of words, scales and where
// there are any biases; or nil, where MLX has no form for the blocks.
Term gguf_read_quantized(ErlNifEnv* env, TensorFile file, std::vector<std::string> names,
                         Where where) {
  const WhereScope scope(where);
  std::vector<Term> matrices;
  std::size_t bytes = 0;
  for (const std::string& each : names) {
    const std::optional<Quantized> matrix = file.read_quantized(each);
    if (!matrix) {
      matrices.push_back(atoms.nil);
      continue;
    }
    std::vector<Term> parts;
    const auto add = [&](const Tensor& part) {
      bytes += part.size() * size_bytes(part.dtype());
      parts.push_back(with_type(env, part));
    };
    add(matrix->weight);
    add(matrix->scales);
    if (matrix->biases) add(*matrix->biases);
    matrices.push_back(enif_make_tuple2(env, term_of(env, matrix->form), encode(env, parts)));
  }
  return with_pressure(env, note_built(bytes), encode(env, matrices));
}

std::map<std::string, Tensor> by_name(const std::vector<std::string>& names,
                                      const TensorList& tensors) {
  const std::vector<Tensor> copies = tensors.copies();
  if (copies.size() != names.size()) throw ArgumentError("as many names as tensors are wanted");
  std::map<std::string, Tensor> named;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!named.emplace(names[i], copies[i]).second)
      throw ArgumentError("two tensors are called " + names[i]);
  }
  return named;
}

// `metadata`: keys, each with its value behind it.
void safetensors_write(ErlNifEnv*, std::string path, std::vector<std::string> names,
                       TensorList tensors, std::vector<std::string> metadata) {
  if (metadata.size() % 2 != 0) throw ArgumentError("keys with values are wanted");
  std::map<std::string, std::string> texts;
  for (std::size_t i = 0; i < metadata.size(); i += 2) texts.emplace(metadata[i], metadata[i + 1]);
  save_safetensors(path, by_name(names, tensors), texts);
}

Term npy_read(ErlNifEnv* env, std::string path, Where where) {
  const WhereScope scope(where);
  const Tensor tensor = load_npy(path);
  const std::size_t bytes = tensor.size() * size_bytes(tensor.dtype());
  return with_pressure(env, note_built(bytes), with_type(env, tensor));
}

void npy_write(ErlNifEnv*, std::string path, TensorArg tensor) { save_npy(path, *tensor); }

// `{name, {tensor, {type, shape}}}` of each.
Term npz_read(ErlNifEnv* env, std::string path, Where where) {
  const WhereScope scope(where);
  const std::map<std::string, Tensor> tensors = load_npz(path);
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += tensor.size() * size_bytes(tensor.dtype());
  return with_pressure(env, note_built(bytes), named(env, tensors));
}

void npz_write(ErlNifEnv*, std::string path, std::vector<std::string> names, TensorList tensors,
               bool compressed) {
  save_npz(path, by_name(names, tensors), {.compressed = compressed});
}

Term checkpoint_config(ErlNifEnv* env, Checkpoint checkpoint) {
  return encode(env, checkpoint.config());
}

// `{mode, bits, group_size}`, or nil where the layer is not quantized.
Term checkpoint_quantization(ErlNifEnv* env, Checkpoint checkpoint, std::string layer) {
  const std::optional<Quantization> form = checkpoint.quantization(layer);
  return form ? term_of(env, *form) : atoms.nil;
}

std::optional<std::string> checkpoint_chat_template(ErlNifEnv*, Checkpoint checkpoint) {
  return checkpoint.chat_template();
}

// `{kind, config, scale, [{name, {tensor, {type, shape}}}]}`
Term adapter_read(ErlNifEnv* env, std::string path, Where where) {
  const WhereScope scope(where);
  const Adapter adapter = Adapter::read(path);
  constexpr const char* kKinds[] = {"lora", "dora", "full"};
  return enif_make_tuple4(env, enif_make_atom(env, kKinds[static_cast<int>(adapter.kind)]),
                          encode(env, adapter.config), enif_make_double(env, adapter.scale),
                          named(env, adapter.tensors));
}

}  // namespace

bool open_file_resources(ErlNifEnv* env, ErlNifResourceFlags flags) {
  return Resource<TensorFile>::open(env, "tensor_file", flags) &&
         Resource<Checkpoint>::open(env, "checkpoint", flags);
}

std::span<const ErlNifFunc> file_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"file_open", &file_open, WaitsForFiles{}>(),
      nif_function<"file_format", &file_format>(),
      nif_function<"file_tensors", &file_tensors, NeverQuick{}>(),
      nif_function<"file_metadata", &file_metadata, NeverQuick{}>(),
      nif_function<"file_read", &file_read, WaitsForFiles{}>(),
      nif_function<"safetensors_write", &safetensors_write, WaitsForFiles{}>(),
      nif_function<"gguf_metadata", &gguf_metadata, WaitsForFiles{}>(),
      nif_function<"gguf_value", &gguf_value, WaitsForFiles{}>(),
      nif_function<"gguf_read_quantized", &gguf_read_quantized, WaitsForFiles{}>(),
      nif_function<"npy_read", &npy_read, WaitsForFiles{}>(),
      nif_function<"npy_write", &npy_write, WaitsForFiles{}>(),
      nif_function<"npz_read", &npz_read, WaitsForFiles{}>(),
      nif_function<"npz_write", &npz_write, WaitsForFiles{}>(),
      nif_function<"checkpoint_open", &checkpoint_open, WaitsForFiles{}>(),
      nif_function<"checkpoint_config", &checkpoint_config, NeverQuick{}>(),
      nif_function<"checkpoint_quantization", &checkpoint_quantization>(),
      nif_function<"checkpoint_chat_template", &checkpoint_chat_template, WaitsForFiles{}>(),
      nif_function<"adapter_read", &adapter_read, WaitsForFiles{}>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
