// Padding of sliding windows and convolution kernels: how far they may reach beyond the edges.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace mlxnx {

/// Elements put before and after one axis; negative numbers cut elements off.
struct EdgePadding {
  std::int64_t low = 0;
  std::int64_t high = 0;
};

/// What a window or a kernel finds beyond the edges of each axis it slides along: nothing, which is
/// Nx's :valid and the default; as many elements as keep the size at stride 1, Nx's :same; or a
/// given number.
///
///     conv(image, kernel, {.padding = Padding::same()});
///     conv(image, kernel, {.padding = {{1, 1}, {0, 2}}});
class Padding {
 public:
  Padding() = default;
  Padding(std::initializer_list<EdgePadding> edges) : Padding(std::vector<EdgePadding>(edges)) {}
  Padding(std::vector<EdgePadding> edges) : mode_(Mode::kGiven), edges_(std::move(edges)) {}
  static Padding valid() { return {}; }
  static Padding same() {
    Padding padding;
    padding.mode_ = Mode::kSame;
    return padding;
  }

  bool is_valid() const { return mode_ == Mode::kValid; }
  bool is_same() const { return mode_ == Mode::kSame; }
  /// One entry per axis; empty for `valid` and `same`.
  const std::vector<EdgePadding>& edges() const { return edges_; }

 private:
  enum class Mode : std::uint8_t { kValid, kSame, kGiven };
  Mode mode_ = Mode::kValid;
  std::vector<EdgePadding> edges_;
};

}  // namespace mlxnx
