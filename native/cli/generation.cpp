#include "generation.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <limits>
#include <sstream>
#include <system_error>

#include "files.h"
#include "files/json_values.h"
#include "files/utf8.h"
#include "mlxnx/error.h"
#include "mlxnx/hub.h"
#include "output.h"
#include "progress.h"

namespace mlxnx::cli {
namespace {

std::filesystem::path pulled(const std::string& repository) {
  ProgressLine line("downloading " + repository);
  hub::Options options;
  options.progress = [&](const hub::Progress& progress) {
    line.show(progress.bytes, progress.size);
  };
  return hub::pull(repository, options);
}

// A constraint that was asked for and says nothing would leave the answer free.
std::string constraint(const std::string& text, const char* option) {
  const std::string all = text_or_file(text);
  if (!text.empty() && all.find_first_not_of(" \t\r\n") == std::string::npos)
    throw ArgumentError(fmt::format("[generate] {} is empty: {} holds nothing", option, text));
  return all;
}

CLI::Validator number(double least, double most, const std::string& range) {
  return {[=](const std::string& text) {
            double value = 0;
            const bool fits =
                CLI::detail::lexical_cast(text, value) && value >= least && value <= most;
            return fits ? "" : fmt::format("{} is no number {}", text, range);
          },
          ""};
}

}  // namespace

CLI::Validator at_least(double least) {
  return number(least, std::numeric_limits<double>::infinity(),
                fmt::format("of at least {}", least));
}

CLI::Validator between(double least, double most) {
  return number(least, most, fmt::format("from {} to {}", least, most));
}

CLI::Validator not_empty() {
  return {[](const std::string& text) { return text.empty() ? std::string("it is empty") : ""; },
          ""};
}

CLI::Validator json_object() {
  return {[](const std::string& text) {
            try {
              if (files::parse_json(text).is_object()) return std::string();
            } catch (const std::exception&) {
            }
            return fmt::format("{} is no JSON object", text);
          },
          ""};
}

void require_utf8(std::string_view text, std::string_view what) {
  if (!files::is_utf8(text)) throw ArgumentError(fmt::format("{} is no UTF-8 text", what));
}

void ModelArguments::add(CLI::App& app) {
  app.add_option("MODEL,--model", model,
                 "A model folder, a .gguf file, or the name of a hub's repository")
      ->type_name("MODEL")
      ->required();
  app.add_option("--adapter-path", adapter_path, "A folder with an adapter that mlx-lm has trained")
      ->type_name("FOLDER");
  app.add_flag("--requantize", requantize,
               "Packs GGUF's blocks that MLX has no form for into 8 bits in place of f32");
}

std::filesystem::path ModelArguments::path() const {
  return hub::is_repository(model) ? pulled(model) : std::filesystem::path(model);
}

llm::LoadOptions ModelArguments::options() const {
  llm::LoadOptions options;
  options.requantize = requantize;
  if (!adapter_path.empty()) options.adapter = adapter_path;
  return options;
}

llm::TextModel ModelArguments::load() const { return llm::TextModel::load(path(), options()); }

llm::EmbeddingModel ModelArguments::load_embedding() const {
  return llm::EmbeddingModel::load(path(), options());
}

void CacheArguments::add(CLI::App& app) {
  app.add_option("--max-kv-size", max_kv_size,
                 "Tokens that attention remembers, the first 4 among them");
  app.add_option("--kv-bits", kv_bits, "Bits of keys and values in memory; all unless given")
      ->check(CLI::IsMember({2, 3, 4, 5, 6, 8}));
  app.add_option("--kv-group-size", kv_group_size, "Numbers that share a scale there")
      ->check(CLI::IsMember({32, 64, 128}))
      ->capture_default_str();
  app.add_option("--quantized-kv-start", quantized_kv_start,
                 "Tokens in memory from which on they are quantized")
      ->capture_default_str();
  app.add_option("--prefill-step-size", prefill_step_size, "Tokens of the prompt at a time")
      ->capture_default_str();
}

void CacheArguments::apply(llm::GenerateOptions& options) const {
  options.max_kv_size = max_kv_size;
  options.quantized_kv_start = quantized_kv_start;
  options.prefill_step_size = prefill_step_size;
  if (kv_bits)
    options.kv_quantization = llm::KvQuantization{.bits = *kv_bits, .group_size = kv_group_size};
}

void GenerationArguments::add(CLI::App& app) {
  app.add_option("-m,--max-tokens", max_tokens, "Tokens of the answer at most; -1: any number")
      ->capture_default_str();
  app.add_option("--temp", sampler.temp, "Temperature; 0 takes the most probable token")
      ->capture_default_str();
  app.add_option("--top-p", sampler.top_p,
                 "Share of the most probable tokens that is kept; 0 or 1: all")
      ->check(between(0, 1))
      ->capture_default_str();
  app.add_option("--min-p", sampler.min_p, "Least probability beside the most probable token")
      ->capture_default_str();
  app.add_option("--min-tokens-to-keep", sampler.min_tokens_to_keep, "Tokens that --min-p leaves")
      ->capture_default_str();
  app.add_option("--top-k", sampler.top_k, "Number of most probable tokens kept; 0: all")
      ->check(at_least(0))
      ->capture_default_str();
  app.add_option("--xtc-probability", sampler.xtc_probability,
                 "How often the most probable tokens are left out")
      ->check(between(0, 1))
      ->capture_default_str();
  app.add_option("--xtc-threshold", sampler.xtc_threshold,
                 "Probability above which tokens count as most probable")
      ->capture_default_str();
  app.add_option("--repetition-penalty", processors.repetition_penalty,
                 "Divides the logits of the last tokens; 0: off")
      ->capture_default_str();
  app.add_option("--repetition-context-size", processors.repetition_context_size,
                 "How many tokens that looks at")
      ->capture_default_str();
  app.add_option("--presence-penalty", processors.presence_penalty,
                 "Subtracted once from tokens that have occurred")
      ->capture_default_str();
  app.add_option("--frequency-penalty", processors.frequency_penalty,
                 "Subtracted for each time that a token has occurred")
      ->capture_default_str();
  app.add_option("--seed", seed, "Seed of draws; another one each time unless given")
      ->check(CLI::Validator(
          [](const std::string& text) {
            std::uint64_t value = 0;
            const auto [end, error] =
                std::from_chars(text.data(), text.data() + text.size(), value);
            const bool fits = error == std::errc() && end == text.data() + text.size();
            return fits ? "" : fmt::format("{} is no whole number from 0 to 2^64 - 1", text);
          },
          ""));
  app.add_option("--stop", stop, "Text before which the answer ends (may be repeated)")
      ->allow_extra_args(false)
      ->take_all();
  app.add_option("--extra-eos-token", extra_eos_tokens,
                 "Token that ends the answer beside the model's own (may be repeated)")
      ->allow_extra_args(false)
      ->take_all();
  cache.add(app);
  app.add_option("--draft-model", draft_model,
                 "A smaller model of the same vocabulary that guesses")
      ->type_name("MODEL");
  app.add_option("--num-draft-tokens", num_draft_tokens, "How many tokens are guessed at a time")
      ->capture_default_str();
  app.add_option("--ngram-draft", ngram_draft,
                 "Guesses what followed the last N tokens when they occurred before; 0: off")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--json-schema", json_schema,
                 "The answer is JSON by this schema (@FILE: in a file)")
      ->check(not_empty());
  app.add_option("--grammar", grammar, "The answer follows this grammar in Lark's notation (@FILE)")
      ->check(not_empty());
  app.add_option("--regex", regex, "The answer matches this regular expression as a whole")
      ->check(not_empty());
  app.add_option("--thinking-budget", thinking_budget,
                 "Tokens between <think> and </think> at most");
}

std::string text_or_file(const std::string& text, std::string_view who) {
  if (!text.starts_with('@')) return text;
  if (text == "@") throw ArgumentError(fmt::format("[{}] @ names no file: @FILE is wanted", who));
  std::ostringstream contents;
  contents << open_regular(text.substr(1), who).stream.rdbuf();
  return contents.str();
}

std::string prompt_text(const std::string& text, std::string_view who) {
  const bool is_input = text == "-";
  std::string all = is_input ? std::string(std::istreambuf_iterator<char>(std::cin), {})
                             : text_or_file(text, who);
  const std::string from = is_input ? "standard input" : text.starts_with('@') ? text : "it";
  require_utf8(all, fmt::format("[{}] the prompt can't be taken: {}", who, from));
  return all;
}

llm::TextOptions GenerationArguments::options(const llm::TextModel& model) const {
  llm::TextOptions all;
  all.stop = stop;
  all.extra_eos_tokens = extra_eos_tokens;
  llm::GenerateOptions& tokens = all.tokens;
  tokens.max_tokens = max_tokens;
  tokens.sampler = sampler;
  tokens.processors = processors;
  tokens.seed = seed;
  cache.apply(tokens);
  if (!draft_model.empty()) {
    tokens.speculation = llm::Speculation{.draft_model = llm::Model::load(draft_model),
                                          .num_draft_tokens = num_draft_tokens};
  } else if (ngram_draft > 0) {
    tokens.speculation =
        llm::Speculation{.num_draft_tokens = num_draft_tokens, .ngram_size = ngram_draft};
  }
  tokens.grammar = model.grammar({.json_schema = constraint(json_schema, "--json-schema"),
                                  .grammar = constraint(grammar, "--grammar"),
                                  .regex = regex});
  if (thinking_budget) tokens.thinking = model.thinking_budget(*thinking_budget);
  return all;
}

std::string statistics(const llm::GenerationStats& stats) {
  std::string text = fmt::format(
      "Prompt: {} tokens, {:.3f} tokens-per-sec{}\n"
      "Generation: {} tokens, {:.3f} tokens-per-sec\n"
      "Peak memory: {:.3f} GB",
      stats.prompt_tokens - stats.cached_tokens, stats.prompt_tps(),
      stats.cached_tokens > 0 ? fmt::format("; {} more were known", stats.cached_tokens) : "",
      stats.generation_tokens, stats.generation_tps(),
      static_cast<double>(stats.peak_memory) / 1e9);
  if (stats.accepted_drafts > 0)
    text += fmt::format("\nGuessed: {} of the tokens", stats.accepted_drafts);
  return text;
}

}  // namespace mlxnx::cli
