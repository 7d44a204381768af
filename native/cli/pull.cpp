// mlxnx pull: downloads models of a hub into the cache, and says where they are.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "command.h"
#include "mlxnx/error.h"
#include "mlxnx/hub.h"
#include "output.h"
#include "progress.h"
#include "tensor/printable.h"

namespace mlxnx::cli {
namespace {

using std::chrono::steady_clock;

struct PullArguments {
  std::string repo;
  std::vector<std::string> files;
  hub::Options hub;
  bool is_offline = false;
  bool is_json = false;
  bool is_quiet = false;
};

std::string time_text(double seconds) {
  const auto all = static_cast<long>(seconds + 0.5);
  if (all >= 3600) return fmt::format("{}:{:02}:{:02}", all / 3600, all / 60 % 60, all % 60);
  return fmt::format("{}:{:02}", all / 60, all % 60);
}

// On a terminal a line that changes; otherwise a line for each file.
class Shown {
 public:
  explicit Shown(bool is_quiet) : is_quiet_(is_quiet), is_terminal_(::isatty(STDERR_FILENO) != 0) {}
  ~Shown() { clear(); }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;

  void tell(const hub::Progress& progress) {
    if (is_quiet_) return;
    if (progress.file != file_) begin(progress);
    if (is_terminal_) fmt::print(stderr, "\r\033[K{}", line(progress));
    if (progress.file_bytes == progress.file_size && progress.files_done > files_done_)
      end(progress);
  }

 private:
  void begin(const hub::Progress& progress) {
    file_ = progress.file;
    files_done_ = progress.files_done;
    start_ = {};
  }
  void end(const hub::Progress& progress) {
    files_done_ = progress.files_done;
    clear();
    fmt::print(stderr, "{} ({}), {} of {} files\n", tensors::printable(progress.file),
               bytes_text(progress.file_size), progress.files_done, progress.files);
  }
  void clear() const {
    if (is_terminal_ && !is_quiet_) fmt::print(stderr, "\r\033[K");
  }

  std::string line(const hub::Progress& progress) {
    const auto percent = [](std::uint64_t part, std::uint64_t whole) {
      return whole == 0
                 ? 100
                 : static_cast<int>(100 * static_cast<double>(part) / static_cast<double>(whole));
    };
    return fmt::format("{:3}% {} of {}{}: {:.40} {}%", percent(progress.bytes, progress.size),
                       bytes_text(progress.bytes), bytes_text(progress.size), pace(progress),
                       tensors::printable(progress.file),
                       percent(progress.file_bytes, progress.file_size));
  }

  // How fast the file comes, and how long all would take; nothing in its first moments. What an
  // earlier download has left of it has not come now.
  std::string pace(const hub::Progress& progress) {
    const auto now = steady_clock::now();
    if (start_ == steady_clock::time_point() && progress.file_bytes > 0) {
      start_ = now;
      before_ = progress.file_bytes;
    }
    const std::chrono::duration<double> time = now - start_;
    if (start_ == steady_clock::time_point() || time.count() < 0.5 ||
        progress.file_bytes <= before_)
      return "";
    const double rate = static_cast<double>(progress.file_bytes - before_) / time.count();
    const double left =
        static_cast<double>(progress.size - std::min(progress.bytes, progress.size));
    return fmt::format(", {}/s, {} left", bytes_text(static_cast<std::uint64_t>(rate)),
                       time_text(left / rate));
  }

  bool is_quiet_, is_terminal_;
  std::string file_;
  std::size_t files_done_ = 0;
  std::uint64_t before_ = 0;
  steady_clock::time_point start_ = {};
};

int run(const PullArguments& options) {
  hub::Options hub = options.hub;
  if (options.is_offline) hub.offline = true;
  Shown shown(options.is_quiet);
  hub.progress = [&](const hub::Progress& progress) { shown.tell(progress); };
  std::vector<std::string> paths;
  if (options.files.empty()) paths.push_back(hub::pull(options.repo, hub).string());
  for (const std::string& file : options.files)
    paths.push_back(hub::pull_file(options.repo, file, hub).string());
  if (options.is_json) {
    nlohmann::json json = {{"repo", options.repo}, {"revision", hub.revision}};
    json[options.files.empty() ? "snapshot" : "files"] =
        options.files.empty() ? nlohmann::json(paths.front()) : nlohmann::json(paths);
    print(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  } else {
    for (const std::string& path : paths) print(path + "\n");
  }
  return 0;
}

}  // namespace

Action add_pull(CLI::App& app) {
  const auto options = std::make_shared<PullArguments>();
  app.footer(
      "Examples: mlxnx pull mlx-community/SmolLM2-135M-Instruct\n"
      "          mlxnx pull bartowski/SmolLM2-135M-Instruct-GGUF "
      "SmolLM2-135M-Instruct-Q4_K_M.gguf\n"
      "Prints the folder of the snapshot, or the path of each FILE. What was interrupted goes on "
      "where "
      "it ended. HF_TOKEN, HF_ENDPOINT, HF_HUB_CACHE, HF_HOME and HF_HUB_OFFLINE are those of "
      "huggingface_hub, with which the cache is shared.");
  app.add_option("REPO", options->repo, "Repository, as owner/name")->required();
  app.add_option("FILE", options->files,
                 "Single files of it; without any all that a model needs are downloaded");
  app.add_option("--revision", options->hub.revision, "Branch, tag or commit")
      ->capture_default_str();
  app.add_option("--include", options->hub.include,
                 "Files that match are wanted, in place of what a model needs (may be repeated)")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  app.add_option("--exclude", options->hub.exclude, "But none that match (may be repeated)")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
  app.add_option("--cache", options->hub.cache, "The cache's folder, in place of HF_HUB_CACHE")
      ->type_name("FOLDER");
  app.add_option("--endpoint", options->hub.endpoint, "The hub, in place of HF_ENDPOINT")
      ->type_name("URL");
  app.add_flag("--offline", options->is_offline, "Use what is in the cache, or fail");
  app.add_flag("--force", options->hub.force, "Download what is in the cache, too");
  app.add_flag("--json", options->is_json, "Print the paths as JSON");
  app.add_flag("--quiet", options->is_quiet, "Show no progress");
  return [options] { return run(*options); };
}

}  // namespace mlxnx::cli
