// mlxnx bench: times the cases of native/bench with google-benchmark.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "cases.h"
#include "command.h"

namespace mlxnx::cli {
namespace {

struct Options {
  std::string filter = ".";
  std::string format = "console";
  int repetitions = 5;
  double seconds = 0.05;
  bool list = false;
};

int run(const Options& options) {
  if (options.list) {
    for (const bench::Case& item : bench::cases()) fmt::print("{}\n", item.name);
    return 0;
  }
  bench::register_cases();
  std::vector<std::string> arguments = {
      "mlxnx bench", fmt::format("--benchmark_filter={}", options.filter),
      fmt::format("--benchmark_format={}", options.format),
      fmt::format("--benchmark_repetitions={}", options.repetitions),
      fmt::format("--benchmark_min_time={}", options.seconds)};
  if (options.format == "console") arguments.push_back("--benchmark_display_aggregates_only=true");
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  const std::size_t ran = benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return ran > 0 ? 0 : 1;
}

}  // namespace

Action add_bench(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("--filter", options->filter, "Regular expression for the names of the cases")
      ->capture_default_str();
  app.add_option("--format", options->format, "How to print the figures")
      ->check(CLI::IsMember({"console", "json", "csv"}))
      ->capture_default_str();
  app.add_option("--repetitions", options->repetitions, "Measurements of each case")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seconds", options->seconds, "Least duration of a measurement, in seconds")
      ->check(CLI::Range(0.0001, 60.0))
      ->capture_default_str();
  app.add_flag("--list", options->list, "Only list the cases");
  return [options] { return run(*options); };
}

}  // namespace mlxnx::cli
