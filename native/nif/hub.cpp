// Downloads from hubs. One runs on a thread of its own, for a process, which gets
//
//     {ref, :progress, {file, file_bytes, file_size, bytes, size, files_done, files}}, if it wants
//     to {ref, :done, path} or {ref, :failed, exception}
//
// Options are {revision, include, exclude, token or nil, endpoint, cache, offline or nil, force}.
#include "mlxnx/hub.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "mlxnx/error.h"
#include "nif/function.h"
#include "nif/functions.h"
#include "nif/resource.h"

namespace mlxnx::nif {
namespace {

class Download {
 public:
  Download(const ErlNifPid& owner, Term ref)
      : owner_(owner), ref_env_(enif_alloc_env()), ref_(enif_make_copy(ref_env_, ref)) {}
  ~Download() { enif_free_env(ref_env_); }
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;

  void stop() { is_stopped_ = true; }

  void run(const std::string& repo, const std::optional<std::string>& file, hub::Options options,
           bool wants_progress) {
    options.stop = [this] { return is_stopped_.load(); };
    if (wants_progress)
      options.progress = [this](const hub::Progress& progress) { tell(progress); };
    try {
      const std::filesystem::path path =
          file ? hub::pull_file(repo, *file, options) : hub::pull(repo, options);
      send(atoms.done, [&](ErlNifEnv* env) { return encode(env, path.string()); });
    } catch (...) {
      send(atoms.failed, [](ErlNifEnv* env) { return current_exception_term(env, "pull"); });
    }
  }

 private:
  template <typename MakePayload>
  void send(Term kind, MakePayload make_payload) const {
    ErlNifEnv* const env = enif_alloc_env();
    const Term message = enif_make_tuple3(env, enif_make_copy(env, ref_), kind, make_payload(env));
    enif_send(nullptr, &owner_, env, message);
    enif_free_env(env);
  }
  void tell(const hub::Progress& progress) const {
    send(atoms.progress, [&](ErlNifEnv* env) {
      const auto count = [env](std::uint64_t number) { return encode(env, Bytes{number}); };
      return enif_make_tuple7(env, encode(env, progress.file), count(progress.file_bytes),
                              count(progress.file_size), count(progress.bytes),
                              count(progress.size), count(progress.files_done),
                              count(progress.files));
    });
  }

  ErlNifPid owner_;
  ErlNifEnv* ref_env_;  // keeps ref_
  Term ref_;
  std::atomic<bool> is_stopped_{false};
};

// What a download's term holds.
struct DownloadTerm {
  explicit DownloadTerm(std::shared_ptr<Download> download) : download(std::move(download)) {}
  // Nobody is left who waits.
  ~DownloadTerm() { download->stop(); }
  DownloadTerm(const DownloadTerm&) = delete;
  DownloadTerm& operator=(const DownloadTerm&) = delete;

  std::shared_ptr<Download> download;
};

void downloader_is_down(ErlNifEnv*, void* object, ErlNifPid*, ErlNifMonitor*) {
  static_cast<DownloadTerm*>(object)->download->stop();
}

hub::Options options_of(ErlNifEnv* env, Term term) {
  const auto fields = decode_tuple(env, term, 8, "the options of a hub");
  return {.revision = decode<std::string>(env, fields[0]),
          .include = decode<std::vector<std::string>>(env, fields[1]),
          .exclude = decode<std::vector<std::string>>(env, fields[2]),
          .token = decode<std::optional<std::string>>(env, fields[3]),
          .endpoint = decode<std::string>(env, fields[4]),
          .cache = decode<std::string>(env, fields[5]),
          .offline = decode<std::optional<bool>>(env, fields[6]),
          .force = decode<bool>(env, fields[7])};
}

// NIF functions

Term hub_pull(ErlNifEnv* env, Term ref, std::string repo, std::optional<std::string> file,
              Term options, bool wants_progress) {
  ErlNifPid owner;
  if (enif_self(env, &owner) == nullptr) throw BackendError("[pull] no process is calling");
  auto download = std::make_shared<Download>(owner, ref);
  const Term term = Resource<DownloadTerm>::make(env, download);
  // When this fails the process is already going, and its heap, with the term, as well.
  enif_monitor_process(env, Resource<DownloadTerm>::find(env, term), &owner, nullptr);
  std::thread([download = std::move(download), repo = std::move(repo), file = std::move(file),
               options = options_of(env, options), wants_progress] {
    download->run(repo, file, options, wants_progress);
  }).detach();
  return term;
}

void hub_stop(ErlNifEnv* env, Term download) {
  Resource<DownloadTerm>::get(env, download, "a download").download->stop();
}

std::optional<std::string> hub_find(ErlNifEnv* env, std::string repo,
                                    std::optional<std::string> file, Term options) {
  const hub::Options wanted = options_of(env, options);
  const auto path = file ? hub::find_file(repo, *file, wanted) : hub::find(repo, wanted);
  return path ? std::optional(path->string()) : std::nullopt;
}

bool hub_is_repository(ErlNifEnv*, std::string name) { return hub::is_repository(name); }

std::vector<std::string> hub_default_patterns(ErlNifEnv*) { return hub::default_patterns(); }

}  // namespace

bool open_hub_resource(ErlNifEnv* env, ErlNifResourceFlags flags) {
  return Resource<DownloadTerm>::open(env, "download", flags, &downloader_is_down);
}

std::span<const ErlNifFunc> hub_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"hub_pull", &hub_pull>(),
      nif_function<"hub_stop", &hub_stop>(),
      nif_function<"hub_is_repository", &hub_is_repository, NeverQuick{}>(),
      nif_function<"hub_find", &hub_find, NeverQuick{}>(),
      nif_function<"hub_default_patterns", &hub_default_patterns>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
