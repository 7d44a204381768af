#include "llm/parts/text_part.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "llm/sanitize.h"

namespace mlxnx::llm {
namespace {

constexpr std::string_view kPrefix = "language_model.";

class LanguageModel final : public Module {
 public:
  explicit LanguageModel(std::unique_ptr<Module> text) : text_(std::move(text)) {}
  std::unique_ptr<Module> clone() const override {
    return std::make_unique<LanguageModel>(text_->clone());
  }
  Tensor hidden(const Tensor& tokens, Step& step) const override {
    return text_->hidden(tokens, step);
  }
  Tensor logits(const Tensor& hidden) const override { return text_->logits(hidden); }
  std::vector<LayerCache> make_cache() const override { return text_->make_cache(); }
  void visit_tensors(const OnTensor& visit) override {
    text_->visit_tensors([&](const std::string& name, Tensor& tensor) {
      visit(std::string(kPrefix) + name, tensor);
    });
  }
  void visit_matrices(const OnMatrix& visit) override {
    text_->visit_matrices([&](const std::string& layer, Tensor& weight, nn::WeightForm& form) {
      visit(std::string(kPrefix) + layer, weight, form);
    });
  }

 private:
  std::unique_ptr<Module> text_;
};

bool drop_prefix(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

// A name as the text model alone has it; empty for what is not of text.
std::string text_name(std::string_view name) {
  constexpr std::array<std::string_view, 7> kOthers = {
      "visual.",      "vision_tower.", "vision_model.", "multi_modal_projector.",
      "audio_tower.", "embed_audio.",  "embed_vision."};
  std::string_view rest = name;
  drop_prefix(rest, "model.");
  if (std::ranges::any_of(kOthers, [&](std::string_view part) { return rest.starts_with(part); }))
    return "";
  if (rest.size() < name.size() && drop_prefix(rest, kPrefix)) return "model." + std::string(rest);
  drop_prefix(name, kPrefix);
  return std::string(name);
}

}  // namespace

Config language_config(const Config& config) {
  Config text = text_config(config);
  if (!text.contains("tie_word_embeddings") && config.contains("tie_word_embeddings"))
    text.set_from("tie_word_embeddings", config);
  return text;
}

std::unique_ptr<Module> make_language_model(const Family& family, const Config& text,
                                            Maker& maker) {
  return std::make_unique<LanguageModel>(family.make(text, maker));
}

void sanitize_language_model(const Family& family, nn::Parameters& weights, const Config& text) {
  rename(weights, text_name);
  if (family.sanitize != nullptr) family.sanitize(weights, text);
  rename(weights, [](std::string_view name) { return std::string(kPrefix) + std::string(name); });
}

bool has_head(const nn::Parameters& weights) {
  return std::ranges::any_of(
      weights, [](const auto& entry) { return text_name(entry.first) == "lm_head.weight"; });
}

}  // namespace mlxnx::llm
