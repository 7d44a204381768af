// Checksums, by the system's own library: OpenSSL's, or on macOS CommonCrypto.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace mlxnx::hub {

class Digest {
 public:
  enum class Kind { kSha1, kSha256 };
  /// Throws: UnsupportedError where the system's library is missing.
  explicit Digest(Kind kind);
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  ~Digest();

  void update(std::span<const std::byte> bytes);
  /// In small hexadecimal digits. The object is of no use afterwards.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mlxnx::hub
