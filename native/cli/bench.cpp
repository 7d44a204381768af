// mlxnx bench: times the cases of native/bench with google-benchmark.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "cases.h"
#include "command.h"
#include "mlxnx/error.h"
#include "output.h"

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
    for (const bench::Case& item : bench::cases()) print(fmt::format("{}\n", item.name));
    return 0;
  }
  // The range that the option is checked for lets NaN through.
  if (std::isnan(options.seconds)) throw ArgumentError("[bench] --seconds is not a number");
  const bool excludes = options.filter.starts_with('-');
  const std::regex filter(options.filter.substr(excludes ? 1 : 0), std::regex::extended);
  const auto all = bench::cases();
  if (std::none_of(all.begin(), all.end(), [&](const bench::Case& item) {
        // Filters see the name with what the kind of time measured adds to it.
        return std::regex_search(item.name + "/process_time/real_time", filter) != excludes;
      }))
    throw ArgumentError(fmt::format("[bench] no case matches {}", options.filter));
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

std::string regular_expression(const std::string& text) {
  try {
    const std::regex expression(text, std::regex::extended);
    return "";
  } catch (const std::regex_error&) {
    return fmt::format("{} is no regular expression", text);
  }
}

}  // namespace

Action add_bench(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.footer(
      "Example: mlxnx bench --filter dot --repetitions 10\n"
      "Prints mean, median and deviation of each case; json and csv hold every measurement.");
  app.add_option("--filter", options->filter,
                 "Regular expression that a part of a case's name matches")
      ->type_name("REGEX")
      ->check(regular_expression)
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
  app.add_flag("--list", options->list, "Only list the names of the cases");
  return [options] { return run(*options); };
}

}  // namespace mlxnx::cli
