// What the subcommands about language models have in common: their options, and loading.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mlxnx/llm/embedding.h"
#include "mlxnx/llm/text_model.h"

namespace mlxnx::cli {

struct ModelArguments {
  std::string model, adapter_path;
  bool requantize = false;

  void add(CLI::App& app);
  /// A folder, a file, or the name of a repository, which is downloaded first.
  llm::TextModel load() const;
  llm::EmbeddingModel load_embedding() const;

 private:
  std::filesystem::path path() const;
  llm::LoadOptions options() const;
};

/// How prompts are taken and what is kept of them: `--max-kv-size`, `--kv-bits` and so on.
struct CacheArguments {
  std::optional<std::int64_t> max_kv_size, kv_bits;
  std::int64_t kv_group_size = 64, quantized_kv_start = 5000, prefill_step_size = 2048;

  void add(CLI::App& app);
  void apply(llm::GenerateOptions& options) const;
};

/// `--max-tokens`, `--temp` and so on, by mlx-lm's names and defaults.
struct GenerationArguments {
  std::int64_t max_tokens = 100;
  llm::SamplerOptions sampler = {.temp = 0, .top_p = 1};
  llm::ProcessorOptions processors = {};
  std::optional<std::uint64_t> seed;
  CacheArguments cache;
  std::vector<std::string> extra_eos_tokens, stop;
  std::string draft_model;
  std::int64_t num_draft_tokens = 3, ngram_draft = 0;
  std::string json_schema, grammar, regex;
  std::optional<std::int64_t> thinking_budget;

  void add(CLI::App& app);
  /// Throws: ArgumentError for options that exclude each other.
  llm::TextOptions options(const llm::TextModel& model) const;
};

/// What a numeric option takes.
CLI::Validator at_least(double least);
CLI::Validator between(double least, double most);
/// A text option that takes anything but nothing.
CLI::Validator not_empty();
CLI::Validator json_object();

/// Throws: ArgumentError where `text`, which is `what`, is no UTF-8.
void require_utf8(std::string_view text, std::string_view what);

/// `@file` stands for what the file holds. `who` opens the errors' text.
std::string text_or_file(const std::string& text, std::string_view who = "generate");
/// The same, and `-` for standard input.
/// Throws: ArgumentError for what is no UTF-8.
std::string prompt_text(const std::string& text, std::string_view who = "generate");

/// What mlx-lm prints after a text: tokens, tokens per second, peak memory.
std::string statistics(const llm::GenerationStats& stats);

}  // namespace mlxnx::cli
