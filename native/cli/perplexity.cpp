// mlxnx perplexity: how well a model foretells a text.
#include "mlxnx/llm/perplexity.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"
#include "generation.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "output.h"
#include "progress.h"

namespace mlxnx::cli {
namespace {

struct PerplexityArguments {
  ModelArguments model;
  std::string text;
  std::size_t sequence_length = 512;
  std::int64_t num_samples = 256, batch_size = 8;
  bool is_json = false;
};

int perplexity(const PerplexityArguments& options) {
  const llm::TextModel model = options.model.load();
  auto texts = llm::in_pieces(model.prompt(prompt_text(options.text, "perplexity")),
                              options.sequence_length);
  if (texts.empty()) {
    throw ArgumentError(
        fmt::format("[perplexity] the text has fewer than {} tokens: give a "
                    "longer one, or a smaller --sequence-length",
                    options.sequence_length));
  }
  if (options.num_samples > 0 && std::cmp_greater(texts.size(), options.num_samples))
    texts.resize(static_cast<std::size_t>(options.num_samples));
  ProgressLine line("texts", false, ProgressLine::Unit::kNumber);
  const auto start = std::chrono::steady_clock::now();
  const llm::Perplexity result = llm::perplexity(model.model(), texts, options.batch_size,
                                                 [&](std::uint64_t done, std::uint64_t total) {
                                                   line.show(done, total);
                                                   return true;
                                                 });
  line.clear();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (options.is_json) {
    print(nlohmann::json{{"perplexity", result.perplexity},
                         {"standard_error", result.standard_error},
                         {"tokens", result.losses.size()},
                         {"seconds", seconds}}
              .dump() +
          "\n");
  } else {
    print(
        fmt::format("Perplexity: {:.3f} ± {:.3f}\n{} texts of {} tokens, {:.1f} s, {:.0f} "
                    "tokens-per-sec\n",
                    result.perplexity, result.standard_error, texts.size(), options.sequence_length,
                    seconds, static_cast<double>(result.losses.size()) / seconds));
  }
  return 0;
}

}  // namespace

Action add_perplexity(CLI::App& app) {
  const auto options = std::make_shared<PerplexityArguments>();
  app.footer("Example: mlxnx perplexity model --text @wiki.test.raw --sequence-length 512");
  options->model.add(app);
  app.add_option("-t,--text", options->text, "The text; @FILE a file, - standard input")
      ->required();
  app.add_option("--sequence-length", options->sequence_length, "Tokens that are read together")
      ->check(between(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--num-samples", options->num_samples, "Pieces of the text at most; -1: all")
      ->check(CLI::Validator(
          [](const std::string& text) {
            const std::string why = at_least(1)(text);
            return text == "-1" ? "" : why;
          },
          ""))
      ->capture_default_str();
  app.add_option("--batch-size", options->batch_size, "Pieces at a time")
      ->check(at_least(1))
      ->capture_default_str();
  app.add_flag("--json", options->is_json, "Prints the result as JSON");
  return [options] { return perplexity(*options); };
}

}  // namespace mlxnx::cli
