// mlxnx replay: runs recorded calls of Nx through the registry and compares the answers.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "command.h"
#include "files.h"
#include "mlxnx/error.h"
#include "output.h"
#include "replay/isolated_runner.h"
#include "replay/known_differences.h"
#include "replay/report.h"

namespace mlxnx::cli {
namespace {

constexpr const char* kAllLayouts = "all";

struct ReplayArguments {
  std::string folder;
  std::vector<std::string> ops;
  std::string failures;
  std::string known;
  std::string layout = "row";
  bool check_types = false;
  bool in_process = false;
  bool fuse = false;
  bool as_program = false;
  bool grads = false;
};

KnownDifferences known_differences(const std::string& path) {
  if (path.empty()) return KnownDifferences(kKnownDifferencesJson);
  std::ostringstream text;
  text << open_regular(path, "known differences").stream.rdbuf();
  try {
    return KnownDifferences(text.str());
  } catch (const FormatError& error) {
    throw FormatError(fmt::format("{} in {}", error.what(), path));
  }
}

// Whether `op` is what a user calls `wanted`: "activation" stands for "activation:relu".
bool is_called(const std::string& op, const std::string& wanted) {
  return op == wanted || op.starts_with(wanted + ":");
}

// The cases to run, those of one op together.
std::vector<const GoldenCase*> selected(const GoldenData& data, const ReplayArguments& options) {
  std::vector<const GoldenCase*> cases;
  for (const GoldenCase& golden : data.cases()) {
    const auto& ops = options.ops;
    const auto fits = [&](const std::string& wanted) { return is_called(golden.op, wanted); };
    if (ops.empty() || std::any_of(ops.begin(), ops.end(), fits)) cases.push_back(&golden);
  }
  for (const std::string& op : options.ops) {
    if (std::none_of(cases.begin(), cases.end(),
                     [&](const auto* c) { return is_called(c->op, op); }))
      throw ArgumentError(fmt::format("[replay] {} has no case of {}", options.folder, op));
  }
  std::stable_sort(cases.begin(), cases.end(),
                   [](const auto* a, const auto* b) { return a->op < b->op; });
  return cases;
}

// The layouts that `text` names; names that are none were refused before.
std::vector<Layout> layouts(const std::string& text) {
  std::vector<Layout> result;
  for (const Layout layout : kLayouts) {
    if (text == kAllLayouts || text == name(layout)) result.push_back(layout);
  }
  return result;
}

// Returns: how many cases failed.
std::size_t replay(std::span<const GoldenCase* const> cases, const KnownDifferences& known,
                   const IsolatedRunner::Options& options, FailureFile& failures) {
  Report report(cases.size(), options.run.layout, failures);
  IsolatedRunner runner(cases, options);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const GoldenCase& golden = *cases[i];
    report.begin(golden);
    const Outcome outcome = runner.next();
    report.add(golden, outcome, outcome.passed ? nullptr : known.reason(golden));
    if (i + 1 == cases.size() || cases[i + 1]->op != golden.op) report.end_op(golden.op);
  }
  report.finish();
  return report.counts().failed;
}

// The folder, or those in it that hold models, which come many at a time.
std::vector<std::filesystem::path> folders(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> models;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (std::filesystem::exists(entry.path() / "expected.jsonl", ignored))
      models.push_back(entry.path());
  }
  std::ranges::sort(models);
  if (models.empty()) models.push_back(folder);
  return models;
}

bool replay(const ReplayArguments& options, const std::filesystem::path& folder,
            FailureFile& failures) {
  const GoldenData data(folder,
                        options.grads ? GoldenData::What::kTransforms : GoldenData::What::kCalls);
  const KnownDifferences known = known_differences(options.known);
  const std::vector<const GoldenCase*> cases = selected(data, options);
  IsolatedRunner::Options run_options;
  run_options.run.check_types = options.check_types;
  run_options.run.fuse = options.fuse;
  run_options.run.as_program = options.as_program;
  if (options.in_process) run_options.use_child = false;
  const std::vector<Layout> chosen = layouts(options.layout);
  std::size_t failed = 0;
  for (const Layout layout : chosen) {
    if (chosen.size() > 1) print(fmt::format("operands {}:\n", name(layout)));
    run_options.run.layout = layout;
    failed += replay(cases, known, run_options, failures);
  }
  return failed == 0;
}

int replay(const ReplayArguments& options) {
  FailureFile failures(options.failures);
  const std::vector<std::filesystem::path> all = folders(options.folder);
  std::size_t failed = 0;
  for (const std::filesystem::path& folder : all) {
    if (all.size() > 1) print(fmt::format("{}\n", folder.filename().string()));
    if (!replay(options, folder, failures)) ++failed;
  }
  if (all.size() > 1)
    print(fmt::format("{} of {} folders passed\n", all.size() - failed, all.size()));
  return failed == 0 ? 0 : 1;
}

}  // namespace

Action add_replay(CLI::App& app) {
  auto options = std::make_shared<ReplayArguments>();
  app.footer(
      "Example: mlxnx replay native/tests/golden --op dot --failures failures.txt\n"
      "Prints the ops that fail and then the counts; the exit status is 1 if any case fails. A "
      "case "
      "that crashes or takes longer than two minutes fails, and the rest still runs.");
  app.add_option(
         "DIR", options->folder,
         "Folder with ops.jsonl and ops.bin, or the same of programs, or of cases of mlx.nn")
      ->type_name("FOLDER")
      ->required();
  app.add_option("--op", options->ops,
                 "Only the cases of this op, or of what stands before its colon (may be repeated)")
      ->type_name("NAME")
      ->take_all();
  app.add_option("--failures", options->failures, "Write each failing case to this file")
      ->type_name("FILE");
  app.add_option("--known", options->known,
                 "List of known differences in place of the one built in")
      ->type_name("FILE");
  std::vector<std::string> names{kAllLayouts};
  for (const Layout layout : kLayouts) names.emplace_back(name(layout));
  app.add_option(
         "--layout", options->layout,
         "How operands lie in memory, the elements being the same: row (row by row, the "
         "default), reversed (axes in reversed order), permuted (the last axis outermost), "
         "strided (every second element of a larger buffer), sliced (a window into a larger "
         "buffer), broadcast (axes of equal elements, and of size 1, with stride 0), "
         "flipped (each axis backwards), or all: one after the other")
      ->type_name("LAYOUT")
      ->check(CLI::IsMember(names));
  app.add_flag("--check-types", options->check_types,
               "An inferred output type that is not the recorded one is a failure");
  app.add_flag("--as-program", options->as_program, "Run each call as a program of its own");
  app.add_flag("--grads", options->grads,
               "Compare gradients, second derivatives and vmap of the programs, as programs.jsonl, "
               "vmap.jsonl and marked.jsonl in the folder have them");
  app.add_flag("--fuse", options->fuse, "Fuse programs, which compiles kernels");
  app.add_flag("--in-process", options->in_process,
               "Run the calls in this process, for a debugger; a crash then ends the replay");
  return [options] { return replay(*options); };
}

}  // namespace mlxnx::cli
