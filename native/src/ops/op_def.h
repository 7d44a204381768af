// OpDef: one Nx op, written once. Eager calls, graph programs, the Elixir backend and the docs all
// reach the same row. A row's `infer` holds Nx's shape and type rules and touches no device; its
// `eval` builds MLX graph nodes. Read next: call.h (what rules and evaluators get), registry.h (all
// rows), invoke.h (an eager call).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "mlxc/array.h"
#include "mlxnx/error.h"
#include "mlxnx/shape.h"
#include "ops/attrs.h"

namespace mlxnx::ops {

struct OpDef;

/// One tensor operand of a call.
struct Operand {
  const TensorType* type = nullptr;
  const mlxc::Array* array = nullptr;  ///< null while only types are inferred
  /// The tensor's elements where they are known without evaluating anything (a constant, or already
  /// computed on the host's memory), row-major; null otherwise. Lets an op refuse an index that is
  /// out of bounds.
  const void* known_data = nullptr;
  /// Set once the elements may be read on the host; null where nobody knows.
  const std::atomic<bool>* ready = nullptr;
  /// The same of elements that an op may refuse. Read by `known_scalar`.
  const std::atomic<bool>* known = nullptr;
};

/// One call of an op, as rules and evaluators see it.
struct Call {
  const OpDef& op;
  std::span<const Operand> operands;
  const Attrs& attrs;  ///< normalised: every attribute of the schema is there
  std::span<const TensorType> outputs =
      {};  ///< what `infer` answered, or what the caller asked for; empty while inferring

  std::size_t size() const { return operands.size(); }
  const TensorType& type(std::size_t i) const { return *operands[i].type; }
  const Shape& shape(std::size_t i) const { return operands[i].type->shape; }
  DType dtype(std::size_t i) const { return operands[i].type->dtype; }
  std::size_t rank(std::size_t i) const { return shape(i).size(); }
  const mlxc::Array& array(std::size_t i) const { return *operands[i].array; }
  const TensorType& output(std::size_t i = 0) const { return outputs[i]; }

  template <typename T>
  const T& attr(std::string_view name) const {
    return attrs.get<T>(name);
  }
  template <typename T>
  const T* attr_if(std::string_view name) const {
    return attrs.get_if<T>(name);
  }

  /// Throw with the op's name in front.
  [[noreturn]] void shape_error(const std::string& what) const;
  [[noreturn]] void type_error(const std::string& what) const;
  [[noreturn]] void argument_error(const std::string& what) const;
  [[noreturn]] void value_error(const std::string& what_nx_says) const;
  [[noreturn]] void arithmetic_error(const std::string& what_nx_says) const;
  [[noreturn]] void unsupported(const std::string& what) const;
};

/// Types and shapes of a call's outputs: no op has more than three, so they need no heap.
class OutputTypes {
 public:
  OutputTypes() = default;
  OutputTypes(DType type, Shape shape) : size_(1) {
    types_[0].dtype = type;
    types_[0].shape = std::move(shape);
  }
  OutputTypes(std::initializer_list<TensorType> types) { assign(types); }
  void assign(std::span<const TensorType> types) {
    if (types.size() > kMost) throw std::logic_error("op with more than three outputs");
    std::copy(types.begin(), types.end(), types_.begin());
    size_ = types.size();
  }
  std::size_t size() const { return size_; }
  TensorType& operator[](std::size_t i) { return types_[i]; }
  const TensorType& operator[](std::size_t i) const { return types_[i]; }
  const TensorType* begin() const { return types_.data(); }
  const TensorType* end() const { return begin() + size_; }
  operator std::span<const TensorType>() const { return {types_.data(), size_}; }

 private:
  static constexpr std::size_t kMost = 3;
  std::array<TensorType, kMost> types_;
  std::size_t size_ = 0;
};

/// One call of an op, as functions of tensors see it.
struct Composition {
  const OpDef& op;
  std::span<const Tensor> in;
  const Attrs& attrs;  ///< normalised
  std::span<const TensorType> outputs;

  template <typename T>
  const T& attr(std::string_view name) const {
    return attrs.get<T>(name);
  }
  template <typename T>
  const T* attr_if(std::string_view name) const {
    return attrs.get_if<T>(name);
  }
};

using InferFn = OutputTypes (*)(const Call&);
/// Builds the graph. The result has the shape of `call.output(i)`; its type may differ, the caller
/// casts it.
using EvalFn = mlxc::Array (*)(const Call&);
using EvalManyFn = std::vector<mlxc::Array> (*)(const Call&);
/// What the op does, by the public functions of tensors. Results may be of other types than the
/// call's, who asks casts them.
using ComposeFn = std::vector<Tensor> (*)(const Composition&);

/// Groups of the Nx documentation.
enum class Group : std::uint8_t {
  kCreation,
  kUnary,
  kBinary,
  kShape,
  kIndexing,
  kReduction,
  kWindow,
  kContraction,
  kQuantization,
  kSort,
  kFft,
  kLinalg,
  kRandom,
  kFast,
};

/// Where the graph nodes of an op can run.
enum class Placement : std::uint8_t {
  kAnywhere,
  kCpuOnly,  ///< MLX has it on the CPU only; the core puts it on the CPU stream whatever the
             ///< default device
};

struct OpDef {
  std::string_view name;  ///< the Nx.Backend callback, `block:` and the name of the Nx.Block
                          ///< struct, or `fast:` and MLX's name of a fused op
  Group group;
  std::int8_t min_operands;
  std::int8_t max_operands;  ///< kVariadic for any number
  std::span<const AttrDef> attrs;
  InferFn infer;
  EvalFn eval = nullptr;           ///< for ops with one output
  EvalManyFn eval_many = nullptr;  ///< for the others
  Placement placement = Placement::kAnywhere;
  std::string_view doc;  ///< one sentence
  /// For rows that are more than Nx's: see composed.h.
  ComposeFn compose = nullptr;
  bool takes_long = false;    ///< an element takes much longer than to be read: a division, a sine
  bool reads_a_part = false;  ///< of its first operand, however large: what it answers
};

inline constexpr std::int8_t kVariadic = -1;

/// An `infer` for ops with one output: `shape_rule` gives its shape, `type_rule` its type.
template <Shape (*shape_rule)(const Call&), DType (*type_rule)(const Call&)>
OutputTypes infer(const Call& call) {
  return OutputTypes(type_rule(call), shape_rule(call));
}

}  // namespace mlxnx::ops
