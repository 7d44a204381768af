// The library built without libcurl: what the cache has is found, and nothing downloaded.
#include <fmt/format.h>

#include "io/hub/names.h"
#include "io/hub/transfer.h"
#include "mlxnx/error.h"

namespace mlxnx::hub {

std::unique_ptr<Transfer> open_transfer(std::string, const Options&, Watch&, const Patience&) {
  throw UnsupportedError(fmt::format(
      "[{}] this build can't download: install the development files of libcurl 7.85 or newer, and "
      "of OpenSSL (Debian: libcurl4-openssl-dev, libssl-dev), and build it anew",
      kOp));
}

}  // namespace mlxnx::hub
