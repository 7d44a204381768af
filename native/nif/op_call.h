// An op call as Elixir writes it: the row, by its atom, and the attributes, by the row's schema.
#pragma once

#include "nif/codec.h"
#include "nif/pressure.h"
#include "ops/op_def.h"

namespace mlxnx::nif {

/// An op's atom.
template <>
struct Codec<const ops::OpDef*> {
  static const ops::OpDef* decode(ErlNifEnv* env, Term term);
};

/// A keyword list as attributes of a schema; `owner` is named in errors. With `widen` an integer
/// stands for a list of it.
/// Throws: ArgumentError for a name that the schema lacks or a value that is not of its kind.
ops::Attrs decode_attrs(ErlNifEnv* env, std::string_view owner,
                        std::span<const ops::AttrDef> schema, Term keywords, bool widen = false);
inline ops::Attrs decode_attrs(ErlNifEnv* env, const ops::OpDef& op, Term keywords) {
  return decode_attrs(env, op.name, op.attrs, keywords);
}

/// Bytes of a tensor's elements.
std::size_t byte_count(const TensorType& type);

}  // namespace mlxnx::nif
