#include "mlxnx/llm/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "llm/lost.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/losses.h"

namespace mlxnx::llm {
namespace {

using Texts = std::vector<std::vector<std::uint32_t>>;

void check(const Texts& texts, std::int64_t batch_size) {
  if (texts.empty()) throw ArgumentError("[perplexity] there is no text");
  if (batch_size < 1) throw ArgumentError("[perplexity] batch_size is less than 1");
  for (const auto& text : texts) {
    if (text.size() < 2 || text.size() != texts.front().size()) {
      throw ArgumentError(fmt::format(
          "[perplexity] texts are of {} and {} tokens; one length of at least 2 is wanted",
          texts.front().size(), text.size()));
    }
  }
}

// The losses of all tokens but the first ones.
std::vector<float> losses(const Model& model, std::span<const std::vector<std::uint32_t>> texts) {
  std::vector<std::uint32_t> given, wanted;
  for (const auto& text : texts) {
    given.insert(given.end(), text.begin(), text.end() - 1);
    wanted.insert(wanted.end(), text.begin() + 1, text.end());
  }
  const Shape shape = {std::ssize(texts), std::ssize(texts.front()) - 1};
  const auto tensor = [&](const std::vector<std::uint32_t>& ids) {
    return Tensor::from_span(std::span<const std::uint32_t>(ids), shape);
  };
  Cache cache = model.make_cache();
  const Tensor logits = model.forward(tensor(given), cache);
  std::vector<float> all =
      flatten(nn::cross_entropy(as_type(logits, DType::f32), tensor(wanted))).to_vector<float>();
  if (std::ranges::any_of(all, [](float loss) { return std::isnan(loss); }))
    refuse_nan("perplexity", "for a text", logits.dtype());
  return all;
}

}  // namespace

Perplexity perplexity(const Model& model, const Texts& texts, std::int64_t batch_size,
                      const Progress& progress) {
  check(texts, batch_size);
  std::vector<float> all;
  for (std::size_t at = 0; at < texts.size();) {
    const std::size_t some = std::min(static_cast<std::size_t>(batch_size), texts.size() - at);
    const std::vector<float> own = losses(model, std::span(texts).subspan(at, some));
    all.insert(all.end(), own.begin(), own.end());
    at += some;
    if (progress && !progress(at, texts.size())) break;
  }
  const auto count = static_cast<double>(all.size());
  double sum = 0, squares = 0;
  for (const float loss : all) sum += double{loss};
  const double mean = sum / count;
  for (const float loss : all) squares += (double{loss} - mean) * (double{loss} - mean);
  const double deviation = count > 1 ? std::sqrt(squares / (count - 1)) : 0;
  return {std::exp(mean), std::exp(mean) * deviation / std::sqrt(count), std::move(all)};
}

Texts in_pieces(const std::vector<std::uint32_t>& tokens, std::size_t length) {
  Texts texts;
  for (std::size_t at = 0; length > 0 && at + length <= tokens.size(); at += length) {
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(at);
    texts.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(length));
  }
  return texts;
}

}  // namespace mlxnx::llm
