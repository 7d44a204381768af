// A model whose tokens see all of their text, and the families of such.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "llm/maker.h"
#include "mlxnx/config.h"
#include "mlxnx/nn/weights.h"

namespace mlxnx::llm {

class Encoder : public nn::weights::Layers {
 public:
  /// Tokens `[batch, length]` to a row for each, `[batch, length, size]`. `mask` is u8
  /// `[batch, length]`, 0 for padding behind the texts; none: there is no padding.
  virtual Tensor rows(const Tensor& tokens, const std::optional<Tensor>& mask) const = 0;
  /// How many tokens a text can have.
  virtual std::int64_t max_length() const = 0;
};

/// An encoder that is a struct of layers: `Tensor rows(…) const`, `std::int64_t max_length()
/// const`, and its members by Hugging Face's names.
template <typename Model>
class EncoderOf final : public Encoder {
 public:
  explicit EncoderOf(Model model) : model_(std::move(model)) {}
  Tensor rows(const Tensor& tokens, const std::optional<Tensor>& mask) const override {
    return model_.rows(tokens, mask);
  }
  std::int64_t max_length() const override { return model_.max_length(); }
  void visit_tensors(const OnTensor& visit) override { visit_named(model_, visit); }
  void visit_matrices(const OnMatrix& visit) override { nn::weights::visit(model_, visit); }

 private:
  Model model_;
};

/// A row of the table of encoders, as `Family` is of decoders.
struct EncoderFamily {
  std::string_view name;  ///< its `model_type`
  std::unique_ptr<Encoder> (*make)(const Config& config, Maker& maker);
  void (*sanitize)(nn::Parameters& weights);
};

namespace bert {
extern const EncoderFamily kBert;
extern const EncoderFamily kRoberta;
}  // namespace bert

/// The encoder of a `model_type`, also by another name of it; null where there is none.
const EncoderFamily* find_encoder(std::string_view model_type);

}  // namespace mlxnx::llm
