// What mlx-lm's samplers and logits processors answer.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "files/json_values.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/sampling.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/random.h"
#include "replay/nn.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;

constexpr double kTolerance = 1e-5;  // whatever the type

void set(const json& value, double& option) { option = value.get<double>(); }
void set(const json& value, std::int64_t& option) { option = files::integer<std::int64_t>(value); }
void set(const json& value, std::vector<std::uint32_t>& option) {
  for (const json& token : files::list(value))
    option.push_back(files::integer<std::uint32_t>(token));
}
void set(const json& value, std::map<std::uint32_t, double>& option) {
  for (const auto& [token, bias] : value.items())
    option[static_cast<std::uint32_t>(std::stoul(token))] = bias.get<double>();
}

// Sets the options that a case names. Throws: FormatError for one that nobody takes.
template <typename Options, typename... Members>
Options options_of(const json& values, const std::pair<const char*, Members Options::*>&... rows) {
  Options options;
  std::size_t taken = 0;
  const auto take = [&](const char* name, auto member) {
    const auto found = values.find(name);
    if (found == values.end()) return;
    set(*found, options.*member);
    ++taken;
  };
  (take(rows.first, rows.second), ...);
  if (taken != values.size())
    throw FormatError(fmt::format("not all options are known: {}", values.dump()));
  return options;
}

#define MLXNX_OPTION(name) std::pair(#name, &Options::name)

llm::SamplerOptions sampler_options(const json& values) {
  using Options = llm::SamplerOptions;
  return options_of<Options>(values, MLXNX_OPTION(temp), MLXNX_OPTION(top_p), MLXNX_OPTION(min_p),
                             MLXNX_OPTION(min_tokens_to_keep), MLXNX_OPTION(top_k),
                             MLXNX_OPTION(xtc_probability), MLXNX_OPTION(xtc_threshold),
                             MLXNX_OPTION(xtc_special_tokens));
}

llm::ProcessorOptions processor_options(const json& values) {
  using Options = llm::ProcessorOptions;
  return options_of<Options>(values, MLXNX_OPTION(logit_bias), MLXNX_OPTION(repetition_penalty),
                             MLXNX_OPTION(repetition_context_size), MLXNX_OPTION(presence_penalty),
                             MLXNX_OPTION(presence_context_size), MLXNX_OPTION(frequency_penalty),
                             MLXNX_OPTION(frequency_context_size));
}

#undef MLXNX_OPTION

using Ids = std::vector<std::uint32_t>;

void judge_tokens(const std::string& what, const Ids& wanted, const Tensor& got, NnJudge& judge) {
  const Ids tokens = got.to_vector<std::uint32_t>();
  if (tokens != wanted)
    judge.fail(fmt::format("{} {}, expected {}", what, json(tokens).dump(), json(wanted).dump()));
}

// Which of equal tokens stay is open: how many do, and that they are as they were, is not.
void judge_ties(const Tensor& logprobs, const Tensor& masked, const GoldenTensor& wanted,
                NnJudge& judge) {
  const Tensor expected = Tensor::from_bytes(wanted.bytes, wanted.type);
  const std::vector<std::byte> in_order = sort(expected, {.axis = -1}).to_bytes();
  judge.value("sorted logprobs", {wanted.type, in_order}, sort(masked, {.axis = -1}), kTolerance);
  const Tensor is_left_out = logical_and(is_infinity(masked), less(masked, 0));
  if (all(logical_or(is_left_out, equal(masked, logprobs))).item<int>() == 0)
    judge.fail("what was kept is not what came in");
}

// Whatever the key, what is left out is not drawn.
void judge_draw(const Tensor& logprobs, const llm::SamplerOptions& options, const Tensor& masked,
                NnJudge& judge) {
  constexpr std::uint64_t kDraws = 5;
  for (std::uint64_t seed = 0; seed < kDraws; ++seed) {
    const Tensor token = llm::sample(logprobs, options, random::key(seed));
    const Tensor drawn = take_along_axis(masked, new_axis(token, -1), {.axis = -1});
    if (any(is_infinity(drawn)).item<int>() != 0) {
      judge.fail(fmt::format("drew {} of what was left out",
                             json(token.to_vector<std::uint32_t>()).dump()));
      return;
    }
  }
}

}  // namespace

void run_llm_sampler(const GoldenCase& golden, const RunOptions& run_options, NnJudge& judge) {
  const json& whole = golden.nn->whole;
  const Tensor logprobs = tensor_of(golden.nn->parameters.at("logprobs"), run_options);
  const llm::SamplerOptions options = sampler_options(golden.attrs);
  const Tensor key = random::key(0);
  if (whole.contains("token")) {
    judge_tokens("drew", whole.at("token").get<Ids>(), llm::sample(logprobs, options, key), judge);
    return;
  }
  const Tensor masked = llm::masked_logprobs(logprobs, options, key);
  judge_draw(logprobs, options, masked, judge);
  const GoldenTensor& wanted = golden.nn->parameters.at("masked");
  if (whole.value("ties", false)) {
    judge_ties(logprobs, masked, wanted, judge);
    return;
  }
  judge.value("logprobs", wanted, masked, kTolerance);
  const Tensor scaled = as_type(masked, DType::f32) * (1 / options.temp);
  judge.value("probabilities", golden.nn->parameters.at("probabilities"),
              fast::softmax(scaled, {.axes = Axes{-1}}), kTolerance);
}

// Options that are no good, each of the function that it belongs to.
void run_llm_invalid(const GoldenCase& golden, const RunOptions& run_options, NnJudge& judge) {
  const json& error = golden.nn->whole.at("error");
  const Tensor logprobs = tensor_of(golden.nn->parameters.at("logprobs"), run_options);
  const llm::SamplerOptions options = sampler_options(golden.attrs);
  const auto is_given = [&](const char* name) { return golden.attrs.contains(name); };
  std::string complaint;
  try {
    if (is_given("top_p")) llm::apply_top_p(logprobs, options.top_p);
    if (is_given("min_p")) llm::apply_min_p(logprobs, options.min_p, options.min_tokens_to_keep);
    if (is_given("top_k")) llm::apply_top_k(logprobs, options.top_k);
    if (is_given("xtc_probability")) {
      llm::apply_xtc(logprobs, options.xtc_probability, options.xtc_threshold,
                     options.xtc_special_tokens, random::key(0));
    }
  } catch (const ArgumentError& refusal) {
    complaint = refusal.what();
  }
  if (complaint.empty() != error.is_null())
    judge.fail(complaint.empty() ? "accepted, expected: " + error.dump() : complaint);
}

// One token after the other, with the keys that mlx.random.seed leads to.
void run_llm_draws(const GoldenCase& golden, const RunOptions& run_options, NnJudge& judge) {
  const Tensor logprobs = tensor_of(golden.nn->parameters.at("logprobs"), run_options);
  const llm::SamplerOptions options = sampler_options(golden.attrs);
  Tensor state = random::key(files::integer<std::uint64_t>(golden.nn->whole.at("seed")));
  for (const json& tokens : golden.nn->whole.at("tokens")) {
    const auto [next, key] = random::split(state);
    state = next;
    judge_tokens("drew", tokens.get<Ids>(), llm::sample(logprobs, options, key), judge);
  }
}

void run_llm_processors(const GoldenCase& golden, const RunOptions& run_options, NnJudge& judge) {
  const Tensor logits = tensor_of(golden.nn->parameters.at("logits"), run_options);
  const Ids tokens = golden.nn->whole.at("tokens").get<Ids>();
  const Tensor history = Tensor::from_span(std::span<const std::uint32_t>(tokens),
                                           {static_cast<std::int64_t>(tokens.size())});
  const Tensor processed = llm::process_logits(logits, history, processor_options(golden.attrs));
  const GoldenTree& wanted = golden.nn->parameters;
  // mlx-lm rounds to 16 bits for each time that a token occurs, this library once for all.
  if (golden.attrs.contains("frequency_penalty") && logits.dtype() == DType::bf16) {
    judge.value("logits", wanted.at("out"), processed);
    judge.value("logprobs", wanted.at("out_logprobs"), llm::logprobs(processed));
    return;
  }
  judge.value("logits", wanted.at("out"), processed, kTolerance);
  judge.value("logprobs", wanted.at("out_logprobs"), llm::logprobs(processed), kTolerance);
}

}  // namespace mlxnx::cli
