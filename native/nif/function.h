// From a typed C++ function to an ErlNifFunc: arguments decoded, the result encoded, exceptions
// raised.
//
//   std::int64_t count(ErlNifEnv* env, TensorArg tensor);
//   const ErlNifFunc kCount = function<"count", &count>();
//
// A function with a `quick` predicate over the same arguments stays on the normal scheduler where
// the predicate says so, and moves to a dirty CPU scheduler otherwise.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "mlxnx/error.h"
#include "nif/codec.h"

namespace mlxnx::nif {

/// The exception that is in flight as its Elixir counterpart. Call it from a handler.
Term current_exception_term(ErlNifEnv* env, std::string_view function);
/// Raises it.
Term raise_current_exception(ErlNifEnv* env, std::string_view function);

template <std::size_t N>
struct FixedString {
  constexpr FixedString(const char (&text)[N]) { std::copy_n(text, N, chars.begin()); }
  std::array<char, N> chars{};
};

/// The default predicate: the function never waits.
struct AlwaysQuick {};
/// The function may take long whatever its arguments.
struct NeverQuick {};
/// The same, and most of that is waiting for a disk: it goes to a dirty IO scheduler.
struct WaitsForFiles {};

namespace detail {

inline bool on_normal_scheduler() { return enif_thread_type() == ERL_NIF_THR_NORMAL_SCHEDULER; }

template <FixedString name, auto function, auto quick, typename R, typename... A>
struct Bound {
  static constexpr unsigned kArity = sizeof...(A);

  static Term call(ErlNifEnv* env, int argc, const Term argv[]) {
    try {
      return apply(env, argc, argv, std::index_sequence_for<A...>());
    } catch (...) {
      return raise_current_exception(env, name.chars.data());
    }
  }

 private:
  template <std::size_t... I>
  static Term apply(ErlNifEnv* env, [[maybe_unused]] int argc, const Term argv[],
                    std::index_sequence<I...>) {
    // Braces decode from left to right, so that the first bad argument is the one reported.
    std::tuple<A...> args{decode<A>(env, argv[I])...};
    using Quick = decltype(quick);
    if constexpr (std::is_invocable_r_v<bool, Quick, A&...>) {
      if (on_normal_scheduler() && !std::apply(quick, args)) {
        return enif_schedule_nif(env, name.chars.data(), ERL_NIF_DIRTY_JOB_CPU_BOUND, &call, argc,
                                 argv);
      }
    }
    if constexpr (std::is_invocable_v<Quick, ErlNifEnv*, A&...>) {
      if (on_normal_scheduler()) {
        const auto attempt = [env](A&... values) { return quick(env, values...); };
        if (std::optional<R> result = std::apply(attempt, args)) return encode<R>(env, *result);
        return enif_schedule_nif(env, name.chars.data(), ERL_NIF_DIRTY_JOB_CPU_BOUND, &call, argc,
                                 argv);
      }
    }
    auto bound = [env](A&... values) { return function(env, std::move(values)...); };
    if constexpr (std::is_void_v<R>) {
      std::apply(bound, args);
      return atoms.ok;
    } else {
      return encode<R>(env, std::apply(bound, args));
    }
  }
};

template <FixedString name, auto function, auto quick, typename R, typename... A>
Bound<name, function, quick, R, A...> bind(R (*)(ErlNifEnv*, A...));

}  // namespace detail

/// The table row of `function`, known to Elixir as `name`.
template <FixedString name, auto function, auto quick = AlwaysQuick{}>
constexpr ErlNifFunc nif_function() {
  using Bound = decltype(detail::bind<name, function, quick>(function));
  using Quick = std::remove_const_t<decltype(quick)>;
  constexpr unsigned kFlags = std::is_same_v<Quick, NeverQuick>      ? ERL_NIF_DIRTY_JOB_CPU_BOUND
                              : std::is_same_v<Quick, WaitsForFiles> ? ERL_NIF_DIRTY_JOB_IO_BOUND
                                                                     : 0;
  // The name outlives the program: a template argument's object has static storage.
  return {name.chars.data(), Bound::kArity, &Bound::call, kFlags};
}

}  // namespace mlxnx::nif
