#include "mlxc/blas_library.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

namespace mlxnx::mlxc {
namespace {

void warn(const std::string& text) { std::fprintf(stderr, "mlxnx: [blas] %s\n", text.c_str()); }

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

/// The file that `address` was loaded from.
std::string file_of(const void* address) {
  Dl_info info = {};
  return dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

std::string own_file() {
  static const char here = 0;
  return file_of(&here);
}

/// Where the libraries that `choice` names may be, best first.
std::vector<std::string> paths_of(const std::string& choice) {
  if (choice == "system") return {"libopenblas.so.0"};
  if (choice != "bundled") return {choice};
  const std::string name = "libscipy_openblas.so";
  return {
      (std::filesystem::path(own_file()).parent_path() / name).string(),
      name,  // on this library's run path
#ifdef MLXNX_OPENBLAS_DIR
      MLXNX_OPENBLAS_DIR "/" + name,  // a sanitizer's dlopen doesn't know our run path
#endif
  };
}

/// An open library whose names all begin with `prefix`.
struct OpenLibrary {
  void* handle;
  std::string prefix;

  template <typename Function>
  Function find(const std::string& symbol) const {
    return reinterpret_cast<Function>(dlsym(handle, (prefix + symbol).c_str()));
  }

  /// What an OpenBLAS tells about itself; empty for other libraries.
  std::string config() const {
    const auto get_config = find<const char* (*)()>("openblas_get_config");
    return get_config != nullptr ? get_config() : "";
  }
};

/// Opens `path` into `library`; the answer is empty, or why this library can't be used.
std::string open_library(const std::string& path, OpenLibrary& library) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return reason != nullptr ? reason : "it can't be loaded";
  }
  for (const char* prefix : {"", "scipy_"}) {
    library = {handle, prefix};
    const void* sgemm = library.find<const void*>("cblas_sgemm");
    if (sgemm == nullptr) continue;
    if (file_of(sgemm) == own_file()) return "its BLAS is this library";
    if (library.config().find("USE64BITINT") != std::string::npos) {
      return "its integers have 64 bits, MLX's have 32";
    }
    return "";
  }
  return "it has no cblas_sgemm";
}

/// Looks functions up in a list of libraries, best first, and opens one when those before it lack a
/// function. After the last comes what libmlx would find without us.
class Loader {
 public:
  Loader() {
    const char* value = std::getenv("MLXNX_BLAS");
    wanted_ = value != nullptr ? value : "";
    if (wanted_ == "reference") return;
    order_ = {"bundled", "system"};
    if (wanted_.empty()) return;
    std::erase(order_, wanted_);
    order_.insert(order_.begin(), wanted_);
  }

  template <typename Function>
  Function find(const char* symbol) {
    for (std::size_t i = 0; i < open_.size() || open_next(); ++i) {
      if (const auto found = open_[i].find<Function>(symbol)) return found;
    }
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, symbol));
  }

  /// As `find`, and ends the process when the function is nowhere.
  template <typename Function>
  Function need(const char* symbol) {
    const auto found = find<Function>(symbol);
    if (found == nullptr) {
      warn(std::string("no library of this process has ") + symbol + ", which MLX needs");
      std::abort();
    }
    return found;
  }

  /// The library that the products come from.
  OpenLibrary main_library() const {
    return open_.empty() ? OpenLibrary{RTLD_NEXT, ""} : open_.front();
  }

  /// Whether all comes from what libmlx would find without us.
  bool only_reference() const { return open_.empty(); }

 private:
  bool open_next() {
    while (next_ < order_.size()) {
      const std::string& name = order_[next_++];
      OpenLibrary library;
      std::string problem;
      for (const std::string& path : paths_of(name)) {
        problem = open_library(path, library);
        if (problem.empty()) {
          open_.push_back(std::move(library));
          return true;
        }
      }
      if (name == wanted_) {
        warn("MLXNX_BLAS=" + name + " can't be used (" + problem + "); taking another library");
      }
    }
    return false;
  }

  std::string wanted_;
  std::vector<std::string> order_;
  std::size_t next_ = 0;
  std::vector<OpenLibrary> open_;
};

/// Fills in what `library`, where the products of `blas` come from, tells about itself, and has it
/// leave threads to us.
void describe(const OpenLibrary& library, bool reference, BlasLibrary& blas) {
  blas.path = file_of(reinterpret_cast<const void*>(blas.sgemm));
  blas.config = library.config();
  const bool openblas = !blas.config.empty();
  blas.name = openblas ? "OpenBLAS" : reference ? "reference" : file_name(blas.path);
  blas.accelerated = openblas || !reference;

  const auto set_threads = library.find<void (*)(int)>("openblas_set_num_threads");
  const auto parallel = library.find<int (*)()>("openblas_get_parallel");
  // With OpenMP the count would be set for the calling thread only.
  constexpr int kOpenMp = 2;
  if (openblas && set_threads != nullptr && (parallel == nullptr || parallel() != kOpenMp)) {
    set_threads(1);
    blas.single_threaded = true;
  } else {
    blas.single_threaded = !openblas && reference;
  }
}

BlasLibrary load() {
  Loader loader;
  BlasLibrary blas;
  blas.sgemm = loader.need<Gemm<float>>("cblas_sgemm");
  blas.dgemm = loader.need<Gemm<double>>("cblas_dgemm");
  blas.cgemm = loader.need<Gemm<std::complex<float>>>("cblas_cgemm");
  blas.f32_vectors = {loader.find<Gemv<float>>("cblas_sgemv"),
                      loader.find<Dot<float>>("cblas_sdot")};
  blas.f64_vectors = {loader.find<Gemv<double>>("cblas_dgemv"),
                      loader.find<Dot<double>>("cblas_ddot")};
  for (std::size_t i = 0; i < blas.lapack.size(); ++i) {
    blas.lapack[i] = loader.need<LapackFunction>(kLapackNames[i]);
  }
  describe(loader.main_library(), loader.only_reference(), blas);
  return blas;
}

}  // namespace

const BlasLibrary& blas_library() {
  // Never destroyed: other threads may be in a product while the process exits.
  static const auto* const library = new BlasLibrary(load());
  return *library;
}

}  // namespace mlxnx::mlxc
