#include "replay/llm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "files/json_values.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/generate.h"
#include "mlxnx/llm/model.h"
#include "mlxnx/llm/perplexity.h"
#include "mlxnx/llm/prompt_cache.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/nn/activations.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;
using Tokens = std::vector<std::int32_t>;

double logits_tolerance(DType type) {
  if (type == DType::bf16) return 6e-2;
  return type == DType::f16 ? 1.5e-2 : 2e-4;
}

double tolerance_of_perplexity(DType type) {
  if (type == DType::bf16) return 6e-2;
  return type == DType::f16 ? 1e-2 : 1e-4;
}

class Run {
 public:
  Run(const GoldenCase& golden, Outcome& outcome) : golden_(*golden.llm), outcome_(outcome) {}

  const json& value(const char* key) const { return files::member(golden_.whole, key); }
  bool has(const char* key) const { return golden_.whole.contains(key); }
  Tokens tokens(const char* key) const { return value(key).get<Tokens>(); }
  std::vector<Tokens> lists(const char* key) const { return value(key).get<std::vector<Tokens>>(); }
  GoldenTensor tensor(const json& place) const { return golden_.data->read_tensor(place); }

  llm::Model load(bool with_adapter = true) const {
    llm::LoadOptions options;
    const std::filesystem::path adapter = golden_.folder / "adapters";
    if (with_adapter && std::filesystem::exists(adapter)) options.adapter = adapter;
    return llm::Model::load(golden_.folder, options);
  }

  /// The largest difference over the largest magnitude.
  void compare(const std::string& what, const json& place, const Tensor& got) {
    const GoldenTensor wanted = tensor(place);
    compare(what, wanted, got, logits_tolerance(wanted.type.dtype));
  }
  void compare(const std::string& what, const GoldenTensor& wanted, const Tensor& got,
               double tolerance) {
    const Tensor expected = as_type(Tensor::from_bytes(wanted.bytes, wanted.type), DType::f32);
    if (got.shape() != expected.shape()) {
      fail(fmt::format("{} is {}, expected {}", what, to_string(got.type()),
                       to_string(wanted.type)));
      return;
    }
    const std::vector<float> a = as_type(got, DType::f32).to_vector<float>(),
                             b = expected.to_vector<float>();
    double difference = 0, largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i] == b[i]) continue;  // infinities too
      difference = std::max(difference, std::isfinite(a[i]) && std::isfinite(b[i])
                                            ? std::abs(double{a[i]} - double{b[i]})
                                            : std::numeric_limits<double>::infinity());
    }
    for (const float value : b) {
      if (std::isfinite(value)) largest = std::max(largest, std::abs(double{value}));
    }
    near(what, difference / largest, tolerance);
  }
  void near(const std::string& what, double difference, double tolerance) {
    if (difference <= tolerance) return;
    fail(fmt::format("{} differs by {:.2g}, and {:.2g} is allowed", what, difference, tolerance));
  }
  /// Greedy choices, which say something where the margin is large enough.
  void same_tokens(const std::string& what, const Tokens& wanted, const Tokens& got, DType type) {
    if (golden_.whole.value("margin", 1.0) <= 2 * logits_tolerance(type) || wanted == got) return;
    fail(fmt::format("{} are {}, expected {}", what, json(got).dump(), json(wanted).dump()));
  }
  void fail(const std::string& fault) {
    if (outcome_.fault.empty()) outcome_.fault = fault;
  }
  const GoldenLlm& golden() const { return golden_; }

 private:
  const GoldenLlm& golden_;
  Outcome& outcome_;
};

Tensor batch_of(const std::vector<Tokens>& rows) {
  std::vector<Tensor> tensors;
  for (const Tokens& row : rows)
    tensors.push_back(Tensor::from_span(std::span<const std::int32_t>(row),
                                        {static_cast<std::int64_t>(row.size())}));
  return stack(tensors);
}

// The logits `[length, vocabulary]` of one text, which goes on in the cache.
Tensor forward(const llm::Model& model, const Tokens& tokens, llm::Cache& cache) {
  return squeeze(model.forward(batch_of({tokens}), cache), {.axes = Axes{0}});
}

Tensor last_row(const Tensor& logits) {
  const std::int64_t rows = logits.shape()[logits.rank() - 2];
  return squeeze(slice_along_axis(logits, rows - 1, 1, {.axis = -2}), {.axes = Axes{-2}});
}

std::int32_t best(const Tensor& logits) {
  return argmax(logits, {.axis = -1}).item<std::int32_t>();
}

Tensor logprobs_of(const Tensor& logits) { return nn::log_softmax(logits); }

void run_meta(Run& run) {
  const llm::Model model = run.load(false);
  std::int64_t count = 0;
  for (const auto& [name, tensor] : model.named_tensors()) count += tensor.size();
  const auto wanted = run.value("parameters").get<std::int64_t>();
  if (count != wanted && !std::filesystem::exists(run.golden().folder / "adapters"))
    run.fail(fmt::format("the model has {} elements, expected {}", count, wanted));
}

void run_prefill(Run& run) {
  const llm::Model model = run.load(run.golden().kind != "without_adapter");
  llm::Cache cache = model.make_cache();
  run.compare("logits", run.value("logits"), forward(model, run.tokens("tokens"), cache));
}

void run_chunked(Run& run) {
  const llm::Model model = run.load();
  llm::Cache cache = model.make_cache();
  const Tokens tokens = run.tokens("tokens");
  const auto chunk = run.value("chunk").get<std::size_t>();
  std::vector<Tensor> parts;
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t size = std::min(chunk, tokens.size() - at);
    parts.push_back(
        forward(model, Tokens(begin, begin + static_cast<std::ptrdiff_t>(size)), cache));
  }
  run.compare("logits", run.value("logits"), concatenate(parts));
}

// Where a choice differs, the recorded one is taken, so that what follows can be compared.
void run_decode(Run& run) {
  const llm::Model model = run.load();
  llm::Cache cache = model.make_cache();
  const Tokens wanted = run.tokens("tokens");
  Tokens got;
  std::vector<Tensor> each;
  Tokens next = run.tokens("prompt");
  for (const std::int32_t token : wanted) {
    each.push_back(last_row(forward(model, next, cache)));
    got.push_back(best(each.back()));
    next = {token};
  }
  const Tensor logits = stack(each);
  run.compare("logits", run.value("logits"), logits);
  run.same_tokens("tokens", wanted, got, run.tensor(run.value("logits")).type.dtype);
}

// Prompts of different lengths, and what they go on with.
void run_batch_as(Run& run, const std::vector<std::size_t>& rows) {
  const llm::Model model = run.load();
  const std::vector<Tokens> all_prompts = run.lists("prompts"), all_tokens = run.lists("tokens");
  std::vector<Tokens> prompts, tokens;
  for (const std::size_t row : rows) {
    prompts.push_back(all_prompts[row]);
    tokens.push_back(all_tokens[row]);
  }
  std::size_t longest = 0;
  for (const Tokens& prompt : prompts) longest = std::max(longest, prompt.size());
  llm::CacheOptions options;
  for (Tokens& prompt : prompts) {
    options.left_padding.push_back(static_cast<std::int64_t>(longest - prompt.size()));
    prompt.insert(prompt.begin(), longest - prompt.size(), 0);
  }
  llm::Cache cache = model.make_cache(options);
  std::vector<std::vector<Tensor>> each(rows.size());
  std::vector<Tokens> got(rows.size());
  std::vector<Tokens> next = prompts;
  for (std::size_t i = 0; i < tokens.front().size(); ++i) {
    const Tensor logits = last_row(model.forward(batch_of(next), cache));
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const Tensor own = take(logits, Tensor(static_cast<std::int32_t>(row)));
      each[row].push_back(logprobs_of(own));
      got[row].push_back(best(own));
      next[row] = {tokens[row][i]};
    }
  }
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const json& place = run.value("logprobs")[rows[row]];
    run.compare(fmt::format("logprobs of text {}", rows[row]), place, stack(each[row]));
    run.same_tokens("tokens", tokens[row], got[row], run.tensor(place).type.dtype);
  }
}

void run_batch(Run& run) {
  std::vector<std::size_t> rows(run.value("prompts").size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  try {
    run_batch_as(run, rows);
  } catch (const UnsupportedError&) {
    // mlx-lm has no batch of these either; what is recorded is single runs.
    if (!run.has("source")) throw;
    for (const std::size_t row : rows) run_batch_as(run, {row});
  }
}

void run_left_padded(Run& run) {
  const llm::Model model = run.load();
  std::vector<Tokens> prompts = run.lists("prompts");
  llm::CacheOptions options;
  options.left_padding = run.value("left_padding").get<std::vector<std::int64_t>>();
  const auto pad = run.value("pad_token").get<std::int32_t>();
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    prompts[row].insert(prompts[row].begin(), static_cast<std::size_t>(options.left_padding[row]),
                        pad);
  }
  llm::Cache cache = model.make_cache(options);
  const Tensor logits = model.forward(batch_of(prompts), cache);
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    const std::int64_t padding = options.left_padding[row];
    const Tensor own = take(logits, Tensor(static_cast<std::int32_t>(row)));
    run.compare(fmt::format("logits of text {}", row), run.value("logits")[row],
                slice_along_axis(own, padding, own.shape()[0] - padding));
  }
}

void run_perplexity(Run& run) {
  const llm::Model model = run.load();
  const auto texts = run.value("tokens").get<std::vector<std::vector<std::uint32_t>>>();
  const llm::Perplexity got = llm::perplexity(model, texts);
  llm::Cache cache = model.make_cache();
  const DType type = forward(model, {0}, cache).dtype();
  const auto near = [&](const char* what, double value) {
    const auto wanted = run.value(what).get<double>();
    run.near(what, std::abs(value - wanted) / wanted, tolerance_of_perplexity(type));
  };
  near("perplexity", got.perplexity);
  if (run.has("standard_error")) near("standard_error", got.standard_error);
  run.compare("losses", run.tensor(run.value("losses")),
              Tensor::from_span(std::span<const float>(got.losses),
                                {std::ssize(texts), std::ssize(texts.front()) - 1}),
              logits_tolerance(type));
}

void run_fused(Run& run) {
  const llm::Model model = run.load().fuse(run.value("dequantize").get<bool>());
  llm::Cache cache = model.make_cache();
  run.compare("logits", run.value("logits"), forward(model, run.tokens("tokens"), cache));
  nn::Parameters got;
  for (const auto& [name, tensor] : model.named_tensors()) got.emplace(name, tensor);
  for (const auto& [name, place] : run.value("weights").items()) {
    if (!got.contains(name)) {
      run.fail(fmt::format("there is no {}", name));
    } else if (got.at(name).dtype() != DType::u32) {
      // Words of a matrix that is quantized again may differ by a unit where sums round elsewhere.
      run.compare(name, place, got.at(name));
    }
  }
}

void run_trim(Run& run) {
  const llm::Model model = run.load();
  llm::Cache cache = model.make_cache();
  forward(model, run.tokens("tokens"), cache);
  const std::int64_t trimmed = cache.trim(run.value("trim").get<std::int64_t>());
  if (trimmed != run.value("trimmed").get<std::int64_t>())
    run.fail(fmt::format("{} tokens were taken back", trimmed));
  run.compare("logits", run.value("logits"), forward(model, run.tokens("then"), cache));
}

void run_prompt_cache_file(Run& run) {
  const llm::Model model = run.load();
  llm::Cache cache =
      llm::load_prompt_cache(run.golden().folder / run.value("file").get<std::string>()).cache;
  if (std::cmp_not_equal(cache.offset, run.tokens("cached_tokens").size()))
    run.fail(fmt::format("the file has {} tokens", cache.offset));
  run.compare("logits", run.value("logits"), forward(model, run.tokens("then"), cache));
}

// Tokens one by one, and the recorded ones as the text goes on.
void run_generated(Run& run, const llm::GenerateOptions& options) {
  const std::vector<std::uint32_t> prompt = run.value("prompt").get<std::vector<std::uint32_t>>();
  llm::GenerateOptions all = options;
  const Tokens wanted = run.tokens("tokens");
  all.max_tokens = std::ssize(wanted);
  llm::TokenGenerator generator(run.load(), prompt, all);
  Tokens got;
  std::vector<bool> from_draft;
  std::vector<Tensor> logprobs;
  while (auto token = generator.next()) {
    got.push_back(static_cast<std::int32_t>(token->id));
    from_draft.push_back(token->from_draft);
    logprobs.push_back(token->logprobs);
  }
  run.same_tokens("tokens", wanted, got, DType::f32);
  // Up to the first other choice the text is the same.
  const auto same = std::ranges::mismatch(got, wanted).in1 - got.begin();
  const std::int64_t rows = std::min<std::int64_t>(same + 1, std::ssize(got));
  GoldenTensor chances = run.tensor(run.value("logprobs"));
  chances.bytes =
      chances.bytes.first(chances.bytes.size() / wanted.size() * static_cast<std::size_t>(rows));
  chances.type.shape[0] = rows;
  logprobs.resize(static_cast<std::size_t>(rows), Tensor());
  run.compare("logprobs", chances, stack(logprobs), logits_tolerance(chances.type.dtype));
  if (run.has("from_draft") && from_draft != run.value("from_draft").get<std::vector<bool>>())
    run.fail(fmt::format("guessed tokens are {}", json(from_draft).dump()));
}

llm::ProcessorOptions processors_of(const json& given) {
  llm::ProcessorOptions options;
  const auto take = [&](const char* key, auto& value) {
    if (given.contains(key) && !given[key].is_null()) given[key].get_to(value);
  };
  std::map<std::string, double> bias;
  take("logit_bias", bias);
  for (const auto& [token, value] : bias)
    options.logit_bias.emplace(static_cast<std::uint32_t>(std::stoul(token)), value);
  take("repetition_penalty", options.repetition_penalty);
  take("repetition_context_size", options.repetition_context_size);
  take("presence_penalty", options.presence_penalty);
  take("presence_context_size", options.presence_context_size);
  take("frequency_penalty", options.frequency_penalty);
  take("frequency_context_size", options.frequency_context_size);
  return options;
}

void run_generate_step(Run& run) {
  const json& given = run.value("options");
  llm::GenerateOptions options;
  options.prefill_step_size = given.value("prefill_step_size", options.prefill_step_size);
  options.quantized_kv_start = given.value("quantized_kv_start", options.quantized_kv_start);
  if (given.contains("kv_bits"))
    options.kv_quantization = llm::KvQuantization{.bits = given["kv_bits"].get<std::int64_t>(),
                                                  .group_size = given.value("kv_group_size", 64)};
  if (given.contains("max_kv_size")) options.max_kv_size = given["max_kv_size"].get<std::int64_t>();
  options.processors = processors_of(
      given.contains("logits_processors") ? given["logits_processors"] : json::object());
  run_generated(run, options);
}

void run_speculative(Run& run) {
  const std::string draft = run.value("draft").get<std::string>();
  run_generated(run, {.speculation = llm::Speculation{
                          .draft_model = llm::Model::load(run.golden().folder / ".." / draft),
                          .num_draft_tokens = run.value("num_draft_tokens").get<std::int64_t>()}});
}

struct LlmKind {
  std::string_view name;
  void (*run)(Run&);
};

constexpr LlmKind kLlmKinds[] = {
    {"batch", &run_batch},
    {"chunked", &run_chunked},
    {"decode", &run_decode},
    {"fused", &run_fused},
    {"generate_step", &run_generate_step},
    {"left_padded", &run_left_padded},
    {"meta", &run_meta},
    {"one_by_one", &run_chunked},
    {"perplexity", &run_perplexity},
    {"prefill", &run_prefill},
    {"prompt_cache_file", &run_prompt_cache_file},
    {"speculative", &run_speculative},
    {"trim", &run_trim},
    {"without_adapter", &run_prefill},
};

}  // namespace

Outcome run_llm(const GoldenCase& golden) {
  const auto* const kind = std::ranges::find(kLlmKinds, golden.llm->kind, &LlmKind::name);
  if (kind == std::end(kLlmKinds)) {
    throw UnsupportedError(
        fmt::format("[replay] there is no such kind of case: {}", golden.llm->kind));
  }
  Outcome outcome;
  Run run(golden, outcome);
  kind->run(run);
  outcome.passed = outcome.fault.empty();
  return outcome;
}

}  // namespace mlxnx::cli
