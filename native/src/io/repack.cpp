// Weights as other libraries quantize them, in mlx's forms.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "files/file_errors.h"
#include "files/nibbles.h"
#include "io/entries.h"
#include "io/quantization_settings.h"
#include "io/stored_tensor.h"
#include "mlxnx/error.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/quantize.h"

namespace mlxnx::io {
namespace {

constexpr std::int64_t kPerWord = 8;  // weights of 4 bits

[[noreturn]] void refuse(const std::string& what) { throw FormatError("[checkpoint] " + what); }

std::string shown(const std::string& name, const Entry& entry) {
  return fmt::format("{} ({})", files::cut(name), to_string(entry.type));
}

const Entry& wanted(const Entries& entries, const std::string& name, const std::string& beside) {
  const auto found = entries.find(name);
  if (found == entries.end()) refuse(fmt::format("{} stands there without {}", beside, name));
  return found->second;
}

void require_shape(const std::string& name, const Entry& entry, const Shape& shape) {
  if (entry.type.shape == shape) return;
  refuse(fmt::format("{} should have the shape {}", shown(name, entry), to_string(shape)));
}

// Of 32 bits, whatever their sign.
void require_words(const std::string& name, const Entry& entry) {
  if (entry.type.dtype == DType::s32 || entry.type.dtype == DType::u32) return;
  refuse(fmt::format("{} should be words of 32 bits", shown(name, entry)));
}

void require_rank(const std::string& name, const Entry& entry, std::size_t rank) {
  if (entry.type.shape.size() == rank) return;
  refuse(fmt::format("{} should have {} axes", shown(name, entry), rank));
}

Entry made(TensorType type, std::string stored, std::uint64_t bytes, std::function<Tensor()> read) {
  Entry entry;
  entry.type = std::move(type);
  entry.stored = std::move(stored);
  entry.bytes = bytes;
  entry.read = std::move(read);
  return entry;
}

std::span<const std::uint32_t> words_of(const TensorView& view) {
  return {reinterpret_cast<const std::uint32_t*>(view.bytes().data()), view.bytes().size() / 4};
}

// The bases of the names that end so, collected first, since entries change meanwhile.
std::vector<std::string> bases(const Entries& entries, std::string_view suffix) {
  std::vector<std::string> found;
  for (const auto& [name, entry] : entries) {
    if (name.ends_with(suffix)) found.push_back(name.substr(0, name.size() - suffix.size()));
  }
  return found;
}

void erase_ending(Entries& entries, std::initializer_list<std::string_view> suffixes) {
  std::erase_if(entries, [&](const auto& entry) {
    for (const std::string_view suffix : suffixes) {
      if (entry.first.ends_with(suffix)) return true;
    }
    return false;
  });
}

void note(Config& config, const Quantization& form) {
  note_quantization(config, settings_of(form));
}

// What a quantizer writes beside the weights of a layer changes what they mean: parts that are not
// known here must not go by unread.
void require_known(const Entries& entries, const std::string& base,
                   std::initializer_list<std::string_view> known) {
  const std::string path = base + ".";
  for (auto at = entries.lower_bound(path); at != entries.end() && at->first.starts_with(path);
       ++at) {
    const std::string_view part = std::string_view(at->first).substr(path.size());
    if (part.find('.') != std::string_view::npos || std::ranges::find(known, part) != known.end())
      continue;
    throw UnsupportedError(fmt::format(
        "[checkpoint] {} changes what the weights beside it mean, in a way that is not known",
        shown(at->first, at->second)));
  }
}

// AWQ and GPTQ ---------------------------------------------------------------------------------

// Of a matrix [inputs, outputs] in groups of inputs.
struct FourBits {
  std::int64_t inputs, outputs, group;
  /// AWQ packs neighbours along the outputs, GPTQ along the inputs.
  bool is_along_outputs;
  bool has_zeros;
  /// GPTQ writes zero points less one.
  float zero_offset;

  std::int64_t groups() const { return inputs / group; }
};

Tensor awq_words(const Entry& qweight, const FourBits& form) {
  const Tensor packed = entry_as(qweight, DType::u32).read();
  if (!form.is_along_outputs) return transpose(packed);
  const TensorView view(packed);
  std::vector<std::uint32_t> words(static_cast<std::size_t>(form.inputs * form.outputs / kPerWord));
  files::transpose_nibbles(words_of(view), static_cast<std::size_t>(form.inputs), files::kAwqOrder,
                           words);
  return Tensor::from_span(std::span<const std::uint32_t>(words),
                           {form.outputs, form.inputs / kPerWord});
}

Tensor awq_biases(const Entry& scales, const Entry* qzeros, const FourBits& form) {
  constexpr float kMiddle = 8;
  const Tensor own = scales.read();
  const Tensor wide = as_type(own, DType::f32);
  if (qzeros == nullptr) return as_type(transpose(wide * -kMiddle), own.dtype());
  const TensorView view(entry_as(*qzeros, DType::u32).read());
  std::vector<float> zeros(static_cast<std::size_t>(form.groups() * form.outputs));
  files::unpack_nibbles(words_of(view), form.is_along_outputs ? files::kAwqOrder : files::kInOrder,
                        zeros);
  const Tensor points =
      Tensor::from_span(std::span<const float>(zeros), {form.groups(), form.outputs});
  return as_type(transpose(-(points + form.zero_offset) * wide), own.dtype());
}

// Groups in any other order have no form in mlx.
void check_order(const std::string& name, const Entry& g_idx, std::int64_t group) {
  const Tensor order = g_idx.read();
  const Tensor expected = quotient(iota({order.size()}), static_cast<std::int32_t>(group));
  if (order.rank() == 1 && is_integer(order.dtype()) &&
      all(equal(as_type(order, DType::s32), expected)).item<int>() != 0)
    return;
  throw UnsupportedError(fmt::format(
      "[checkpoint] {} puts inputs into groups in another order than their own (desc_act, "
      "actorder), which mlx has no form for; use weights without it",
      name));
}

FourBits four_bits(const Entries& entries, const std::string& base, std::int64_t group,
                   bool is_first_version) {
  const Entry& qweight = entries.at(base + ".qweight");
  const Entry& scales = wanted(entries, base + ".scales", base + ".qweight");
  require_rank(base + ".qweight", qweight, 2);
  require_words(base + ".qweight", qweight);
  require_rank(base + ".scales", scales, 2);
  const std::int64_t groups = scales.type.shape[0], outputs = scales.type.shape[1];
  FourBits form{.inputs = groups * group,
                .outputs = outputs,
                .group = group,
                .is_along_outputs = true,
                .has_zeros = entries.contains(base + ".qzeros"),
                .zero_offset = 0};
  if (form.inputs % kPerWord != 0 || outputs % kPerWord != 0)
    refuse(fmt::format("{} is no multiple of eight each way", shown(base + ".scales", scales)));
  const Shape along_inputs = {form.inputs / kPerWord, outputs};
  if (qweight.type.shape == along_inputs) {
    form.is_along_outputs = false;
    form.zero_offset = is_first_version ? 1 : 0;
  } else {
    require_shape(base + ".qweight", qweight, {form.inputs, outputs / kPerWord});
  }
  if (form.has_zeros) {
    const Entry& zeros = entries.at(base + ".qzeros");
    require_words(base + ".qzeros", zeros);
    require_shape(base + ".qzeros", zeros, {groups, outputs / kPerWord});
  }
  return form;
}

void repack_awq(Entries& entries, Config& config, const Config& how) {
  const auto bits = how.get<std::int64_t>("bits", 4);
  const auto group = how.get<std::int64_t>("group_size", 128);
  const std::string method = how.get<std::string>("quant_method");
  if (bits != 4) {
    throw UnsupportedError(fmt::format(
        "[checkpoint] weights of {} with {} bits are not supported: 4 are", method, bits));
  }
  if (group != 32 && group != 64 && group != 128) {
    throw UnsupportedError(
        fmt::format("[checkpoint] weights of {} in groups of {} are not supported", method, group));
  }
  const bool is_first_version = how.get<std::string>("checkpoint_format", "gptq") != "gptq_v2";
  std::optional<DType> type;
  for (const std::string& base : bases(entries, ".qweight")) {
    const FourBits form = four_bits(entries, base, group, is_first_version);
    if (const auto g_idx = entries.find(base + ".g_idx"); g_idx != entries.end())
      check_order(g_idx->first, g_idx->second, group);
    require_known(entries, base, {"qweight", "qzeros", "scales", "g_idx", "bias"});
    const Entry qweight = entries.at(base + ".qweight"), scales = entries.at(base + ".scales");
    std::optional<Entry> zeros;
    if (form.has_zeros) zeros = entries.at(base + ".qzeros");
    type = scales.type.dtype;
    const Shape turned = {form.outputs, form.groups()};
    entries[base + ".weight"] =
        made({DType::u32, {form.outputs, form.inputs / kPerWord}}, method, qweight.bytes,
             [qweight, form] { return awq_words(qweight, form); });
    entries[base + ".scales"] = made({*type, turned}, scales.stored, scales.bytes,
                                     [scales] { return transpose(scales.read()); });
    entries[base + ".biases"] =
        made({*type, turned}, method, zeros ? zeros->bytes : 0,
             [scales, zeros, form] { return awq_biases(scales, zeros ? &*zeros : nullptr, form); });
  }
  erase_ending(entries, {".qweight", ".qzeros", ".g_idx"});
  if (!type) return;
  // What is not quantized has the type of the scales then.
  for (auto& [name, entry] : entries) {
    if (!is_float(entry.type.dtype) || entry.type.dtype == *type) continue;
    entry.type.dtype = *type;
    entry.read = [read = entry.read, type = *type] { return as_type(read(), type); };
    entry.place = nullptr;
  }
  note(config, {.bits = 4, .group_size = group});
}

// FP8 --------------------------------------------------------------------------------------------

// `scales` are one number, or one for each block of rows and columns.
Tensor scaled(const Tensor& weight, const Tensor& scales, const std::vector<std::int64_t>& block) {
  if (scales.size() == 1 || scales.rank() < 2) {
    const Tensor factors = scales.size() == 1 ? reshape(scales, Shape{}) : scales;
    return as_type(as_type(weight, DType::f32) * as_type(factors, DType::f32), DType::bf16);
  }
  const std::int64_t rows = weight.shape()[0], columns = weight.shape()[1];
  const auto places = [](std::int64_t count, std::int64_t length) {
    return quotient(iota({count}), static_cast<std::int32_t>(length));
  };
  Tensor wide = as_type(scales, DType::f32);
  if (wide.shape()[0] > 1 && wide.shape()[0] < rows)
    wide = take(wide, places(rows, block[0]), {.axis = 0});
  if (wide.shape()[1] > 1 && wide.shape()[1] < columns)
    wide = take(wide, places(columns, block[1]), {.axis = 1});
  return as_type(as_type(weight, DType::f32) * wide, DType::bf16);
}

void check_scales(const std::string& name, const Entry& weight, const Entry& scales,
                  const std::vector<std::int64_t>& block) {
  const Shape& shape = scales.type.shape;
  if (element_count(shape) == 1) return;
  require_rank(name, weight, 2);
  const auto fits = [&](std::size_t axis) {
    const std::int64_t length = weight.type.shape[axis];
    return shape[axis] == 1 || shape[axis] == length ||
           shape[axis] == (length + block[axis] - 1) / block[axis];
  };
  if (shape.size() != 2 || !fits(0) || !fits(1)) {
    refuse(fmt::format("{} of scales {} in blocks of {} by {}", shown(name, weight),
                       to_string(shape), block[0], block[1]));
  }
}

// Exponents may be stored as plain bytes.
Entry float_scales(Entry scales, const Config& how, const std::string& name) {
  if (is_float(scales.type.dtype)) return scales;
  if (scales.type.dtype != DType::u8 || how.get<std::string>("scale_fmt", "") != "ue8m0") {
    refuse(
        fmt::format("the scales of {} are {}, and floats are wanted, or u8 with a scale_fmt of "
                    "\"ue8m0\"",
                    name, to_string(scales.type)));
  }
  scales.type.dtype = DType::bf16;
  scales.read = [read = scales.read] { return from_e8m0(read()); };
  scales.place = nullptr;
  return scales;
}

void repack_fp8(Entries& entries, const Config& how, std::string_view suffix) {
  const auto block = how.get<std::vector<std::int64_t>>("weight_block_size", {128, 128});
  constexpr std::int64_t kMost = 1 << 20;
  const auto fits = [](std::int64_t length) { return length >= 1 && length <= kMost; };
  if (block.size() != 2 || !fits(block[0]) || !fits(block[1]))
    refuse(fmt::format("weight_block_size should be two numbers from 1 to {}", kMost));
  for (const std::string& base : bases(entries, suffix)) {
    const std::string name = base + ".weight";
    const Entry weight = wanted(entries, name, base + std::string(suffix));
    if (!is_float(weight.type.dtype)) continue;
    const Entry scales = float_scales(entries.at(base + std::string(suffix)), how, name);
    check_scales(name, weight, scales, block);
    entries[name] =
        made({DType::bf16, weight.type.shape}, weight.stored, weight.bytes + scales.bytes,
             [weight, scales, block] { return scaled(weight.read(), scales.read(), block); });
    entries.erase(base + std::string(suffix));
  }
}

// compressed-tensors and others that keep floats of 4 bits ---------------------------------------

Entry renamed_as(const Entry& entry, DType type, std::string_view method) {
  Entry result = entry_as(entry, type);
  result.stored = method;
  return result;
}

// The scale of a whole tensor: mlx's is the largest magnitude that nvfp4 is to reach.
Entry global_scale(const Entry& entry, bool divides) {
  constexpr float kLargest = 448.0f * 6.0f;
  return made({DType::f32, {}}, entry.stored, entry.bytes, [entry, divides] {
    const Tensor own = reshape(as_type(entry.read(), DType::f32), Shape{});
    return divides ? Tensor(kLargest) / own : own * kLargest;
  });
}

struct PackedNames {
  std::string_view weight, scale, global;
  bool global_divides;
};

void repack_fp4(Entries& entries, Config& config, const PackedNames& names, QuantizationMode mode) {
  const std::string method(name(mode));
  for (const std::string& base : bases(entries, names.weight)) {
    const std::string name = base + std::string(names.weight);
    const auto scales = entries.find(base + std::string(names.scale));
    if (scales == entries.end() || entries.at(name).type.dtype != DType::u8) continue;
    require_known(entries, base,
                  {names.weight.substr(1), names.scale.substr(1),
                   names.global.substr(names.global.empty() ? 0 : 1), "bias", "weight_shape",
                   "input_scale", "input_global_scale", "k_scale", "v_scale"});
    const Entry packed = entries.at(name), own = scales->second;
    entries.erase(name);
    entries.erase(base + std::string(names.scale));
    entries[base + ".weight"] = renamed_as(packed, DType::u32, method);
    entries[base + ".scales"] = renamed_as(own, DType::u8, own.stored);
    const auto global = entries.find(base + std::string(names.global));
    if (names.global.empty() || global == entries.end()) continue;
    const Entry scale = global->second;
    entries.erase(global);
    entries[base + ".global_scale"] = global_scale(scale, names.global_divides);
  }
  note(config, {.mode = mode, .bits = 4, .group_size = mode == QuantizationMode::kNvfp4 ? 16 : 32});
}

// How many inputs share a scale, by the shapes of a packed matrix and its scales.
std::int64_t group_of(const std::string& base, const Entry& packed, const Entry& scales,
                      std::int64_t bits) {
  require_rank(base + ".weight_packed", packed, scales.type.shape.size());
  require_words(base + ".weight_packed", packed);
  const std::int64_t inputs = packed.type.shape.back() * 32 / bits;
  const std::int64_t groups = scales.type.shape.back();
  const std::int64_t group = groups > 0 && inputs % groups == 0 ? inputs / groups : 0;
  if (group == 32 || group == 64 || group == 128) return group;
  throw UnsupportedError(
      fmt::format("[checkpoint] {} are scales for {} inputs, which are no groups of 32, 64 or 128",
                  shown(base + ".weight_scale", scales), inputs));
}

// What is filled up to whole words has no form in mlx.
void check_shape(const std::string& base, const Entry& packed, std::int64_t bits,
                 const Entries& entries) {
  const auto found = entries.find(base + ".weight_shape");
  if (found == entries.end()) return;
  Shape dense = packed.type.shape;
  dense.back() = dense.back() * 32 / bits;
  const std::vector<std::int64_t> said =
      as_type(found->second.read(), DType::s64).to_vector<std::int64_t>();
  if (std::ranges::equal(said, dense)) return;
  refuse(fmt::format("{} is {{{}}}, and the packed weights are {}", found->first,
                     fmt::join(said, ", "), to_string(dense)));
}

// Integers with an offset of half their range, along the inputs.
void repack_integers(Entries& entries, Config& config, const Config& weights) {
  const auto bits = weights.get<std::int64_t>("num_bits", 4);
  if ((bits != 4 && bits != 8) || !weights.get<bool>("symmetric", true)) {
    throw UnsupportedError(fmt::format(
        "[checkpoint] compressed-tensors with {} bits{} are not supported: symmetric ones with 4 "
        "or 8 are",
        bits, weights.get<bool>("symmetric", true) ? "" : " and zero points"));
  }
  // Scales of rows have none.
  std::optional<std::int64_t> group;
  if (weights.contains("group_size")) group = weights.get<std::int64_t>("group_size");
  for (const std::string& base : bases(entries, ".weight_packed")) {
    const Entry packed = entries.at(base + ".weight_packed");
    const Entry scales = wanted(entries, base + ".weight_scale", base + ".weight_packed");
    const std::int64_t own = group_of(base, packed, scales, bits);
    if (own != group.value_or(own)) {
      refuse(fmt::format("{} are scales of groups of {}, and those of others are of {}",
                         shown(base + ".weight_scale", scales), own, *group));
    }
    group = own;
    check_shape(base, packed, bits, entries);
    require_known(entries, base,
                  {"weight_packed", "weight_scale", "weight_shape", "weight_g_idx", "bias",
                   "input_scale", "k_scale", "v_scale"});
    const std::string order = base + ".weight_g_idx";
    if (const auto g_idx = entries.find(order); g_idx != entries.end())
      check_order(order, g_idx->second, own);
    const double middle = bits == 4 ? 8 : 128;
    entries[base + ".weight"] = renamed_as(packed, DType::u32, "compressed-tensors");
    entries[base + ".scales"] = scales;
    entries[base + ".biases"] = made(scales.type, "compressed-tensors", 0, [scales, middle] {
      const Tensor own = scales.read();
      return as_type(own * -middle, own.dtype());
    });
  }
  erase_ending(entries, {".weight_packed", ".weight_scale", ".weight_shape", ".weight_g_idx"});
  if (group) note(config, {.bits = bits, .group_size = *group});
}

void repack_compressed(Entries& entries, Config& config, const Config& how) {
  const std::string format = how.get<std::string>("format", "");
  Config weights;
  if (!how.get<Config>("transform_config", Config()).keys().empty()) {
    throw UnsupportedError(
        "[checkpoint] compressed-tensors with a transform_config are not supported: their weights "
        "are those of turned inputs");
  }
  const Config groups = how.get<Config>("config_groups", Config());
  if (groups.keys().size() > 1) {
    throw UnsupportedError(
        "[checkpoint] compressed-tensors with several config_groups are not supported");
  }
  for (const std::string& key : groups.keys())
    weights = groups.get<Config>(key).get<Config>("weights", Config());
  constexpr PackedNames kNames = {".weight_packed", ".weight_scale", ".weight_global_scale", true};
  if (format == "pack-quantized") {
    repack_integers(entries, config, weights);
  } else if (format == "nvfp4-pack-quantized") {
    repack_fp4(entries, config, kNames, QuantizationMode::kNvfp4);
  } else if (format == "mxfp4-pack-quantized") {
    repack_fp4(entries, config, kNames, QuantizationMode::kMxfp4);
  } else if (format == "float-quantized" || format == "naive-quantized") {
    repack_fp8(entries, how, ".weight_scale");
  } else {
    throw UnsupportedError(fmt::format(
        "[checkpoint] compressed-tensors of the format {:?} are not supported: pack-quantized, "
        "nvfp4-pack-quantized, mxfp4-pack-quantized and float-quantized are",
        files::cut(format)));
  }
  erase_ending(entries, {".input_scale", ".input_global_scale", ".k_scale", ".v_scale"});
}

// Matrices of many experts, whose blocks of 32 stand on an axis of their own.
void repack_blocks(Entries& entries, Config& config) {
  for (const std::string& base : bases(entries, "_blocks")) {
    const Entry blocks = entries.at(base + "_blocks");
    const Entry scales = wanted(entries, base + "_scales", base + "_blocks");
    const std::size_t rank = blocks.type.shape.size();
    if (rank < 3 || blocks.type.shape.back() != 16 || blocks.type.dtype != DType::u8)
      refuse(shown(base + "_blocks", blocks) + " should be blocks of 16 bytes");
    Entry words = renamed_as(blocks, DType::u32, "mxfp4");
    words.type.shape.pop_back();
    words.type.shape.back() *= 4;
    words.read = [read = words.read, shape = words.type.shape] { return reshape(read(), shape); };
    entries[base + ".weight"] = words;
    entries[base + ".scales"] = scales;
  }
  erase_ending(entries, {"_blocks", "_scales"});
  note(config, {.mode = QuantizationMode::kMxfp4, .bits = 4, .group_size = 32});
}

void repack_modelopt(Entries& entries, Config& config, const Config& how) {
  // A file of its own nests them.
  const Config settings = how.holds_object("quantization") ? how.get<Config>("quantization") : how;
  const std::string algorithm = settings.get<std::string>("quant_algo", "");
  if (algorithm == "FP8") {
    repack_fp8(entries, settings, ".weight_scale");
  } else if (algorithm == "NVFP4") {
    repack_fp4(entries, config, {".weight", ".weight_scale", ".weight_scale_2", false},
               QuantizationMode::kNvfp4);
  } else {
    throw UnsupportedError(fmt::format(
        "[checkpoint] modelopt's {:?} is not supported: FP8 and NVFP4 are", files::cut(algorithm)));
  }
  erase_ending(entries, {".input_scale", ".k_scale", ".v_scale"});
}

}  // namespace

void repack(Entries& entries, Config& config) {
  if (config.contains("quantization") || !config.contains("quantization_config")) return;
  const Config how = config.get<Config>("quantization_config");
  const std::string method = how.get<std::string>("quant_method", "");
  if (method.empty()) {
    config.set("quantization", how);  // as older versions of mlx-lm wrote it
    return;
  }
  // What becomes of the weights is noted anew, if they stay quantized.
  config.erase("quantization_config");
  if (method == "awq" || method == "gptq") {
    repack_awq(entries, config, how);
  } else if (method == "compressed-tensors") {
    repack_compressed(entries, config, how);
  } else if (method == "fp8" || method == "fbgemm_fp8") {
    repack_fp8(entries, how, ".weight_scale_inv");
    repack_fp8(entries, how, ".weight_scale");
    erase_ending(entries, {".activation_scale", ".input_scale"});
  } else if (method == "mxfp4") {
    repack_blocks(entries, config);
  } else if (method == "modelopt") {
    repack_modelopt(entries, config, how);
  } else {
    throw UnsupportedError(fmt::format(
        "[checkpoint] weights quantized by {:?} are not supported: awq, gptq, compressed-tensors, "
        "fp8, mxfp4 and modelopt are",
        files::cut(method)));
  }
}

}  // namespace mlxnx::io
