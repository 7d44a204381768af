// Files by their descriptors.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>

namespace mlxnx::files {

/// As ::open. Models have hundreds of files, and processes often start with a limit that is far
/// below the one that they may set themselves: it is raised when it is reached.
inline int open_descriptor(const char* path, int flags, mode_t mode = 0) {
  const int file = ::open(path, flags, mode);
  if (file >= 0 || errno != EMFILE) return file;
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return ::open(path, flags, mode);
  }
  errno = EMFILE;
  return -1;
}

}  // namespace mlxnx::files
