// Terms to C++ values and back, by type. A term that does not fit throws an ArgumentError that
// shows it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlxnx/device.h"
#include "mlxnx/tensor.h"
#include "nif/atoms.h"

namespace mlxnx::nif {

/// Throws: ArgumentError "expected WHAT, got TERM".
[[noreturn]] void throw_unexpected(Term term, std::string_view expected);

/// How Elixir's inspect would print `term`, roughly, cut after a line.
std::string text_of(Term term);

/// `Codec<T>::decode(env, term)` and `Codec<T>::encode(env, value)`; a type may have one of them
/// only.
template <typename T>
struct Codec;

template <typename T>
T decode(ErlNifEnv* env, Term term) {
  return Codec<T>::decode(env, term);
}

template <typename T>
Term encode(ErlNifEnv* env, const T& value) {
  return Codec<T>::encode(env, value);
}

template <>
struct Codec<Term> {
  static Term decode(ErlNifEnv*, Term term) { return term; }
  static Term encode(ErlNifEnv*, Term term) { return term; }
};

// ERL_NIF_TERM and std::uint64_t are one C++ type on most systems, so unsigned results have a type
// of their own.
struct Bytes {
  std::uint64_t count;
};

template <>
struct Codec<Bytes> {
  static Bytes decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv* env, Bytes bytes) { return enif_make_uint64(env, bytes.count); }
};

template <>
struct Codec<std::int64_t> {
  static std::int64_t decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv* env, std::int64_t value) { return enif_make_int64(env, value); }
};

template <>
struct Codec<std::uint32_t> {
  static std::uint32_t decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv* env, std::uint32_t value) { return enif_make_uint(env, value); }
};

template <>
struct Codec<bool> {
  static bool decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv*, bool value) { return value ? atoms.true_ : atoms.false_; }
};

/// A number, `:nan`, `:infinity` or `:neg_infinity`.
template <>
struct Codec<double> {
  static double decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv* env, double value);
};

/// A number of any kind: integer, float, `:nan`, `:infinity`, `:neg_infinity`, `%Complex{}`.
template <>
struct Codec<Number> {
  static Number decode(ErlNifEnv* env, Term term);
};

/// An atom, which is written to `buffer`, or the bytes of a binary.
using NameBuffer = std::array<char, 256>;
std::string_view decode_name(ErlNifEnv* env, Term term, NameBuffer& buffer);

/// An atom or a binary.
template <>
struct Codec<std::string> {
  static std::string decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv* env, std::string_view value);
};

/// The bytes of a binary, borrowed for the length of the call.
template <>
struct Codec<std::span<const std::byte>> {
  static std::span<const std::byte> decode(ErlNifEnv* env, Term term);
};

/// `{:f, 32}`. Throws: UnsupportedError for an Nx type that MLX lacks.
template <>
struct Codec<DType> {
  static DType decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv* env, DType type);
};

/// A list or a tuple of integers.
template <>
struct Codec<Shape> {
  static Shape decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv* env, const Shape& shape);
};

/// `{type, shape}`
template <>
struct Codec<TensorType> {
  static TensorType decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv* env, const TensorType& type);
};

template <>
struct Codec<F64OnGpu> {
  static F64OnGpu decode(ErlNifEnv* env, Term term);
};
template <>
struct Codec<Device> {
  static Device decode(ErlNifEnv* env, Term term);
  static Term encode(ErlNifEnv*, Device device) {
    return device == Device::kCpu ? atoms.cpu : atoms.gpu;
  }
};

/// `nil` for nothing.
template <typename T>
struct Codec<std::optional<T>> {
  static std::optional<T> decode(ErlNifEnv* env, Term term) {
    return term == atoms.nil ? std::nullopt : std::optional(nif::decode<T>(env, term));
  }
  static Term encode(ErlNifEnv* env, const std::optional<T>& value) {
    return value ? nif::encode(env, *value) : atoms.nil;
  }
};

template <typename T>
struct Codec<std::vector<T>> {
  static std::vector<T> decode(ErlNifEnv* env, Term term) {
    std::vector<T> values;
    Term head, tail = term;
    while (enif_get_list_cell(env, tail, &head, &tail)) values.push_back(nif::decode<T>(env, head));
    if (!enif_is_empty_list(env, tail)) throw_unexpected(term, "a list");
    return values;
  }
  static Term encode(ErlNifEnv* env, const std::vector<T>& values) {
    Term list = enif_make_list(env, 0);
    for (auto value = values.rbegin(); value != values.rend(); ++value)
      list = enif_make_list_cell(env, nif::encode(env, *value), list);
    return list;
  }
};

/// The elements of the tuple `term`. Throws: ArgumentError when it is no tuple of that size.
std::span<const Term> decode_tuple(ErlNifEnv* env, Term term, std::size_t size,
                                   std::string_view expected);

}  // namespace mlxnx::nif
