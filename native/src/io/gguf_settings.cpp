#include "io/gguf_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "files/file_errors.h"
#include "io/rope_settings.h"
#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

using files::GgufEntry;

// A setting that GGUF files of an architecture, or of all, have no name for: what they mean.
struct Meant {
  std::string_view architecture, key;
  std::array<std::string_view, 3> values;  ///< as JSON
};
constexpr std::array kMeant = {
    Meant{"", "rope_traditional", {"false"}},
    Meant{"", "quantize_activations", {"false"}},
    Meant{"", "clip_qkv", {}},
    Meant{"qwen3moe", "norm_topk_prob", {"true"}},
    Meant{"qwen3moe", "decoder_sparse_step", {"1"}},
    Meant{"qwen3moe", "mlp_only_layers", {"[]"}},
    Meant{"qwen2moe", "norm_topk_prob", {"false"}},
    Meant{"qwen2moe", "decoder_sparse_step", {"1"}},
    Meant{"qwen2moe", "mlp_only_layers", {"[]"}},
    Meant{"smollm3", "no_rope_layer_interval", {"4"}},
    Meant{"gemma3", "use_bidirectional_attention", {"false"}},
    Meant{"gemma", "hidden_act", {R"("gelu")", R"("gelu_pytorch_tanh")"}},
    Meant{"gemma", "hidden_activation", {R"("gelu")", R"("gelu_pytorch_tanh")"}},
    Meant{"gemma2", "hidden_act", {R"("gelu")", R"("gelu_pytorch_tanh")"}},
    Meant{"gemma2", "hidden_activation", {R"("gelu")", R"("gelu_pytorch_tanh")"}},
    Meant{"gemma3", "hidden_act", {R"("gelu")", R"("gelu_pytorch_tanh")"}},
    Meant{"gemma3", "hidden_activation", {R"("gelu")", R"("gelu_pytorch_tanh")"}},
    Meant{"starcoder2", "hidden_act", {R"("gelu")", R"("gelu_pytorch_tanh")"}},
    Meant{"", "hidden_act", {R"("silu")", R"("swish")"}},
};

// Numbers that only some architectures read, and what the others mean.
struct Own {
  std::string_view key;
  std::array<std::string_view, 2> architectures;
};
constexpr std::array kOwn = {
    Own{"attn_logit_softcapping", {"gemma2"}}, Own{"final_logit_softcapping", {"gemma2", "gemma3"}},
    Own{"attention_multiplier", {"granite"}},  Own{"embedding_multiplier", {"granite"}},
    Own{"residual_multiplier", {"granite"}},   Own{"logits_scaling", {"granite"}},
};

std::string as_json(const Config& config, std::string_view key) {
  Config own;
  own.set_from("v", config, key);
  const std::string text = own.to_json();
  return text.substr(5, text.size() - 6);  // of {"v":...}
}

class SettingsWriter {
 public:
  SettingsWriter(const Config& config, const GgufArchitecture& architecture, std::int64_t rows)
      : config_(config),
        architecture_(architecture),
        rope_(rope_settings(config)),
        rows_(rows),
        layers_(config.get<std::int64_t>("num_hidden_layers", 0)),
        head_dim_(head_dim_of(config)) {}

  std::vector<GgufEntry> write() {
    check_meant();
    check_layer_types();
    check_score_scale();
    entries_.push_back({"general.architecture", std::string(architecture_.name)});
    entries_.push_back({"general.quantization_version", std::uint32_t{2}});
    for (const auto& [key, own] : gguf_integers()) put_integer(key, own);
    if (!config_.contains("num_experts")) put_integer("expert_count", "num_local_experts");
    for (const auto& [key, own] : gguf_numbers()) {
      if (own != "rope_theta" && is_read(own)) put_number(key, own);
    }
    if (config_.contains("head_dim")) put_integer("attention.value_length", "head_dim");
    put_rope();
    put_pattern();
    return std::move(entries_);
  }

 private:
  [[noreturn]] void refuse(std::string_view key, const std::string& value) const {
    throw UnsupportedError(fmt::format("{} of {} is not written to GGUF's {}", key,
                                       files::cut(value), architecture_.name));
  }
  [[noreturn]] void refuse(std::string_view key) const { refuse(key, as_json(config_, key)); }
  bool is(std::string_view architecture) const { return architecture_.name == architecture; }

  static std::int64_t head_dim_of(const Config& config) {
    const auto heads = config.get<std::int64_t>("num_attention_heads", 0);
    const auto own = heads > 0 ? config.get<std::int64_t>("hidden_size", 0) / heads : 0;
    return config.get<std::int64_t>("head_dim", own);
  }

  void check_meant() const {
    std::vector<std::string_view> checked;
    for (const Meant& meant : kMeant) {
      const bool is_for_it = meant.architecture.empty() || is(meant.architecture);
      if (!is_for_it || !config_.contains(meant.key)) continue;
      // An architecture's own row comes first.
      if (std::ranges::find(checked, meant.key) != checked.end()) continue;
      checked.push_back(meant.key);
      if (std::ranges::find(meant.values, as_json(config_, meant.key)) == meant.values.end())
        refuse(meant.key);
    }
  }

  // Whether the layer has a sliding window, and whether it turns positions, as the file's readers
  // take it.
  bool is_sliding(std::int64_t layer) const {
    if (is("gemma2")) return layer % 2 == 0;
    if (is("gemma3")) return (layer + 1) % pattern() != 0;
    return false;
  }
  bool is_turned(std::int64_t layer) const { return !is("smollm3") || (layer + 1) % 4 != 0; }

  std::int64_t pattern() const {
    constexpr std::int64_t kUsual = 6;
    if (config_.contains("sliding_window_pattern"))
      return std::max<std::int64_t>(config_.get<std::int64_t>("sliding_window_pattern"), 1);
    if (!config_.contains("layer_types")) return kUsual;
    const auto types = config_.get<std::vector<std::string>>("layer_types");
    const auto full = std::ranges::find(types, "full_attention");
    return full == types.end() ? kUsual : full - types.begin() + 1;
  }

  void check_layer_types() const {
    if (config_.contains("layer_types")) {
      const auto types = config_.get<std::vector<std::string>>("layer_types");
      for (std::size_t i = 0; i < types.size(); ++i) {
        const bool slides = is_sliding(static_cast<std::int64_t>(i));
        if (types[i] != (slides ? "sliding_attention" : "full_attention")) refuse("layer_types");
      }
    }
    if (config_.contains("no_rope_layers")) {
      const auto turned = config_.get<std::vector<std::int64_t>>("no_rope_layers");
      for (std::size_t i = 0; i < turned.size(); ++i) {
        if ((turned[i] != 0) != is_turned(static_cast<std::int64_t>(i))) refuse("no_rope_layers");
      }
    }
  }

  void check_score_scale() const {
    constexpr const char* kKey = "query_pre_attn_scalar";
    if (!config_.contains(kKey)) return;
    const auto meant =
        gguf_score_scale(architecture_, layers_, config_.get<std::int64_t>("hidden_size", 0),
                         config_.get<std::int64_t>("num_attention_heads", 1), head_dim_);
    if (meant && config_.get<double>(kKey) != *meant) refuse(kKey);
  }

  std::string full(std::string_view key) const {
    return fmt::format("{}.{}", architecture_.name, key);
  }
  void put(std::string_view key, std::int64_t value, std::string_view own) {
    if (!std::in_range<std::uint32_t>(value)) {
      throw FormatError(
          fmt::format("{} is {}, and GGUF has natural numbers of 32 bits", own, value));
    }
    entries_.push_back({full(key), static_cast<std::uint32_t>(value)});
  }
  void put(std::string_view key, double value, std::string_view own) {
    if (std::isfinite(value) && std::abs(value) > std::numeric_limits<float>::max())
      throw FormatError(fmt::format("{} is {}, and GGUF has floats of 32 bits", own, value));
    entries_.push_back({full(key), static_cast<float>(value)});
  }
  void put_integer(std::string_view key, std::string_view own) {
    if (own == "vocab_size" && rows_ > 0) {
      put(key, rows_, own);
    } else if (config_.contains(own) &&
               (own != "sliding_window" || config_.get<bool>("use_sliding_window", true))) {
      put(key, config_.get<std::int64_t>(own), own);
    }
  }
  void put_number(std::string_view key, std::string_view own) {
    if (config_.contains(own)) put(key, config_.get<double>(own), own);
  }

  // What other architectures have of these means nothing to the file's readers.
  bool is_read(std::string_view own) const {
    const auto* found = std::ranges::find(kOwn, own, &Own::key);
    if (found == kOwn.end() || !config_.contains(own)) return true;
    if (std::ranges::find(found->architectures, architecture_.name) != found->architectures.end())
      return true;
    if (config_.get<double>(own) != 1) refuse(own);
    return false;
  }

  void put_rope() {
    if (rope_.base) put("rope.freq_base", *rope_.base, "rope_theta");
    if (rope_.local_base) {
      if (is("gemma3")) {
        put("rope.freq_base_swa", *rope_.local_base, "rope_local_base_freq");
      } else if (rope_.local_base != rope_.base) {
        refuse("rope_parameters");
      }
    }
    const double part = rope_.part.value_or(1);
    if (part != 1 && !is("phi3")) refuse("partial_rotary_factor", fmt::format("{}", part));
    if (head_dim_ > 0 && (config_.contains("head_dim") || part != 1)) {
      put("rope.dimension_count", static_cast<std::int64_t>(static_cast<double>(head_dim_) * part),
          "head_dim");
    }
    put_scaling();
  }

  void put_scaling() {
    const Config& scaling = rope_.scaling;
    if (rope_.kind == "default") return;
    if (rope_.kind == "llama3" && architecture_.has_frequencies) return;  // a tensor says it
    if (rope_.kind != "linear" && rope_.kind != "yarn")
      refuse("rope_scaling", fmt::format("the type {:?}", rope_.kind));
    entries_.push_back({full("rope.scaling.type"), rope_.kind});
    const auto factor = scaling.get<double>("factor");
    put("rope.scaling.factor", factor, "factor");
    constexpr const char* kLength = "original_max_position_embeddings";
    if (scaling.contains(kLength))
      put("rope.scaling.original_context_length", scaling.get<std::int64_t>(kLength), kLength);
    for (const auto& [key, own] : gguf_yarn_numbers()) {
      if (scaling.contains(own)) put(key, scaling.get<double>(own), own);
    }
    const double meant = 0.1 * std::log(std::max(factor, 1.0)) + 1;
    const std::array<std::pair<const char*, double>, 3> others = {
        {{"attention_factor", meant}, {"mscale", 1}, {"mscale_all_dim", 0}}};
    for (const auto& [key, value] : others) {
      if (scaling.contains(key) && std::abs(scaling.get<double>(key) - value) > 1e-6)
        refuse(key, as_json(scaling, key));
    }
    if (!scaling.get<bool>("truncate", true)) refuse("truncate", "false");
  }

  void put_pattern() {
    if (is("gemma3")) put("attention.sliding_window_pattern", pattern(), "sliding_window_pattern");
  }

  const Config& config_;
  const GgufArchitecture& architecture_;
  RopeSettings rope_;
  std::int64_t rows_, layers_, head_dim_;
  std::vector<GgufEntry> entries_;
};

}  // namespace

std::vector<GgufEntry> gguf_settings(const Config& config, const GgufArchitecture& architecture,
                                     std::int64_t rows) {
  return SettingsWriter(config, architecture, rows).write();
}

}  // namespace mlxnx::io
