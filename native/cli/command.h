// A subcommand of the program: one file each, listed in main.cpp.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace mlxnx::cli {

/// What a subcommand does once the command line is read. Returns: the exit status.
using Action = std::function<int()>;

/// Each adds its options to `app`; the returned action holds what they were set to.
Action add_bench(CLI::App& app);
Action add_benchmark(CLI::App& app);
Action add_cache_prompt(CLI::App& app);
Action add_chat(CLI::App& app);
Action add_convert(CLI::App& app);
Action add_embed(CLI::App& app);
Action add_generate(CLI::App& app);
Action add_info(CLI::App& app);
Action add_inspect(CLI::App& app);
Action add_models(CLI::App& app);
Action add_ops(CLI::App& app);
Action add_perplexity(CLI::App& app);
Action add_pull(CLI::App& app);
Action add_replay(CLI::App& app);
Action add_run(CLI::App& app);
Action add_transform(CLI::App& app);

}  // namespace mlxnx::cli
