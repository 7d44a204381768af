// Named, typed attributes of an op call: the options that Nx passes beside the tensors.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "mlxc/array.h"
#include "mlxnx/inline_vector.h"
#include "mlxnx/shape.h"
#include "mlxnx/tensor.h"

namespace mlxnx::ops {

/// Low and high padding of one axis.
using Pair = std::array<std::int64_t, 2>;
/// Low, high and interior padding of one axis.
using Triple = std::array<std::int64_t, 3>;

/// The function argument of `reduce` and `window_reduce`: (element, accumulator) -> accumulator. It
/// is applied to many positions at once, so it gets arrays of one shape and must work element by
/// element.
struct Function {
  std::string name;
  std::function<mlxc::Array(const mlxc::Array& element, const mlxc::Array& accumulator)> apply;
  /// Whether `apply` builds the same graph whatever the elements are, and of what besides these:
  /// arrays of single elements.
  bool only_builds = false;
  std::vector<mlxc::Array> captures = {};
  /// The same over tensors, where it is a function of these: what tracing calls.
  std::function<Tensor(const Tensor& element, const Tensor& accumulator)> on_tensors = nullptr;
};

/// A slice start: a known integer, or the number of the operand that holds it.
struct DynamicStart {
  std::int64_t operand;
  friend bool operator==(const DynamicStart&, const DynamicStart&) = default;
};
using Start = std::variant<std::int64_t, DynamicStart>;

/// What an attribute may hold. `std::monostate` is Nx's nil: present, and not set.
using AttrValue =
    std::variant<std::monostate, bool, std::int64_t, double, Number, std::string, DType, Axes,
                 std::vector<Pair>, std::vector<Triple>, std::vector<Start>,
                 std::shared_ptr<const Function>, std::vector<double>>;

/// The kinds of AttrValue under the names that docs, files and errors use. Values are the variant's
/// indices.
enum class AttrKind : std::uint8_t {
  kNil = 0,
  kBool,
  kInt,
  kFloat,
  kNumber,
  kString,
  kType,
  kInts,
  kPairs,
  kTriples,
  kStarts,
  kFunction,
  kFloats,
};

/// "int list", "bool", …
std::string_view name(AttrKind kind);

/// One row of an op's attribute schema.
struct AttrDef {
  std::string_view name;
  AttrKind kind;
  /// What the call gets when the attribute is absent or nil; without a default absence is an error,
  /// except for `optional` rows, which stay nil.
  std::optional<AttrValue> fallback = std::nullopt;
  bool optional = false;
};

/// The attributes of one call. A short list: looked up by comparing names. Copies share it until
/// one of them is set anew.
class Attrs {
 public:
  using Entry = std::pair<std::string, AttrValue>;

  Attrs() = default;
  Attrs(std::initializer_list<std::pair<std::string_view, AttrValue>> values) {
    for (const auto& [name, value] : values) set(name, value);
  }

  void set(std::string_view name, AttrValue value);
  const AttrValue* find(std::string_view name) const;
  bool empty() const { return entries().empty(); }
  std::span<const Entry> entries() const {
    return entries_ != nullptr ? std::span<const Entry>(*entries_) : std::span<const Entry>();
  }

  /// The value called `name`.
  /// Throws: ArgumentError when it is absent or of another kind; after `normalise` that is a
  /// mistake of the op's code.
  template <typename T>
  const T& get(std::string_view name) const {
    const AttrValue* value = find(name);
    const T* typed = value != nullptr ? std::get_if<T>(value) : nullptr;
    if (typed == nullptr) throw_missing(name);
    return *typed;
  }
  /// Null when absent or nil.
  template <typename T>
  const T* get_if(std::string_view name) const {
    const AttrValue* value = find(name);
    return value != nullptr ? std::get_if<T>(value) : nullptr;
  }

 private:
  [[noreturn]] static void throw_missing(std::string_view name);
  using Entries = InlineVector<Entry, 4>;
  std::shared_ptr<Entries> entries_;
};

/// Whether `attrs` is already what `normalise` would make of it.
bool is_normal(const Attrs& attrs, std::span<const AttrDef> schema);

/// `attrs` with defaults filled in and numbers widened (an int where a float is wanted, an empty
/// int list for any list). Throws: ArgumentError for an unknown name, a missing value or a value of
/// the wrong kind.
Attrs normalise(const Attrs& attrs, std::span<const AttrDef> schema, std::string_view op);

}  // namespace mlxnx::ops
