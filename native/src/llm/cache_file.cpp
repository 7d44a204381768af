// Caches in mlx-lm's files. The states of layers are lists that are flattened: "3.0" is the first
// part of the fourth layer. Numbers are scalars, what is absent an empty tensor, and the header
// says which is which.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "llm/cached_rows.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/llm/prompt_cache.h"
#include "mlxnx/mlxnx.h"

namespace mlxnx::llm {
namespace {

constexpr std::string_view kFull = "KVCache", kRotating = "RotatingKVCache",
                           kQuantized = "QuantizedKVCache", kArrays = "ArraysCache";

class Writer {
 public:
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> header = {{"2.0", ""}};

  void layer(std::size_t number, const LayerCache& cache, std::int64_t offset) {
    layer_ = fmt::format("{}", number);
    if (const auto* rows = std::get_if<KeyValues>(&cache)) {
      header[fmt::format("1.{}", number)] = attention(*rows, offset);
    } else {
      header[fmt::format("1.{}", number)] = kArrays;
      const auto& states = std::get<Recurrent>(cache).states;
      for (std::size_t i = 0; i < states.size(); ++i) {
        const std::string name = fmt::format("{}.0.{}", layer_, i);
        if (states[i]) {
          tensors.emplace(name, *states[i]);
        } else {
          absent(name);
        }
      }
      absent(layer_ + ".1");
      absent(layer_ + ".2");
    }
  }

 private:
  std::string_view attention(const KeyValues& cache, std::int64_t offset) {
    if (cache.keys.is_empty())
      throw ArgumentError("[save_prompt_cache] the cache is empty: give it tokens first");
    part(0, cache.keys, cache.length);
    part(1, cache.values, cache.length);
    number(2, offset);
    if (cache.window != 0) {
      number(3, cache.keep);
      number(4, cache.window);
      number(5, cache.next == 0 ? cache.length : cache.next);
      return kRotating;
    }
    if (!cache.keys.quantized) return kFull;
    number(3, *cache.keys.quantized->form.group_size);
    number(4, *cache.keys.quantized->form.bits);
    return kQuantized;
  }
  void part(int at, const CachedRows& all, std::int64_t length) {
    const CachedRows used = rows::part(all, 0, length);
    const std::string name = fmt::format("{}.{}", layer_, at);
    if (used.dense) {
      tensors.emplace(name, *used.dense);
      return;
    }
    tensors.emplace(name + ".0", used.quantized->weight);
    tensors.emplace(name + ".1", used.quantized->scales);
    tensors.emplace(name + ".2", used.quantized->biases.value());
  }
  void number(int at, std::int64_t value) {
    const std::string name = fmt::format("{}.{}", layer_, at);
    tensors.emplace(name, Tensor(static_cast<std::int32_t>(value)));
    kind(name, "scalar");
  }
  void absent(const std::string& name) {
    tensors.emplace(name, Tensor::from_bytes({}, {DType::f32, {0}}));
    kind(name, "none");
  }
  void kind(const std::string& name, std::string_view what) {
    ++count_;
    header[fmt::format("2.{}.0", count_)] = name;
    header[fmt::format("2.{}.1", count_)] = what;
  }

  std::string layer_;
  std::size_t count_ = 0;
};

constexpr std::string_view kTokens = "0.tokens";

std::string text_of(std::span<const std::uint32_t> tokens) {
  return fmt::format("{}", fmt::join(tokens, " "));
}

std::vector<std::uint32_t> tokens_of(std::string_view text) {
  std::vector<std::uint32_t> tokens;
  for (const char *at = text.data(), *const end = at + text.size(); at != end;) {
    if (!tokens.empty() && *at++ != ' ') throw FormatError("its list of tokens is none");
    const auto [rest, error] = std::from_chars(at, end, tokens.emplace_back());
    if (error != std::errc()) throw FormatError("its list of tokens is none");
    at = rest;
  }
  return tokens;
}

class Reader {
 public:
  Reader(const TensorFile& file) : file_(file) {}

  LayerCache layer(std::size_t number, std::string_view kind, std::int64_t& offset) {
    layer_ = fmt::format("{}", number);
    if (kind == kArrays) return recurrent();
    if (kind != kFull && kind != kRotating && kind != kQuantized)
      throw UnsupportedError(fmt::format("caches of the kind {:?} can't be read", kind));
    KeyValues cache;
    cache.keys = part(0, kind == kQuantized);
    cache.values = part(1, kind == kQuantized);
    offset = number_at(2);
    const std::int64_t stored = rows::capacity(cache.keys);
    if (stored != rows::capacity(cache.values) || stored < 1)
      refuse("keys and values have different lengths");
    cache.length = std::min(stored, offset);
    if (kind == kRotating) {
      cache.keep = number_at(3);
      cache.window = number_at(4);
      const std::int64_t next = number_at(5);
      if (cache.window < 1 || cache.keep < 0 || cache.keep >= cache.window || next < 0 ||
          next > stored)
        refuse("its window and its places contradict each other");
      cache.next = next == cache.length ? 0 : next;
      cache.lost = offset - cache.length;
    }
    if (offset < 1 || (kind != kRotating && offset > stored))
      refuse(fmt::format("{} tokens, and {} rows", offset, stored));
    return cache;
  }

 private:
  LayerCache recurrent() {
    Recurrent cache;
    for (std::size_t i = 0;; ++i) {
      const std::string name = fmt::format("{}.0.{}", layer_, i);
      const TensorInfo* found = file_.find(name);
      if (found == nullptr) return cache;
      cache.states.emplace_back();
      if (element_count(found->shape) != 0) cache.states.back() = file_.read(name);
    }
  }
  CachedRows part(int at, bool is_quantized) {
    const std::string name = fmt::format("{}.{}", layer_, at);
    if (!is_quantized) return {.dense = rows_at(name)};
    Quantized packed{rows_at(name + ".0"), rows_at(name + ".1"), rows_at(name + ".2")};
    packed.form = {.bits = number_at(4), .group_size = number_at(3)};
    return {.quantized = packed};
  }
  Tensor rows_at(const std::string& name) {
    if (file_.find(name) == nullptr) refuse(fmt::format("there is no {:?}", name));
    Tensor tensor = file_.read(name);
    if (tensor.rank() != 4)
      refuse(fmt::format("{:?} is {}, and four axes are wanted", name, to_string(tensor.type())));
    return tensor;
  }
  std::int64_t number_at(int at) {
    const std::string name = fmt::format("{}.{}", layer_, at);
    const TensorInfo* found = file_.find(name);
    if (found == nullptr || element_count(found->shape) != 1 || is_float(found->dtype))
      refuse(fmt::format("{:?} is no number", name));
    return file_.read(name).item<std::int64_t>();
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw FormatError(fmt::format("layer {}: {}", layer_, what));
  }

  const TensorFile& file_;
  std::string layer_;
};

SavedCache read(const TensorFile& file) {
  SavedCache saved;
  const auto& header = file.metadata();
  for (const auto& [name, text] : header) {
    if (name == kTokens) {
      saved.tokens = tokens_of(text);
    } else if (name.starts_with("0.")) {
      saved.metadata.emplace(name.substr(2), text);
    }
  }
  Reader reader(file);
  for (std::size_t number = 0;; ++number) {
    const auto kind = header.find(fmt::format("1.{}", number));
    if (kind == header.end()) break;
    saved.cache.layers.push_back(reader.layer(number, kind->second, saved.cache.offset));
  }
  if (saved.cache.layers.empty()) throw FormatError("it holds no cache of mlx-lm's");
  // Recurrent layers alone don't say.
  if (saved.cache.offset == 0) saved.cache.offset = std::ssize(saved.tokens);
  if (!saved.tokens.empty() && std::cmp_not_equal(saved.tokens.size(), saved.cache.offset)) {
    throw FormatError(fmt::format("it tells of {} tokens, and holds {}", saved.tokens.size(),
                                  saved.cache.offset));
  }
  return saved;
}

bool is_prompt_cache(const std::filesystem::path& path) {
  try {
    return TensorFile(path).metadata().contains("1.0");
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

void require_prompt_cache_place(const std::filesystem::path& path) {
  const auto refuse = [&](std::string_view why) {
    return ArgumentError(
        fmt::format("[save_prompt_cache] {} can't be written: {}", path.string(), why));
  };
  std::error_code error;
  const std::filesystem::file_status there = std::filesystem::status(path, error);
  if (std::filesystem::is_directory(there)) throw refuse("it is a folder");
  // A device or a pipe, which is written into.
  if (std::filesystem::is_other(there)) return;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (!std::filesystem::is_directory(folder, error))
    throw refuse(fmt::format("there is no folder {}", folder.string()));
  if (::access(folder.c_str(), W_OK) != 0) throw refuse(std::strerror(errno));
  // It may be the prompt's file, or the model.
  if (std::filesystem::exists(there) && !is_prompt_cache(path))
    throw refuse("it is there, and is no prompt cache; give another name, or remove it first");
}

void save_prompt_cache(const std::filesystem::path& path, const Cache& cache,
                       const std::map<std::string, std::string>& metadata,
                       std::span<const std::uint32_t> tokens) {
  if (!cache.left_padding.empty())
    throw ArgumentError("[save_prompt_cache] the cache is that of a batch of padded texts");
  require_prompt_cache_place(path);
  Writer writer;
  for (std::size_t layer = 0; layer < cache.layers.size(); ++layer)
    writer.layer(layer, cache.layers[layer], cache.offset);
  for (const auto& [key, text] : metadata) writer.header.emplace("0." + key, text);
  if (!tokens.empty()) writer.header.emplace(kTokens, text_of(tokens));
  save_safetensors(path, writer.tensors, writer.header);
}

SavedCache load_prompt_cache(const std::filesystem::path& path) {
  const TensorFile file(path);
  const auto named = [&](const char* what) {
    return fmt::format("[load_prompt_cache] {}: {}", path.string(), what);
  };
  try {
    return read(file);
  } catch (const FormatError& error) {
    throw FormatError(named(error.what()));
  } catch (const UnsupportedError& error) {
    throw UnsupportedError(named(error.what()));
  }
}

}  // namespace mlxnx::llm
