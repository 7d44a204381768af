// mlxnx bench: times the cases of native/bench with google-benchmark.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "cases.h"
#include "command.h"
#include "mlxnx/device.h"
#include "mlxnx/error.h"
#include "output.h"

namespace mlxnx::cli {
namespace {

struct BenchArguments {
  std::string filter = ".";
  std::string format = "console";
  int repetitions = 5;
  double seconds = 0.05;
  bool list = false;
  int memory = 0;
};

// Pages of this process in memory, in bytes; 0 where the system does not tell.
std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0, resident = 0;
  if (!(file >> all >> resident)) return 0;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// What is held once a case is prepared, which calls it 20 times, and after so many more calls.
void print_memory(const bench::Case& item, int calls) {
  const bench::Body body = item.prepare();
  const auto print_now = [&item](const char* when) {
    print(fmt::format("{:<34}{:<10}{:>14}{:>14}\n", item.name, when, memory_info().active_bytes,
                      resident_bytes()));
  };
  print_now("prepared");
  for (int i = 0; i < calls; ++i) body();
  print_now("run");
}

int run(const BenchArguments& options) {
  if (options.list) {
    for (const bench::Case& item : bench::cases()) print(fmt::format("{}\n", item.name));
    return 0;
  }
  // The range that the option is checked for lets NaN through.
  if (std::isnan(options.seconds)) throw ArgumentError("[bench] --seconds is not a number");
  const bool excludes = options.filter.starts_with('-');
  const std::regex filter(options.filter.substr(excludes ? 1 : 0), std::regex::extended);
  const auto all = bench::cases();
  const auto is_meant = [&](const bench::Case& item) {
    return std::regex_search(item.name, filter) != excludes;
  };
  if (std::none_of(all.begin(), all.end(), is_meant))
    throw ArgumentError(fmt::format("[bench] no case matches {}", options.filter));
  if (options.memory > 0) {
    print(fmt::format("{:<44}{:>14}{:>14}\n", "bytes", "tensors", "process"));
    for (const bench::Case& item : all) {
      if (is_meant(item)) print_memory(item, options.memory);
    }
    return 0;
  }
  for (const bench::Case& item : all) {
    if (is_meant(item)) bench::register_case(item);
  }
  std::vector<std::string> arguments = {
      "mlxnx bench", fmt::format("--benchmark_format={}", options.format),
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
  const auto options = std::make_shared<BenchArguments>();
  app.footer(
      "Example: mlxnx bench --filter dot --repetitions 10\n"
      "Prints mean, median and deviation of each case; json and csv hold every measurement.");
  app.add_option(
         "--filter", options->filter,
         "Regular expression that a part of a case's name matches, or '-' and one that none does")
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
  app.add_option("--memory", options->memory,
                 "Print what is held before and after so many calls, in place of times")
      ->check(CLI::Range(1, 1'000'000));
  app.add_flag("--list", options->list, "Only list the names of the cases");
  return [options] { return run(*options); };
}

}  // namespace mlxnx::cli
