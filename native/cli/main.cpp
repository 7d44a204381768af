// The `mlxnx` program: reads the command line and runs one subcommand.
// Exit status: 0 done, 1 failed, 2 the command line was not understood.
#include <fmt/format.h>

#include <array>
#include <exception>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command.h"
#include "files/nearest.h"
#include "interrupt.h"
#include "output.h"

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
    Command{"benchmark", "Time a language model", mlxnx::cli::add_benchmark},
    Command{"cache-prompt", "Keep what a language model makes of a prompt",
            mlxnx::cli::add_cache_prompt},
    Command{"chat", "Talk with a language model", mlxnx::cli::add_chat},
    Command{"convert", "Write a model in another form", mlxnx::cli::add_convert},
    Command{"embed", "Make vectors of texts", mlxnx::cli::add_embed},
    Command{"generate", "Answer a prompt with a language model", mlxnx::cli::add_generate},
    Command{"info", "Print versions, devices, BLAS and limits", mlxnx::cli::add_info},
    Command{"inspect", "Show what a file of tensors, a model or a program holds",
            mlxnx::cli::add_inspect},
    Command{"models", "List the families of language models", mlxnx::cli::add_models},
    Command{"ops", "List the ops, their operands and attributes", mlxnx::cli::add_ops},
    Command{"perplexity", "Measure how well a language model foretells a text",
            mlxnx::cli::add_perplexity},
    Command{"pull", "Download a model of a hub into the cache", mlxnx::cli::add_pull},
    Command{"replay", "Run recorded calls of Nx and compare the answers", mlxnx::cli::add_replay},
    Command{"run", "Run a program file", mlxnx::cli::add_run},
    Command{"transform", "Make a program of a program: its gradient, for one",
            mlxnx::cli::add_transform},
};

constexpr int kFailure = 1;
constexpr int kUsage = 2;

std::vector<std::string_view> subcommands() {
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) names.emplace_back(command.name);
  return names;
}

// What is wrong with the command line, and where help is.
int refuse(const std::string& what, std::string_view subcommand = "") {
  mlxnx::cli::print_error(what);
  mlxnx::cli::print_error(
      fmt::format("`mlxnx{}{} --help` tells more", subcommand.empty() ? "" : " ", subcommand));
  return kUsage;
}

// Why `typed`, the first argument, chooses no subcommand.
std::string no_subcommand(std::string_view typed) {
  const std::vector<std::string_view> names = subcommands();
  const std::string_view meant = mlxnx::files::nearest(typed, names);
  if (!meant.empty())
    return fmt::format("there is no subcommand \"{}\"; did you mean \"{}\"?", typed, meant);
  std::string what = "a subcommand is missing";
  if (!typed.empty())
    what = fmt::format("there is no {} \"{}\"", typed[0] == '-' ? "option" : "subcommand", typed);
  return fmt::format("{}; the subcommands are {}", what, fmt::join(names, ", "));
}

int run(int argc, char** argv) {
  CLI::App app{"Nx on Apple's MLX: what this build can do, and how well"};
  app.name("mlxnx");
  app.set_version_flag("--version", "mlxnx " MLXNX_VERSION, "Print the version");
  app.set_help_flag("-h,--help", "Print this, or after a subcommand what that can do");
  app.footer("Exit status: 0 done, 1 failed, 2 the command line was not understood.");
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, mlxnx::cli::Action>> actions;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.description);
    sub->set_help_flag("-h,--help", "Print this");
    actions.emplace_back(sub, command.add(*sub));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream help;
    std::ostringstream ignored;
    if (app.exit(error, help, ignored) == 0) {
      mlxnx::cli::print(help.str());
      return 0;
    }
    const auto parsed = app.get_subcommands();
    if (parsed.empty()) return refuse(no_subcommand(argc > 1 ? argv[1] : ""));
    return refuse(error.what(), parsed.front()->get_name());
  }
  for (const auto& [sub, action] : actions) {
    if (sub->parsed()) return action();
  }
  return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  using mlxnx::cli::print_error;
  mlxnx::cli::open_standard_streams();
  mlxnx::cli::end_on_interrupt();
  try {
    const int status = run(argc, argv);
    mlxnx::cli::flush_output();
    return status;
  } catch (const std::bad_alloc&) {
    print_error("not enough memory");
  } catch (const std::length_error&) {  // a vector of more elements than any memory holds
    print_error("not enough memory");
  } catch (const std::exception& error) {
    print_error(error.what());
  }
  return kFailure;
}
