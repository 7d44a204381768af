#include "nif/codec.h"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::nif {

std::string text_of(Term term) {
  std::array<char, 161> buffer{};
  enif_snprintf(buffer.data(), buffer.size(), "%T", term);
  std::string text(buffer.data());
  if (text.size() + 1 == buffer.size()) text.replace(text.size() - 3, 3, "...");
  return text;
}

void throw_unexpected(Term term, std::string_view expected) {
  throw ArgumentError("expected " + std::string(expected) + ", got " + text_of(term));
}

Bytes Codec<Bytes>::decode(ErlNifEnv* env, Term term) {
  ErlNifUInt64 value = 0;
  if (!enif_get_uint64(env, term, &value))
    throw_unexpected(term, "a non-negative integer of at most 64 bits");
  return {value};
}

std::int64_t Codec<std::int64_t>::decode(ErlNifEnv* env, Term term) {
  ErlNifSInt64 value = 0;
  if (!enif_get_int64(env, term, &value)) throw_unexpected(term, "an integer of at most 64 bits");
  return value;
}

std::uint32_t Codec<std::uint32_t>::decode(ErlNifEnv* env, Term term) {
  ErlNifUInt64 value = 0;
  if (!enif_get_uint64(env, term, &value) || !std::in_range<std::uint32_t>(value))
    throw_unexpected(term, "a non-negative integer of at most 32 bits");
  return static_cast<std::uint32_t>(value);
}

bool Codec<bool>::decode(ErlNifEnv*, Term term) {
  if (term != atoms.true_ && term != atoms.false_) throw_unexpected(term, "a boolean");
  return term == atoms.true_;
}

namespace {

bool get_double(ErlNifEnv* env, Term term, double& value) {
  ErlNifSInt64 integer = 0;
  if (enif_get_double(env, term, &value)) return true;
  if (enif_get_int64(env, term, &integer)) {
    value = static_cast<double>(integer);
    return true;
  }
  if (term == atoms.nan) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (term == atoms.infinity) {
    value = std::numeric_limits<double>::infinity();
  } else if (term == atoms.neg_infinity) {
    value = -std::numeric_limits<double>::infinity();
  } else {
    return false;
  }
  return true;
}

bool get_complex(ErlNifEnv* env, Term term, std::complex<double>& value) {
  Term tag, re, im;
  double real = 0, imag = 0;
  if (!enif_get_map_value(env, term, atoms.struct_, &tag) || tag != atoms.complex) return false;
  if (!enif_get_map_value(env, term, atoms.re, &re) || !get_double(env, re, real)) return false;
  if (!enif_get_map_value(env, term, atoms.im, &im) || !get_double(env, im, imag)) return false;
  value = {real, imag};
  return true;
}

}  // namespace

double Codec<double>::decode(ErlNifEnv* env, Term term) {
  double value = 0;
  if (!get_double(env, term, value)) throw_unexpected(term, "a number");
  return value;
}

Term Codec<double>::encode(ErlNifEnv* env, double value) {
  if (std::isfinite(value)) return enif_make_double(env, value);
  return std::isnan(value) ? atoms.nan : value > 0 ? atoms.infinity : atoms.neg_infinity;
}

Number Codec<Number>::decode(ErlNifEnv* env, Term term) {
  ErlNifSInt64 integer = 0;
  ErlNifUInt64 natural = 0;
  double real = 0;
  std::complex<double> complex;
  if (enif_get_int64(env, term, &integer)) return std::int64_t{integer};
  if (enif_get_uint64(env, term, &natural)) return std::uint64_t{natural};
  if (get_double(env, term, real)) return real;
  if (get_complex(env, term, complex)) return complex;
  throw_unexpected(term, "a number of at most 64 bits");
}

std::string_view decode_name(ErlNifEnv* env, Term term, NameBuffer& buffer) {
  const int length = enif_get_atom(env, term, buffer.data(), buffer.size(), ERL_NIF_UTF8);
  if (length > 0) return {buffer.data(), static_cast<std::size_t>(length - 1)};
  ErlNifBinary binary;
  if (!enif_inspect_binary(env, term, &binary)) throw_unexpected(term, "an atom or a binary");
  return {reinterpret_cast<const char*>(binary.data), binary.size};
}

std::string Codec<std::string>::decode(ErlNifEnv* env, Term term) {
  NameBuffer buffer;
  return std::string(decode_name(env, term, buffer));
}

Term Codec<std::string>::encode(ErlNifEnv* env, std::string_view value) {
  Term term;
  unsigned char* bytes = enif_make_new_binary(env, value.size(), &term);
  std::memcpy(bytes, value.data(), value.size());
  return term;
}

std::span<const std::byte> Codec<std::span<const std::byte>>::decode(ErlNifEnv* env, Term term) {
  ErlNifBinary binary;
  if (!enif_inspect_binary(env, term, &binary)) throw_unexpected(term, "a binary");
  return {reinterpret_cast<const std::byte*>(binary.data), binary.size};
}

std::span<const Term> decode_tuple(ErlNifEnv* env, Term term, std::size_t size,
                                   std::string_view expected) {
  int arity = 0;
  const Term* elements = nullptr;
  if (!enif_get_tuple(env, term, &arity, &elements) || static_cast<std::size_t>(arity) != size)
    throw_unexpected(term, expected);
  return {elements, size};
}

DType Codec<DType>::decode(ErlNifEnv* env, Term term) {
  const auto parts = decode_tuple(env, term, 2, "a type such as {:f, 32}");
  int bits = 0;
  if (!enif_get_int(env, parts[1], &bits)) throw_unexpected(term, "a type such as {:f, 32}");
  // Integers of 8 to 64 bits stand side by side.
  const int step = bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : bits == 64 ? 3 : -1;
  const auto nth = [step](DType first) {
    return static_cast<DType>(static_cast<int>(first) + step);
  };
  if (step >= 0) {
    if (parts[0] == atoms.f && step == 2) return DType::f32;
    if (parts[0] == atoms.u) return nth(DType::u8);
    if (parts[0] == atoms.s) return nth(DType::s8);
    if (parts[0] == atoms.f && step == 1) return DType::f16;
    if (parts[0] == atoms.f && step == 3) return DType::f64;
    if (parts[0] == atoms.bf && step == 1) return DType::bf16;
    if (parts[0] == atoms.c && step == 3) return DType::c64;
  }
  std::string name = nif::decode<std::string>(env, parts[0]);
  if (name != "f8_e4m3fn") name += std::to_string(bits);
  return dtype_from_name(name);  // throws, naming the type
}

Term Codec<DType>::encode(ErlNifEnv* env, DType type) {
  std::string family(name(type));
  while (family.back() >= '0' && family.back() <= '9') family.pop_back();
  return enif_make_tuple2(env, enif_make_atom(env, family.c_str()), enif_make_int(env, bits(type)));
}

Shape Codec<Shape>::decode(ErlNifEnv* env, Term term) {
  Shape shape;
  int arity = 0;
  const Term* elements = nullptr;
  if (enif_get_tuple(env, term, &arity, &elements)) {
    for (int i = 0; i < arity; ++i) shape.push_back(nif::decode<std::int64_t>(env, elements[i]));
    return shape;
  }
  Term head, tail = term;
  while (enif_get_list_cell(env, tail, &head, &tail))
    shape.push_back(nif::decode<std::int64_t>(env, head));
  if (!enif_is_empty_list(env, tail)) throw_unexpected(term, "a tuple or list of integers");
  return shape;
}

Term Codec<Shape>::encode(ErlNifEnv* env, const Shape& shape) {
  std::vector<Term> dims;
  for (const std::int64_t dim : shape) dims.push_back(enif_make_int64(env, dim));
  return enif_make_tuple_from_array(env, dims.data(), static_cast<unsigned>(dims.size()));
}

TensorType Codec<TensorType>::decode(ErlNifEnv* env, Term term) {
  const auto parts = decode_tuple(env, term, 2, "a pair {type, shape}");
  return {nif::decode<DType>(env, parts[0]), nif::decode<Shape>(env, parts[1])};
}

Term Codec<TensorType>::encode(ErlNifEnv* env, const TensorType& type) {
  return enif_make_tuple2(env, nif::encode(env, type.dtype), nif::encode(env, type.shape));
}

Device Codec<Device>::decode(ErlNifEnv*, Term term) {
  if (term == atoms.cpu) return Device::kCpu;
  if (term == atoms.gpu) return Device::kGpu;
  throw_unexpected(term, ":cpu or :gpu");
}

F64OnGpu Codec<F64OnGpu>::decode(ErlNifEnv*, Term term) {
  if (term == atoms.cpu) return F64OnGpu::kCpu;
  if (term == atoms.raise) return F64OnGpu::kRaise;
  throw_unexpected(term, ":cpu or :raise");
}

}  // namespace mlxnx::nif
