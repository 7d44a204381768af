// The `mlxnx` program: reads the command line and runs one subcommand.
// Exit status: 0 done, 1 failed, 2 the command line was not understood.
#include <fmt/format.h>

#include <array>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "command.h"

namespace {

struct Command {
  const char* name;
  const char* description;
  mlxnx::cli::Action (*add)(CLI::App&);
};

constexpr std::array kCommands = {
#ifdef MLXNX_WITH_BENCH
    Command{"bench", "Time this build's ops", mlxnx::cli::add_bench},
#endif
    Command{"info", "Print versions, devices, BLAS and limits", mlxnx::cli::add_info},
    Command{"inspect", "Show what a program file holds", mlxnx::cli::add_inspect},
    Command{"ops", "List the ops, their operands and attributes", mlxnx::cli::add_ops},
    Command{"replay", "Run recorded calls of Nx and compare the answers", mlxnx::cli::add_replay},
    Command{"run", "Run a program file", mlxnx::cli::add_run},
};

constexpr int kFailure = 1;
constexpr int kUsage = 2;

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Nx on Apple's MLX: what this build can do, and how well"};
  app.name("mlxnx");
  app.set_version_flag("--version", "mlxnx " MLXNX_VERSION);
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, mlxnx::cli::Action>> actions;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.description);
    actions.emplace_back(sub, command.add(*sub));
  }
  try {
    app.parse(argc, argv);
    for (const auto& [sub, action] : actions) {
      if (sub->parsed()) return action();
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "mlxnx: {}\n", error.what());
    return kFailure;
  }
  return kUsage;
}
