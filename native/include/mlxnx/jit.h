// Compiled C++ functions and control flow over tensors.
//
//     struct Model {
//       Tensor weights, bias;
//       MLXNX_MEMBERS(weights, bias)
//     };
//     auto predict = jit([](const Model& model, const Tensor& x) {
//       return dot(x, model.weights) + model.bias;
//     });
//     Tensor y = predict(model, x);  // traced once for these types and shapes, then replayed
//
// A traced function gets tensors without elements. It may do with them all that ops can do, but
// not look at their elements: branches on these are `cond`, loops `while_loop`.
#pragma once

#include <any>
#include <cstddef>
#include <functional>
#include <iomanip>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mlxnx/program.h"
#include "mlxnx/tensor.h"
#include "mlxnx/tensor_tree.h"

namespace mlxnx {

namespace tracing {

/// Whether a function is being traced on this thread.
bool is_active();

/// `while_loop` over flat tensors.
std::vector<Tensor> while_loop(
    const std::vector<Tensor>& initial,
    const std::function<Tensor(const std::vector<Tensor>& state)>& condition,
    const Program::Function& body);

/// `cond` over flat tensors. Calls both functions, whatever the predicate is.
std::vector<Tensor> cond(const Tensor& predicate,
                         const std::function<std::vector<Tensor>()>& on_true,
                         const std::function<std::vector<Tensor>()>& on_false);

/// The numbers, sizes and keys of `value`, as text.
template <typename T>
std::vector<std::string> fixed_parts(const T& value) {
  std::vector<std::string> parts;
  auto on_tensor = [](const Tensor&) {};
  auto on_fixed = [&parts](const auto& fixed) {
    std::ostringstream text;
    if constexpr (std::is_enum_v<std::decay_t<decltype(fixed)>>) {
      text << +static_cast<std::underlying_type_t<std::decay_t<decltype(fixed)>>>(fixed);
    } else {
      text << std::setprecision(std::numeric_limits<std::decay_t<decltype(fixed)>>::max_digits10)
           << fixed;
    }
    parts.push_back(text.str());
  };
  visit_tree(value, on_tensor, on_fixed);
  return parts;
}

/// Throws: ArgumentError where numbers, sizes or keys differ, which no tensor of a program can say.
/// `what` says whose they are: "the branches answer".
void require_same_fixed(const char* op, const char* what, const std::vector<std::string>& first,
                        const std::vector<std::string>& second);

// What a traced program depends on: the arguments' types, types and shapes of tensors, and
// everything that is not one.
class Key {
 public:
  // Numbers of several types have the same bytes.
  explicit Key(const std::type_info& arguments) { add(&arguments); }
  void operator()(const Tensor& tensor) {
    add(tensor.dtype());
    add(tensor.rank());
    for (const std::int64_t dimension : tensor.shape()) add(dimension);
    tensors.push_back(tensor);
  }
  template <typename T>
  void add(const T& fixed) {
    bytes.append(reinterpret_cast<const char*>(&fixed), sizeof fixed);
  }
  std::string bytes;
  std::vector<Tensor> tensors;
};

}  // namespace tracing

/// A function that is traced once for each combination of its arguments' types and shapes, and of
/// the numbers among them, whose types count too. Copies share what was traced; calls may come from
/// any thread.
template <typename F>
class Jitted {
 public:
  explicit Jitted(F function) : shared_(std::make_shared<Shared>(std::move(function))) {}
  // Moving copies, so that there is always a function to call.
  Jitted(const Jitted&) = default;
  Jitted& operator=(const Jitted&) = default;

  /// Throws: what the function throws while it is traced; ArgumentError when it reads a traced
  /// tensor; BackendError.
  template <typename... Args>
  auto operator()(const Args&... args) const {
    using Result = std::decay_t<std::invoke_result_t<F&, const Args&...>>;
    if (tracing::is_active()) return Result(shared_->function(args...));
    tracing::Key key(typeid(std::tuple<Args...>));
    const std::tuple<const Args&...> all(args...);
    auto on_fixed = [&key](const auto& fixed) { key.add(fixed); };
    visit_tree(all, key, on_fixed);
    const std::shared_ptr<const Entry> entry = find<Result>(key, args...);
    return with_tensors(std::any_cast<const Result&>(entry->result),
                        entry->program.run(key.tensors));
  }

  /// How many combinations have been traced.
  std::size_t cache_size() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->entries.size();
  }

 private:
  struct Entry {
    Program program;
    std::any result;  // the function's result, for its structure
  };
  struct Shared {
    explicit Shared(F function) : function(std::move(function)) {}
    F function;
    std::mutex mutex;
    std::unordered_map<std::string, std::shared_ptr<const Entry>> entries;
  };

  // Beyond this the oldest half is of no use to anybody: a caller whose shapes never repeat.
  static constexpr std::size_t kMostEntries = 256;

  template <typename Result, typename... Args>
  std::shared_ptr<const Entry> find(const tracing::Key& key, const Args&... args) const {
    {
      const std::lock_guard lock(shared_->mutex);
      const auto found = shared_->entries.find(key.bytes);
      if (found != shared_->entries.end()) return found->second;
    }
    std::vector<Program::Port> ports;
    for (const Tensor& tensor : key.tensors) ports.push_back({"", tensor.type()});
    std::any result;
    Program program = Program::trace(ports, [&](const std::vector<Tensor>& traced) {
      const auto arguments = with_tensors(std::tuple<Args...>(args...), traced);
      result = Result(std::apply(shared_->function, arguments));
      return tensors_of(std::any_cast<const Result&>(result));
    });
    auto entry = std::make_shared<const Entry>(Entry{std::move(program), std::move(result)});
    const std::lock_guard lock(shared_->mutex);
    if (shared_->entries.size() >= kMostEntries) shared_->entries.clear();
    return shared_->entries.emplace(key.bytes, std::move(entry)).first->second;
  }

  std::shared_ptr<Shared> shared_;
};

/// `function`, compiled. Its arguments and its result are values made of tensors (tensor_tree.h);
/// it should have no effects, since it runs only while it is traced. Nx: Nx.Defn.jit
///
///     auto norm = jit([](const Tensor& x) { return sqrt(sum(x * x)); });
///     norm(tensor({3.0, 4.0}));  // 5.0
template <typename F>
Jitted<std::decay_t<F>> jit(F&& function) {
  return Jitted<std::decay_t<F>>(std::forward<F>(function));
}

/// Runs `body` on the state while `condition` answers something other than zero. The state is a
/// value made of tensors; each iteration keeps its types and shapes, and the numbers and sizes that
/// it holds besides tensors. The loop runs inside one call, and where the condition depends on
/// integers only, no iteration waits for another.
/// Throws: ShapeError when the body changes a type or shape, or the condition is no scalar;
/// ArgumentError when the body changes a number, which has to be a tensor for that.
/// Nx: Nx.Defn.while
///
///     auto [i, x] = while_loop(
///         std::tuple(Tensor(0), Tensor(1.0)),
///         [](const auto& s) { return std::get<0>(s) < 10; },
///         [](const auto& s) { return std::tuple(std::get<0>(s) + 1, std::get<1>(s) * 2.0); });
template <typename State, typename Condition, typename Body>
State while_loop(const State& initial, Condition condition, Body body) {
  const auto state_of = [&initial](const std::vector<Tensor>& tensors) {
    return with_tensors(initial, tensors);
  };
  return state_of(tracing::while_loop(
      tensors_of(initial),
      [&](const std::vector<Tensor>& state) { return Tensor(condition(state_of(state))); },
      [&](const std::vector<Tensor>& state) {
        const State next(body(state_of(state)));
        tracing::require_same_fixed("while", "the state begins with, and its body answers",
                                    tracing::fixed_parts(initial), tracing::fixed_parts(next));
        return tensors_of(next);
      }));
}

/// `on_true()` where the scalar `predicate` is not zero, else `on_false()`; only that one's ops
/// run. Both functions are called, so that what they answer can be compared: values made of tensors
/// of the same types and shapes, and the same numbers and sizes besides. Outside of `jit` the other
/// one is only traced. Throws: ShapeError when the branches' tensors differ in type or shape, or
/// the predicate is no real scalar; ArgumentError when their numbers differ, which have to be
/// tensors for that, or when a function calls itself through `cond`. Nx: Nx.Defn.cond
///
///     Tensor y = cond(sum(x) > 0.0, [&] { return x * 2.0; }, [&] { return x; });
template <typename OnTrue, typename OnFalse>
auto cond(const Tensor& predicate, OnTrue on_true, OnFalse on_false) {
  using Result = std::decay_t<std::invoke_result_t<OnTrue&>>;
  static_assert(std::is_same_v<Result, std::decay_t<std::invoke_result_t<OnFalse&>>>,
                "both branches answer the same type");
  std::optional<Result> when_true;
  std::optional<Result> when_false;
  const auto flat = [](auto& branch, std::optional<Result>& result) {
    return [&branch, &result] { return tensors_of(result.emplace(branch())); };
  };
  const std::vector<Tensor> tensors =
      tracing::cond(predicate, flat(on_true, when_true), flat(on_false, when_false));
  tracing::require_same_fixed("cond", "the branches answer", tracing::fixed_parts(*when_true),
                              tracing::fixed_parts(*when_false));
  return with_tensors(*std::move(when_true), tensors);
}

}  // namespace mlxnx
