// FunctionDef: a public function under its name, with its operands and options described. C++ calls
// the function itself; those who know only names reach it through the row: `mlxnx replay`, Elixir.
// Unlike a row of the op registry it is no instruction: it is made of ops, and a program holds
// those. Read next: activations.cpp for rows beside what they call.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "mlxnx/tensor.h"
#include "ops/attrs.h"

namespace mlxnx::nn {

/// What a function is about; names are unique within a family.
enum class Family : std::uint8_t {
  kActivation,
  kLoss,
  kSchedule,
  kFast,
  kQuantize,
  kRandom,
  kInit,
};

/// "activation", …
std::string_view name(Family family);
/// The family of that name, or none.
std::optional<Family> family_called(std::string_view name);

struct OperandDef {
  std::string_view name;
  bool optional = false;
};

inline constexpr OperandDef kOnlyX[] = {{"x"}};

/// One call of a row: as many operands as it names, and an option for each of its schema that has a
/// value.
class FunctionCall {
 public:
  FunctionCall(std::string_view name, std::span<const OperandDef> operand_names,
               std::span<const std::optional<Tensor>> operands, const ops::Attrs& options)
      : name_(name), operand_names_(operand_names), operands_(operands), options_(options) {}

  std::string_view name() const { return name_; }
  /// Operand `i`. Throws: ArgumentError where it is wanted and was not given.
  const Tensor& operator[](std::size_t i) const;
  /// Operand `i`, which may be left out.
  const std::optional<Tensor>& optional(std::size_t i) const { return operands_[i]; }

  template <typename T>
  const T& option(std::string_view name) const {
    return options_.get<T>(name);
  }
  template <typename T>
  const T* option_if(std::string_view name) const {
    return options_.get_if<T>(name);
  }
  const ops::Attrs& options() const { return options_; }

 private:
  std::string_view name_;
  std::span<const OperandDef> operand_names_;
  std::span<const std::optional<Tensor>> operands_;
  const ops::Attrs& options_;
};

struct FunctionDef {
  std::string_view name;  ///< that of MLX
  Family family;
  std::span<const OperandDef> operands;
  std::span<const ops::AttrDef> options;
  std::vector<Tensor> (*call)(const FunctionCall& call);
};

/// The rows of one family, in its own file.
std::span<const FunctionDef> activation_functions();
std::span<const FunctionDef> initializer_functions();
std::span<const FunctionDef> loss_functions();
std::span<const FunctionDef> fast_functions();
std::span<const FunctionDef> random_functions();
std::span<const FunctionDef> quantize_functions();
std::span<const FunctionDef> schedule_functions();

/// All rows, in the order of the families.
std::span<const FunctionDef* const> all_functions();

/// The row of that name.
/// Throws: UnsupportedError when there is none.
const FunctionDef& function(Family family, std::string_view name);

/// What the function answers. Operands that are left out at the end count as not given; options are
/// filled in with their defaults, and one number stands for a list of it.
/// Throws: ArgumentError for an unknown option, one of the wrong kind, and a number of operands
/// that the row does not take; what the function throws.
std::vector<Tensor> call(const FunctionDef& row, std::span<const std::optional<Tensor>> operands,
                         const ops::Attrs& options);

/// As many operands as `names` has, where those that are left out at the end are not given.
/// Throws: ArgumentError for too many.
std::vector<std::optional<Tensor>> complete(std::span<const std::optional<Tensor>> operands,
                                            std::span<const OperandDef> names,
                                            std::string_view owner);

/// `options` as `schema` wants them: see `call`. `owner` is named in errors.
ops::Attrs complete(const ops::Attrs& options, std::span<const ops::AttrDef> schema,
                    std::string_view owner);

}  // namespace mlxnx::nn
