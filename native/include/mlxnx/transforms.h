// Function transforms: derivatives, and functions applied to many examples at once.
//
//     auto loss = [](const Tensor& w, const Tensor& x, const Tensor& y) {
//       return sum((dot(x, w) - y) * (dot(x, w) - y));
//     };
//     Tensor slope = grad(loss)(w, x, y);                     // by w
//     auto [value, slopes] = value_and_grad<0, 1>(loss)(w, x, y);  // by w and x, a tuple
//     auto step = jit(value_and_grad(loss));                  // transformed once, then replayed
//
// Arguments and results are values made of tensors (tensor_tree.h). Transforms nest in any order,
// stand inside and outside of `jit`, `while_loop` and `cond`, and differentiate through these. The
// function is traced, as `jit` does: it can't look at elements, and should have no effects. Outside
// of `jit` every call traces it anew. Tensors that it takes from elsewhere are constants, also for
// the derivative.
//
// Conventions are Nx's: ties of `max` and `min` share a gradient, `abs` has the slope 1 at 0,
// integers get gradients in f32, and complex derivatives are not conjugated: that of z*z is 2z.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "mlxnx/error.h"
#include "mlxnx/jit.h"
#include "mlxnx/ops/shape.h"
#include "mlxnx/program.h"
#include "mlxnx/tape.h"
#include "mlxnx/tensor.h"
#include "mlxnx/tensor_tree.h"

namespace mlxnx {

namespace tracing {

/// The functions below over flat tensors. `wrt` are positions in `inputs`.
std::vector<Tensor> value_and_grad(const Program::Function& function,
                                   const std::vector<Tensor>& inputs,
                                   const std::vector<std::size_t>& wrt, Tape tape);
std::vector<Tensor> vjp(const Program::Function& function, const std::vector<Tensor>& inputs,
                        const std::vector<Tensor>& cotangents, Tape tape);
std::vector<Tensor> jvp(const Program::Function& function, const std::vector<Tensor>& inputs,
                        const std::vector<Tensor>& tangents);
std::vector<Tensor> vmap(const Program::Function& function, const std::vector<Tensor>& inputs,
                         const std::vector<std::optional<std::int64_t>>& in_axes,
                         std::int64_t out_axis);
Tensor jacobian(const Program::Function& function, const Tensor& input, Tape tape);
Tensor hessian(const Program::Function& function, const Tensor& input, Tape tape);
std::vector<Tensor> checkpoint(const Program::Function& function,
                               const std::vector<Tensor>& inputs);
std::vector<Tensor> stop_gradient(const std::vector<Tensor>& tensors);
/// `backward` takes the cotangents of the results, the inputs and the results.
std::vector<Tensor> custom_vjp(const std::vector<Tensor>& inputs,
                               const std::vector<Tensor>& results,
                               const Program::Function& backward);

/// A result with other tensors; the structure is known once the function was called.
template <typename Result>
class Structure {
 public:
  std::vector<Tensor> keep(Result result) { return tensors_of(value_.emplace(std::move(result))); }
  std::size_t size() const { return tensors_of(*value_).size(); }
  Result with(const std::vector<Tensor>& tensors) const { return with_tensors(*value_, tensors); }

 private:
  std::optional<Result> value_;
};

// A function of a tuple's elements as one of flat tensors, which keeps the result's structure.
template <typename F, typename Arguments, typename Result>
Program::Function flat(F& function, const Arguments& arguments, Structure<Result>& structure) {
  return [&function, &arguments, &structure](const std::vector<Tensor>& tensors) {
    return structure.keep(Result(std::apply(function, with_tensors(arguments, tensors))));
  };
}

inline std::pair<std::vector<Tensor>, std::vector<Tensor>> halves(
    const std::vector<Tensor>& tensors, std::size_t first) {
  const auto middle = tensors.begin() + static_cast<std::ptrdiff_t>(first);
  return {{tensors.begin(), middle}, {middle, tensors.end()}};
}

}  // namespace tracing

struct GradOptions {
  /// Which tensors of an argument are differentiated, by their names in it ("layers.0.weight", see
  /// `visit_named`); the gradients of others are zeros that cost nothing. None: all.
  std::function<bool(std::string_view name)> trainable = {};
  /// What `while_loop` keeps of its iterations.
  Tape tape = Tape::kAll;
};

/// `function` with the gradients of the first tensor that it answers, which is summed unless it is
/// a scalar. `which` are the positions of the arguments, 0 unless given. Answers a pair: the result
/// as it is, auxiliary values included, and the gradient, of the structure of its argument, or a
/// tuple of these for several arguments. Gradients have the types of their tensors; f32 for
/// integers. Throws: UnsupportedError for functions of one's own in `reduce` and `window_reduce`;
/// what the function throws; ArgumentError where it reads a tensor. Nx: Nx.Defn.value_and_grad
///
///     auto [value, slope] = value_and_grad([](const Tensor& x) { return x * x; })(Tensor(3.0));
///     // 9.0 and 6.0
template <std::size_t... which, typename F>
auto value_and_grad(F function, GradOptions options = {}) {
  return [function = std::move(function),
          options = std::move(options)]<typename... Args>(const Args&... args) {
    using Arguments = std::tuple<std::decay_t<Args>...>;
    using Result = std::decay_t<std::invoke_result_t<const F&, const Args&...>>;
    const Arguments arguments(args...);
    std::vector<std::size_t> wrt;
    std::size_t position = 0;
    std::vector<std::size_t> begins;
    std::apply(
        [&](const auto&... all) {
          const auto note = [&](const auto& argument) {
            begins.push_back(position);
            position += tensors_of(argument).size();
          };
          (note(all), ...);
        },
        arguments);
    const auto answer = [&]<std::size_t... index>(std::index_sequence<index...>) {
      // The place of each tensor's gradient among those that are asked for.
      std::vector<std::vector<std::optional<std::size_t>>> places;
      const auto choose = [&](std::size_t begin, const auto& argument) {
        auto& own = places.emplace_back();
        auto on_tensor = [&](const std::string& name, const Tensor&) {
          const bool is_wanted = !options.trainable || options.trainable(name);
          own.push_back(is_wanted ? std::optional(wrt.size()) : std::nullopt);
          if (is_wanted) wrt.push_back(begin + own.size() - 1);
        };
        visit_named(argument, on_tensor);
      };
      (choose(begins.at(index), std::get<index>(arguments)), ...);
      tracing::Structure<Result> structure;
      const std::vector<Tensor> all = tracing::value_and_grad(
          tracing::flat(function, arguments, structure), tensors_of(arguments), wrt, options.tape);
      const auto split = tracing::halves(all, all.size() - wrt.size());
      const std::vector<Tensor>& gradients = split.second;
      std::size_t next = 0;
      const auto gradient_of = [&](const auto& argument) {
        const std::vector<Tensor> tensors = tensors_of(argument);
        std::vector<Tensor> own;
        for (const auto& place : places[next++]) {
          const Tensor& tensor = tensors[own.size()];
          own.push_back(place ? gradients[*place]
                              : broadcast(Tensor(Number(0.0), tensor.dtype()), tensor.shape()));
        }
        return with_tensors(argument, own);
      };
      if constexpr (sizeof...(index) == 1) {
        return std::pair(structure.with(split.first), gradient_of(std::get<index...>(arguments)));
      } else {
        return std::pair(structure.with(split.first),
                         std::tuple{gradient_of(std::get<index>(arguments))...});
      }
    };
    if constexpr (sizeof...(which) == 0) {
      return answer(std::index_sequence<0>());
    } else {
      return answer(std::index_sequence<which...>());
    }
  };
}

/// The gradients of `value_and_grad` without the result. Nx: Nx.Defn.grad
///
///     grad([](const Tensor& x) { return sin(x); })(Tensor(0.0));        // 1.0
///     grad(grad([](const Tensor& x) { return x * x * x; }))(Tensor(2.0));  // 12.0
template <std::size_t... which, typename F>
auto grad(F function, GradOptions options = {}) {
  return [both = value_and_grad<which...>(std::move(function), std::move(options))](
             const auto&... args) { return both(args...).second; };
}

/// The result of `function` for the arguments, a tuple, and the cotangents of the arguments, a
/// tuple as well, from those of the result, which have its structure. `tape` as in GradOptions.
/// Throws: ShapeError for a cotangent of another shape than its tensor. JAX: jax.vjp
///
///     auto [y, back] = vjp([](const Tensor& x) { return x * x; }, std::tuple(tensor({1.0, 2.0})),
///                          tensor({1.0, 10.0}));  // back: ([2.0, 40.0])
template <typename F, typename Arguments, typename Cotangents>
auto vjp(F function, const Arguments& arguments, const Cotangents& cotangents,
         Tape tape = Tape::kAll) {
  using Result = std::decay_t<decltype(std::apply(function, arguments))>;
  tracing::Structure<Result> structure;
  const std::vector<Tensor> all = tracing::vjp(tracing::flat(function, arguments, structure),
                                               tensors_of(arguments), tensors_of(cotangents), tape);
  const auto [results, back] = tracing::halves(all, structure.size());
  return std::pair(structure.with(results), with_tensors(arguments, back));
}

/// The result of `function` for the arguments, a tuple, and its tangents, from those of the
/// arguments, which have their structure. Throws: ShapeError for a tangent of another shape than
/// its tensor. A `custom_vjp` leads tangents forward by the transpose of what it leads back, as a
/// function that is linear in the cotangents. JAX: jax.jvp
///
///     auto [y, dy] = jvp([](const Tensor& x) { return x * x; }, std::tuple(Tensor(3.0)),
///                        std::tuple(Tensor(1.0)));  // 9.0 and 6.0
template <typename F, typename Arguments, typename Tangents>
auto jvp(F function, const Arguments& arguments, const Tangents& tangents) {
  using Result = std::decay_t<decltype(std::apply(function, arguments))>;
  tracing::Structure<Result> structure;
  const std::vector<Tensor> all = tracing::jvp(tracing::flat(function, arguments, structure),
                                               tensors_of(arguments), tensors_of(tangents));
  const auto [results, moved] = tracing::halves(all, structure.size());
  return std::pair(structure.with(results), structure.with(moved));
}

/// An axis of an argument's tensors that is mapped over, or nothing where all examples share them.
using MapAxis = std::optional<std::int64_t>;

/// `function`, which is written for one example, for many: tensors of arguments have a further axis
/// at `in_axes` (one entry for each argument; empty: 0 for all), and those of the result at
/// `out_axis`. Loops go on until the last example has ended, and where examples choose branches,
/// all are computed. Throws: ArgumentError where no argument is mapped, sizes differ or are 0, or
/// an axis does not exist. Nx: Nx.vectorize; JAX: jax.vmap
///
///     vmap([](const Tensor& x, const Tensor& y) { return dot(x, y); })(xs, ys);  // row by row
template <typename F>
auto vmap(F function, std::vector<MapAxis> in_axes = {}, std::int64_t out_axis = 0) {
  return [function = std::move(function), in_axes = std::move(in_axes),
          out_axis]<typename... Args>(const Args&... args) {
    using Arguments = std::tuple<std::decay_t<Args>...>;
    using Result = std::decay_t<std::invoke_result_t<const F&, const Args&...>>;
    const Arguments arguments(args...);
    if (!in_axes.empty() && in_axes.size() != sizeof...(Args)) {
      throw ArgumentError("[vmap] " + std::to_string(in_axes.size()) + " axes for " +
                          std::to_string(sizeof...(Args)) + " arguments");
    }
    std::vector<MapAxis> axes;
    std::size_t next = 0;
    const auto add = [&](const auto& argument) {
      axes.resize(axes.size() + tensors_of(argument).size(),
                  in_axes.empty() ? MapAxis(0) : in_axes[next]);
      ++next;
    };
    (add(args), ...);
    tracing::Structure<Result> structure;
    const std::vector<Tensor> results = tracing::vmap(tracing::flat(function, arguments, structure),
                                                      tensors_of(arguments), axes, out_axis);
    return structure.with(results);
  };
}

/// All derivatives of a tensor by a tensor: their shape is the result's followed by the argument's.
/// `tape` as in GradOptions. JAX: jax.jacrev
///
///     jacobian([](const Tensor& x) { return x * x; })(tensor({1.0, 2.0}));  // [[2, 0], [0, 4]]
template <typename F>
auto jacobian(F function, Tape tape = Tape::kAll) {
  return [function = std::move(function), tape](const Tensor& x) {
    return tracing::jacobian(
        [&](const std::vector<Tensor>& in) { return std::vector{Tensor(function(in[0]))}; }, x,
        tape);
  };
}

/// All second derivatives of a scalar by a tensor: the tensor's shape twice. Forward over backward;
/// `tape` as in GradOptions. JAX: jax.hessian
///
///     hessian([](const Tensor& x) { return sum(x * x * x); })(tensor({1.0, 2.0}));
///     // [[6, 0], [0, 12]]
template <typename F>
auto hessian(F function, Tape tape = Tape::kAll) {
  return [function = std::move(function), tape](const Tensor& x) {
    return tracing::hessian(
        [&](const std::vector<Tensor>& in) { return std::vector{Tensor(function(in[0]))}; }, x,
        tape);
  };
}

/// `function` as a piece whose gradient runs it again instead of keeping what it computed: less
/// memory, more time. Outside of transforms it is the function itself. Tensors that it takes from
/// elsewhere count as arguments. JAX: jax.checkpoint
///
///     auto block = checkpoint([](const Tensor& x) { return exp(sin(x)); });
///     grad(block)(Tensor(0.0));  // 1.0
template <typename F>
auto checkpoint(F function) {
  return [function = std::move(function)]<typename... Args>(const Args&... args) {
    using Arguments = std::tuple<std::decay_t<Args>...>;
    using Result = std::decay_t<std::invoke_result_t<const F&, const Args&...>>;
    const Arguments arguments(args...);
    tracing::Structure<Result> structure;
    const std::vector<Tensor> results =
        tracing::checkpoint(tracing::flat(function, arguments, structure), tensors_of(arguments));
    return structure.with(results);
  };
}

/// `value` as it is, through which no derivative goes. Nx: Nx.Defn.Kernel.stop_grad
///
///     grad([](const Tensor& x) { return x * stop_gradient(x); })(Tensor(3.0));  // 3.0
template <typename T>
T stop_gradient(const T& value) {
  return with_tensors(value, tracing::stop_gradient(tensors_of(value)));
}

/// `function` with another gradient: `backward` takes the cotangents of the result, which have its
/// structure, the arguments as a tuple, and the result, and answers the cotangents of the
/// arguments, a tuple. It may itself be differentiated. Nx: Nx.Defn.Kernel.custom_grad
///
///     auto clipped = custom_vjp(
///         [](const Tensor& x) { return x * x; },
///         [](const Tensor& g, const auto& args, const Tensor&) {
///           return std::tuple(clip(g * 2.0 * std::get<0>(args), Tensor(-1.0), Tensor(1.0)));
///         });
template <typename F, typename Backward>
auto custom_vjp(F function, Backward backward) {
  return [function = std::move(function),
          backward = std::move(backward)]<typename... Args>(const Args&... args) {
    using Arguments = std::tuple<std::decay_t<Args>...>;
    using Result = std::decay_t<std::invoke_result_t<const F&, const Args&...>>;
    const Arguments arguments(args...);
    const Result result(function(args...));
    const std::vector<Tensor> inputs = tensors_of(arguments), outputs = tensors_of(result);
    const auto flat = [&](const std::vector<Tensor>& given) {
      const auto [cotangents, rest] = tracing::halves(given, outputs.size());
      const auto [of_arguments, of_result] = tracing::halves(rest, inputs.size());
      return tensors_of(backward(with_tensors(result, cotangents),
                                 with_tensors(arguments, of_arguments),
                                 with_tensors(result, of_result)));
    };
    return with_tensors(result, tracing::custom_vjp(inputs, outputs, flat));
  };
}

}  // namespace mlxnx
