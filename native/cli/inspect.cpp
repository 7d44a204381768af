// mlxnx inspect: shows what a program file holds.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "command.h"
#include "program/printer.h"
#include "program/serializer.h"

namespace mlxnx::cli {

Action add_inspect(CLI::App& app) {
  struct Options {
    std::string program;
    bool dot = false;
  };
  const auto options = std::make_shared<Options>();
  app.add_option("PROGRAM", options->program, "Program file (.mlxnx)")->required();
  app.add_flag("--dot", options->dot, "As a Graphviz graph");
  return [options] {
    const program::Program program = program::load(options->program);
    fmt::print("{}", options->dot ? to_dot(program) : to_text(program));
    return 0;
  };
}

}  // namespace mlxnx::cli
