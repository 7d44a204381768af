// Models of a hub: repositories that a Hugging Face compatible server publishes, kept in the cache
// that Python's huggingface_hub uses as well.
//
// The environment is what that package reads: HF_ENDPOINT (the server), HF_TOKEN or the file
// `$HF_HOME/token`, HF_HUB_CACHE or `$HF_HOME/hub` (the cache), HF_HUB_OFFLINE. Proxies are
// libcurl's: `https_proxy`, `no_proxy`, ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlxnx::hub {

/// How far a download is. What the cache had already counts as done.
struct Progress {
  std::string file;              ///< the one under way
  std::uint64_t file_bytes = 0;  ///< of it that are here
  std::uint64_t file_size = 0;
  std::uint64_t bytes = 0;  ///< of all files that are here
  std::uint64_t size = 0;   ///< of all files
  std::size_t files_done = 0;
  std::size_t files = 0;
};

/// What is wanted of a repository, and how. Patterns are those of a shell, whose `*` also crosses
/// folders.
struct Options {
  std::string revision = "main";          ///< a branch, a tag, or a commit
  std::vector<std::string> include = {};  ///< files that match any; none: default_patterns()
  std::vector<std::string> exclude = {};  ///< but none of these
  /// Without it the environment's; empty for none. It is sent to the hub's own host only.
  std::optional<std::string> token = {};
  std::string endpoint = {};         ///< the hub's URL; empty means the environment's
  std::filesystem::path cache = {};  ///< the cache's folder; empty means the environment's
  std::optional<bool> offline = {};  ///< use what is in the cache, or fail
  bool force = false;                ///< download what is in the cache, too
  std::function<void(const Progress&)> progress = {};  ///< told some times a second
  std::function<bool()> stop = {};  ///< asked some times a second; true ends the download
};

/// Whether a name that may mean a model on disk or one of a hub means the latter: it looks like
/// `owner/name`, and no such path is here.
bool is_repository(const std::string& name);

/// What a model needs: weights, configuration, tokenizer, templates; no code. mlx-lm downloads
/// these.
const std::vector<std::string>& default_patterns();

/// Downloads the files of a repository that the cache lacks. Returns: the folder of the snapshot,
/// which holds links to them.
///
/// What breaks off is taken up again where it ended, by this call and by later ones. Each file is
/// checked, its length and its checksum, before it gets its name; several processes may pull the
/// same one. A commit that is complete in the cache costs no request.
///
/// Throws: HubError when the hub can't be reached, has no such repository or revision, or does not
/// give it to us, when nothing matches, when offline and something is missing, and when stopped;
/// FormatError for an answer that is not what a hub says, names that lead out of the folder, wrong
/// lengths and checksums; ArgumentError for names and settings that are none, and when the cache
/// can't be written; UnsupportedError where the library was built without libcurl, or it is
/// missing. huggingface_hub: snapshot_download
///
///     auto folder = hub::pull("mlx-community/SmolLM2-135M-Instruct", {.exclude = {"*.jsonl"}});
std::filesystem::path pull(std::string_view repo, const Options& options = {});

/// Downloads a single file; patterns have no say. Returns: its path. Throws: as `pull`.
/// huggingface_hub: hf_hub_download
///
///     auto path = hub::pull_file("bartowski/SmolLM2-135M-Instruct-GGUF",
///     "SmolLM2-135M-Q4_K_M.gguf");
std::filesystem::path pull_file(std::string_view repo, std::string_view file,
                                const Options& options = {});

/// The folder of a snapshot whose files are all in the cache, or nothing; asks no server. Where no
/// list of the files is kept in the cache (older clients keep none) a snapshot counts as complete
/// with the weights that match, all those that their index names. Throws: ArgumentError for names
/// that are none, FormatError for a cache whose links lead out of it.
///
///     if (auto folder = hub::find("mlx-community/SmolLM2-135M-Instruct")) load(*folder);
std::optional<std::filesystem::path> find(std::string_view repo, const Options& options = {});

/// The path of a single file in the cache, or nothing.
std::optional<std::filesystem::path> find_file(std::string_view repo, std::string_view file,
                                               const Options& options = {});

}  // namespace mlxnx::hub
