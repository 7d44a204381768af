// How the next token is chosen: what mlx-lm's sample_utils has, by its names, defaults and order.
// Everything is a function of tensors that reads nothing back: the token of one step can be the
// input of the next before it is known. Randomness comes from keys (random.h). Those of `split`
// follow the stream of mlx.random.seed, so that draws are mlx-lm's where nothing but the token is
// drawn:
//
//     auto [next, mine] = random::split(state);
//     Tensor logits = process_logits(model(tokens), history, processors);  // [B, V]
//     Tensor token = sample(logprobs(logits), {.temp = 0.7, .top_p = 0.9}, mine);  // u32[B]
//
// A token that is left out has the log probability -infinity, and is never drawn as long as there
// is another one. `[…, V]` is any number of rows over a vocabulary of V. Types: floats, which stay.
// All functions throw TypeError for other types, and ShapeError for a scalar or without a
// vocabulary.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "mlxnx/tensor.h"
#include "mlxnx/text.h"

namespace mlxnx::llm {

/// Options of `sample`; the defaults are mlx-lm's, which take the most probable token.
struct SamplerOptions {
  double temp = 0;   ///< what log probabilities are divided by; 0: the most probable token
  double top_p = 0;  ///< see `apply_top_p`; off unless it lies between 0 and 1
  double min_p = 0;  ///< see `apply_min_p`; 0: off
  std::int64_t min_tokens_to_keep = 1;  ///< that `min_p` leaves at least
  std::int64_t top_k = 0;               ///< see `apply_top_k`; off unless it is positive
  double xtc_probability = 0;           ///< see `apply_xtc`; off unless it is positive
  double xtc_threshold = 0.1;
  std::vector<std::uint32_t> xtc_special_tokens = {};
};

/// The tokens drawn, one for each row: u32[…].
/// Shapes: `logprobs` `[…, V]`. What the options name applies in the order top_p, min_p, xtc,
/// top_k, and then the temperature; `temp` 0 looks at no other option and at no key.
/// With xtc the key is split: the first draws the token, the second is for xtc.
/// Throws: ArgumentError for a negative temperature and as the functions below do.
/// mlx-lm: make_sampler
///
///     sample(log(tensor({{0.1, 0.9}})), {.temp = 1, .top_k = 1}, random::key(0));  // u32[1] [1]
Tensor sample(const Tensor& logprobs, const SamplerOptions& options, const Tensor& key);

/// `logprobs` as `sample` would draw from them, before the temperature. The key is for xtc.
///
///     masked_logprobs(log(tensor({{0.1, 0.9}})), {.top_k = 1}, random::key(0));  // [[-inf, -0.1]]
Tensor masked_logprobs(const Tensor& logprobs, const SamplerOptions& options, const Tensor& key);

/// Keeps the most probable tokens that together have a share of `top_p`: those before which less
/// than that has gone, and all that equal the last one. Throws: ArgumentError outside of (0, 1].
/// mlx-lm: apply_top_p
///
///     apply_top_p(log(tensor({{0.5, 0.3, 0.2}})), 0.6);  // [[-0.69, -1.2, -inf]]
Tensor apply_top_p(const Tensor& logprobs, double top_p);

/// Keeps the tokens that are at least `min_p` times as probable as the most probable one, and the
/// `min_tokens_to_keep` most probable ones; among equals those of higher numbers.
/// Throws: ArgumentError outside of [0, 1], and for other numbers of tokens than 1 to V.
/// mlx-lm: apply_min_p
///
///     apply_min_p(log(tensor({{0.5, 0.3, 0.2}})), 0.5);  // [[-0.69, -1.2, -inf]]
Tensor apply_min_p(const Tensor& logprobs, double min_p, std::int64_t min_tokens_to_keep = 1);

/// Keeps the `top_k` most probable tokens; among equals those of lower numbers.
/// Throws: ArgumentError outside of 1 to V - 1. mlx-lm: apply_top_k
///
///     apply_top_k(log(tensor({{0.5, 0.3, 0.2}})), 1);  // [[-0.69, -inf, -inf]]
Tensor apply_top_k(const Tensor& logprobs, std::int64_t top_k);

/// With a probability, which is drawn once for all rows, leaves out the tokens that are more
/// probable than `xtc_threshold` but for the least probable of them and the special tokens.
/// Throws: ArgumentError for a probability outside of [0, 1], a threshold outside of [0, 0.5], or a
/// special token that is none. mlx-lm: apply_xtc
///
///     apply_xtc(log(tensor({{0.5, 0.3, 0.2}})), 1, 0.25, {}, random::key(0));  // [[-inf, -1.2,
///     -1.6]]
Tensor apply_xtc(const Tensor& logprobs, double xtc_probability, double xtc_threshold,
                 std::span<const std::uint32_t> xtc_special_tokens, const Tensor& key);

/// The log probabilities that logits stand for.
///
///     logprobs(tensor({{1.0, 1.0}}));  // [[-0.69, -0.69]]
Tensor logprobs(const Tensor& logits);

/// Options of `process_logits`; the defaults are mlx-lm's, which change nothing.
struct ProcessorOptions {
  std::map<std::uint32_t, double> logit_bias = {};  ///< what is added, by token
  double repetition_penalty = 0;  ///< logits below 0 times it, others divided by it; 0: off
  std::int64_t repetition_context_size = 20;
  double presence_penalty = 0;  ///< subtracted once from each token that occurs
  std::int64_t presence_context_size = 20;
  double frequency_penalty = 0;  ///< subtracted once for each time that a token occurs
  std::int64_t frequency_context_size = 20;
};

/// `logits` with biases and with penalties for tokens that occur among the last ones of `history`,
/// the prompt's included; in the order of the options. A context size of 0 means the whole history.
/// Shapes: `logits` `[B, V]`; `history` `[L]` for all rows, or `[B, L]`. Types: `history` integers.
/// A token of the history that is none raises where its value is known, as indices of ops do; else
/// the nearest one is taken for it.
/// Throws: ArgumentError for a negative repetition penalty or context size, and for a bias of a
/// token that is none; ShapeError. mlx-lm: make_logits_processors
///
///     process_logits(tensor({{2.0, 1.0}}), tensor({0}), {.repetition_penalty = 2});  //
///     [[1.0, 1.0]]
Tensor process_logits(const Tensor& logits, const Tensor& history, const ProcessorOptions& options);

/// `logits` with -infinity for the tokens that a mask does not allow.
/// Shapes: `logits` `[B, V]`; one mask for all rows, or one for each. A mask allows no token beyond
/// its words. Throws: ShapeError for another number of masks.
///
///     mask_logits(tensor({{2.0, 1.0}}), std::array{TokenMask{{0b10}}});  // [[-inf, 1.0]]
Tensor mask_logits(const Tensor& logits, std::span<const TokenMask> masks);

}  // namespace mlxnx::llm
