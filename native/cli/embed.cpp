// mlxnx embed: vectors for texts.
#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "command.h"
#include "generation.h"
#include "interrupt.h"
#include "mlxnx/error.h"
#include "mlxnx/io.h"
#include "mlxnx/llm/embedding.h"
#include "mlxnx/mlxnx.h"
#include "output.h"
#include "progress.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;

struct EmbedArguments {
  ModelArguments model;
  std::vector<std::string> texts;
  std::string pooling;
  bool is_raw = false, is_similarity = false, is_json = false;
  std::int64_t batch_size = 32;
  std::optional<std::int64_t> max_length;
  std::string output;
};

void add_lines(std::istream&& lines, std::vector<std::string>& texts) {
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    texts.push_back(std::move(line));
  }
}

std::vector<std::string> texts_of(const EmbedArguments& options) {
  std::vector<std::string> texts;
  const std::vector<std::string> from_input = {"-"};
  for (const std::string& text : options.texts.empty() ? from_input : options.texts) {
    if (text == "-") {
      add_lines(std::move(std::cin), texts);
    } else if (text.starts_with('@')) {
      add_lines(std::istringstream(text_or_file(text, "embed")), texts);
    } else {
      texts.push_back(text);
    }
  }
  return texts;
}

void save(const Tensor& tensor, const std::string& path, const char* name) {
  if (path.ends_with(".npy")) return save_npy(path, tensor);
  if (path.ends_with(".safetensors")) return save_safetensors(path, {{name, tensor}});
  throw ArgumentError(fmt::format("[embed] {:?} ends neither in .npy nor in .safetensors", path));
}

std::vector<std::vector<float>> rows_of(const Tensor& matrix) {
  const auto values = matrix.to_vector<float>();
  const auto width = static_cast<std::size_t>(matrix.shape()[1]);
  std::vector<std::vector<float>> rows;
  for (auto at = values.begin(); at != values.end(); at += static_cast<std::ptrdiff_t>(width))
    rows.emplace_back(at, at + static_cast<std::ptrdiff_t>(width));
  return rows;
}

// A byte of a text that no JSON can hold is no reason to fail: it has been embedded already.
std::string line(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

void print_similarity(const Tensor& cosines, bool is_json) {
  const auto rows = rows_of(cosines);
  if (is_json) return print(line(rows));
  for (const auto& row : rows) {
    std::vector<std::string> cells;
    for (const float cosine : row) cells.push_back(fmt::format("{:7.4f}", cosine));
    print(fmt::format("{}\n", fmt::join(cells, " ")));
  }
}

void print_vectors(const std::vector<std::string>& texts, const Tensor& vectors, bool is_json) {
  const auto rows = rows_of(vectors);
  json all = json::array();
  for (std::size_t text = 0; text < texts.size(); ++text) {
    json one = {{"text", texts[text]}, {"embedding", rows[text]}};
    if (is_json) {
      all.push_back(std::move(one));
    } else {
      print(line(one));
    }
  }
  if (is_json) print(line(all));
}

int embed(const EmbedArguments& options) {
  const std::vector<std::string> texts = texts_of(options);
  if (texts.empty()) throw ArgumentError("[embed] there is no text: give some, or a line each");
  const llm::EmbeddingModel model = options.model.load_embedding();
  llm::EmbedOptions how{.pooling = llm::pooling_of(options.pooling),
                        .batch_size = options.batch_size,
                        .max_length = options.max_length};
  // Products of vectors are cosines where they have the length 1.
  if (options.is_raw || options.is_similarity) how.normalize = options.is_similarity;
  const InterruptNote interrupt;
  const bool is_short = std::cmp_less_equal(texts.size(), options.batch_size);
  ProgressLine progress("texts", is_short, ProgressLine::Unit::kNumber);
  const Tensor vectors = [&] {
    try {
      return model.embed(texts, how, [&](std::uint64_t done, std::uint64_t total) {
        progress.show(done, total);
        return !interrupt.is_interrupted();
      });
    } catch (const ArgumentError&) {
      interrupt.end_if_interrupted();
      throw;
    }
  }();
  progress.clear();
  const Tensor result = options.is_similarity ? dot(vectors, {1}, {}, vectors, {1}, {}) : vectors;
  if (!options.output.empty()) {
    save(result, options.output, options.is_similarity ? "similarity" : "embeddings");
  } else if (options.is_similarity) {
    print_similarity(result, options.is_json);
  } else {
    print_vectors(texts, result, options.is_json);
  }
  return 0;
}

}  // namespace

Action add_embed(CLI::App& app) {
  const auto options = std::make_shared<EmbedArguments>();
  app.footer(
      "Examples: mlxnx embed model \"A cat sleeps.\" \"The kitten naps.\" --similarity\n"
      "          mlxnx embed model @lines.txt -o vectors.npy");
  options->model.add(app);
  app.add_option("TEXT", options->texts,
                 "Texts; @FILE each line of a file, - of standard input, which is also read where "
                 "there is none")
      ->type_name("TEXT");
  app.add_option("-o,--output", options->output,
                 "Writes a .npy or .safetensors file, and prints nothing");
  std::vector<std::string> poolings;
  for (const llm::Pooling pooling : llm::kPoolings) poolings.emplace_back(name(pooling));
  app.add_option(
         "--pooling", options->pooling,
         "Which tokens make the vector: mean, cls (the first) or last; unless given, as the "
         "model says")
      ->check(CLI::IsMember(poolings));
  app.add_flag("--no-normalize", options->is_raw, "Leaves vectors as long as they are");
  app.add_option("--batch-size", options->batch_size, "Texts at a time, at most")
      ->check(at_least(1))
      ->capture_default_str();
  app.add_option("--max-length", options->max_length,
                 "Tokens at which texts are cut; unless given, as the model says")
      ->check(at_least(1));
  app.add_flag("--similarity", options->is_similarity,
               "Prints the cosine of each text with each, in place of vectors");
  app.add_flag("--json", options->is_json, "Prints one JSON list rather than lines");
  return [options] { return embed(*options); };
}

}  // namespace mlxnx::cli
