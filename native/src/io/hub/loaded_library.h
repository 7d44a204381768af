// A library of the system that is looked for when it is first needed: who never downloads needs
// none, and what was built here runs on machines that lack it.
#pragma once

#include <dlfcn.h>
#include <fmt/format.h>

#include <initializer_list>
#include <string>

#include "io/hub/names.h"
#include "mlxnx/error.h"

namespace mlxnx::hub {

class LoadedLibrary {
 public:
  /// The first of `names` that there is. It stays for good: threads may be in it when the process
  /// ends. Throws: UnsupportedError, which tells what to install, when there is none.
  LoadedLibrary(std::initializer_list<const char*> names, std::string package)
      : package_(std::move(package)) {
    for (const char* name : names) {
      handle_ = ::dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
      if (handle_ != nullptr) return;
    }
    refuse();
  }

  /// Sets `function` to the library's of that name, which has this type.
  template <typename F>
  void find(F& function, const char* name) const {
    function = reinterpret_cast<F>(::dlsym(handle_, name));
    if (function == nullptr) refuse();
  }

 private:
  [[noreturn]] void refuse() const {
    throw UnsupportedError(fmt::format(
        "[{}] downloading needs {}, which this machine lacks, or has too old; install it", kOp,
        package_));
  }

  std::string package_;
  void* handle_ = nullptr;
};

}  // namespace mlxnx::hub
