// Functions of numbers, element by element: one kernel for each function and type, and programs of
// them that run tile by tile, so that what one step makes is in the cache when the next one takes
// it. In vectors of the CPU at hand. Nothing here knows MLX or starts threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/type.h"

namespace mlxnx::kernels {

enum class Function : std::uint8_t {
#define MLXNX_UNARY(name) k_##name,
#define MLXNX_BINARY(name) k_##name,
#include "kernels/functions.def"
#undef MLXNX_UNARY
#undef MLXNX_BINARY
  k_select,  ///< the second operand where the first, a mask, is true, else the third
  k_cast,
};

/// The function of that name.
std::optional<Function> function_named(std::string_view name);

int operand_count(Function function);

/// What a function makes of operands of `type`; kBool for comparisons.
Type result_type(Function function, Type type);

/// Whether there is a kernel. `type` is that of the operands, of kSelect that of the last two.
bool has_kernel(Function function, Type type);

/// `count` results. Operands and result may be the same memory. Halves are no types of these.
using Kernel = void (*)(const void* const* operands, void* result, std::size_t count);

/// Which operand is a single element, for all results.
enum class Single : std::uint8_t { kNone, kFirst, kSecond, kThird };

/// Null where there is none; kCast has `cast_kernel`. Those with a single operand are there for
/// some functions of floats.
Kernel kernel_of(Function function, Type type, Single single = Single::kNone);
Kernel cast_kernel(Type from, Type to);

/// What a program consists of. Values are the inputs, then one for each step.
struct Step {
  Function function = Function::k_cast;
  Type type = Type::kF32;    ///< of the operands, of kSelect that of the last two
  Type result = Type::kF32;  ///< of kCast what it casts to, else as `result_type` says
  std::array<std::uint16_t, 3> operands{};
  bool operator==(const Step&) const = default;
};

/// Halves are computed as f32, and each result of a step is rounded to what its type holds.
struct Program {
  std::vector<Type> inputs;
  std::vector<Step> steps;
  std::vector<std::uint16_t> results;  ///< values
  bool operator==(const Program&) const = default;

  Type type_of(std::uint16_t value) const {
    return value < inputs.size() ? inputs[value] : steps[value - inputs.size()].result;
  }
};

/// An input of a program: elements of `type_of` it, at these steps along the axes of the results.
struct ProgramInput {
  const void* data = nullptr;
  std::span<const std::int64_t> strides;  ///< in elements; 0 along axes that it repeats along
};

/// A program made ready to run, any number of times and in several threads at once.
class TilePlan {
 public:
  explicit TilePlan(Program program);
  ~TilePlan();
  TilePlan(TilePlan&&) noexcept;
  TilePlan(const TilePlan&) = delete;
  TilePlan& operator=(const TilePlan&) = delete;

  const Program& program() const;

  /// Some measure of the time that an element takes; a sum takes 1.
  double cost() const;

  /// Whether a result may be written over an input as it is made: no step after its own reads that.
  bool may_be_over(std::size_t result, std::size_t input) const;

  /// Elements [first, first + count) of all results, which lie in rows and may be the memory of
  /// inputs that lie alike. Throws: std::bad_alloc.
  void run(std::span<const std::int64_t> shape, std::span<const ProgramInput> inputs,
           std::span<void* const> results, std::int64_t first, std::int64_t count) const;

 private:
  struct Parts;
  class Run;
  class RunOfChain;
  class RunOfKernels;
  std::unique_ptr<Parts> parts_;
};

}  // namespace mlxnx::kernels
