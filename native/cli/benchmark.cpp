// mlxnx benchmark: how fast a model reads and writes.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "command.h"
#include "generation.h"
#include "interrupt.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "mlxnx/llm/generate.h"
#include "mlxnx/mlxnx.h"
#include "mlxnx/random.h"
#include "output.h"

namespace mlxnx::cli {
namespace {

struct BenchmarkArguments {
  ModelArguments model;
  std::int64_t prompt_tokens = 512, generation_tokens = 1024, batch_size = 1, num_trials = 5;
  std::int64_t prefill_step_size = 2048;
  double delay = 0;
  bool is_json = false, is_random = false;
};

struct Trial {
  double prompt_tps = 0, generation_tps = 0, peak_memory = 0;
  double prompt_cpu = 0, generation_cpu = 0;  ///< milliseconds of all processors for a token
};

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Tokens that mean nothing, the same each time.
Tensor prompt_of(const BenchmarkArguments& options, std::int64_t vocabulary) {
  return as_type(random::uniform(random::key(0), {options.batch_size, options.prompt_tokens},
                                 {.high = static_cast<double>(vocabulary)}),
                 DType::s32);
}

Trial run(const llm::Model& model, const BenchmarkArguments& options, const Tensor& prompt) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  reset_peak_memory();
  llm::Cache cache = model.make_cache();
  const double before = cpu_seconds();
  const auto start = Clock::now();
  Tensor next;
  for (std::int64_t at = 0; at < options.prompt_tokens;) {
    const std::int64_t some = std::min(options.prefill_step_size, options.prompt_tokens - at);
    const Tensor logits = model.forward(slice_along_axis(prompt, at, some, {.axis = 1}), cache);
    at += some;
    if (at < options.prompt_tokens) {
      cache.evaluate();
    } else {
      next = argmax(slice_along_axis(logits, some - 1, 1, {.axis = 1}), {.axis = -1});
      cache.evaluate({next});
    }
  }
  const double prompt_seconds = since(start), cpu = cpu_seconds();
  const auto middle = Clock::now();
  // As texts are written: on a GPU a step begins before the last token is read.
  const bool is_ahead = default_device() == Device::kGpu;
  for (std::int64_t token = 0; token < options.generation_tokens; ++token) {
    const Tensor last = std::exchange(next, argmax(model.forward(next, cache), {.axis = -1}));
    if (is_ahead) {
      async_eval(next);
      eval(last);
    } else {
      cache.evaluate({next});
    }
  }
  eval(next);
  const double seconds = since(middle);
  const auto batch = static_cast<double>(options.batch_size);
  const auto written = static_cast<double>(options.generation_tokens);
  const auto read = static_cast<double>(options.prompt_tokens);
  return {read * batch / prompt_seconds, written * batch / seconds,
          static_cast<double>(memory_info().peak_bytes) / 1e9, (cpu - before) * 1e3 / read,
          (cpu_seconds() - cpu) * 1e3 / written};
}

Trial mean_of(const std::vector<Trial>& trials) {
  Trial mean;
  const auto count = static_cast<double>(trials.size());
  for (const Trial& trial : trials) {
    mean.prompt_tps += trial.prompt_tps / count;
    mean.generation_tps += trial.generation_tps / count;
    mean.peak_memory = std::max(mean.peak_memory, trial.peak_memory);
    mean.prompt_cpu += trial.prompt_cpu / count;
    mean.generation_cpu += trial.generation_cpu / count;
  }
  return mean;
}

std::string text_of(const Trial& trial) {
  return fmt::format(
      "prompt_tps={:.3f}, generation_tps={:.3f}, peak_memory={:.3f}, CPU ms of a token: {:.2f} of "
      "the prompt, {:.2f} written",
      trial.prompt_tps, trial.generation_tps, trial.peak_memory, trial.prompt_cpu,
      trial.generation_cpu);
}

int benchmark(const BenchmarkArguments& options) {
  const InterruptNote interrupt;
  const llm::Model model =
      options.is_random ? llm::Model::random(Config::read(options.model.model), random::key(0))
                        : options.model.load().model();
  const Tensor prompt = prompt_of(options, model.config().get<std::int64_t>("vocab_size", 1000));
  run(model, options, prompt);  // what is made once
  std::vector<Trial> trials;
  for (std::int64_t i = 0; i < options.num_trials && !interrupt.is_interrupted(); ++i) {
    if (options.delay > 0)
      std::this_thread::sleep_for(std::chrono::duration<double>(options.delay));
    const Trial trial = run(model, options, prompt);
    trials.push_back(trial);
    if (options.is_json) continue;
    print(fmt::format("Trial {}: {}\n", i + 1, text_of(trial)));
    flush_output();
  }
  interrupt.end_if_interrupted();
  const Trial mean = mean_of(trials);
  if (options.is_json) {
    print(nlohmann::json{{"prompt_tps", mean.prompt_tps},
                         {"generation_tps", mean.generation_tps},
                         {"peak_memory", mean.peak_memory},
                         {"cpu_ms_per_prompt_token", mean.prompt_cpu},
                         {"cpu_ms_per_token", mean.generation_cpu}}
              .dump() +
          "\n");
  } else {
    print(fmt::format("Averages: {}\n", text_of(mean)));
  }
  return 0;
}

}  // namespace

Action add_benchmark(CLI::App& app) {
  const auto options = std::make_shared<BenchmarkArguments>();
  app.footer(
      "Examples: mlxnx benchmark model -p 512 -g 128\n"
      "          mlxnx benchmark config.json --random -p 512 -g 128\n"
      "One trial more, the first, is not counted.");
  options->model.add(app);
  const auto count = [&](const char* name, std::int64_t& value, const char* text) {
    app.add_option(name, value, text)->check(at_least(1))->capture_default_str();
  };
  count("-p,--prompt-tokens", options->prompt_tokens, "Tokens of the prompt");
  count("-g,--generation-tokens", options->generation_tokens, "Tokens that are written");
  count("-b,--batch-size", options->batch_size, "Texts at a time");
  count("-n,--num-trials", options->num_trials, "How often");
  count("--prefill-step-size", options->prefill_step_size, "Tokens of the prompt at a time");
  app.add_option("--delay", options->delay, "Seconds between trials")->capture_default_str();
  app.add_flag("--random", options->is_random, "MODEL is a config.json, and the weights are drawn");
  app.add_flag("--json", options->is_json, "Prints the averages as JSON");
  return [options] { return benchmark(*options); };
}

}  // namespace mlxnx::cli
