// Op calls: by the registry's row, whatever the op.
#include <algorithm>
#include <string>
#include <unordered_map>

#include "nif/function.h"
#include "nif/functions.h"
#include "nif/op_call.h"
#include "nif/stream.h"
#include "nif/tensor.h"
#include "ops/invoke.h"
#include "ops/registry.h"

namespace mlxnx::nif {
namespace {

std::unordered_map<Term, const ops::OpDef*> rows;  // filled at load, read only afterwards

ops::Start decode_start(ErlNifEnv* env, Term term) {
  int arity = 0;
  const Term* parts = nullptr;
  if (!enif_get_tuple(env, term, &arity, &parts)) return decode<std::int64_t>(env, term);
  if (arity != 2 || parts[0] != atoms.operand)
    throw_unexpected(term, "an integer or {:operand, number}");
  return ops::DynamicStart{decode<std::int64_t>(env, parts[1])};
}

template <std::size_t N>
std::array<std::int64_t, N> decode_integers(ErlNifEnv* env, Term term) {
  const auto parts = decode_tuple(env, term, N, "a tuple of " + std::to_string(N) + " integers");
  std::array<std::int64_t, N> values;
  for (std::size_t i = 0; i < N; ++i) values[i] = decode<std::int64_t>(env, parts[i]);
  return values;
}

template <typename T, typename Decode>
std::vector<T> decode_each(ErlNifEnv* env, Term term, Decode decode_one) {
  std::vector<T> values;
  for (const Term element : decode<std::vector<Term>>(env, term))
    values.push_back(decode_one(env, element));
  return values;
}

// A list or a tuple.
std::vector<double> decode_reals(ErlNifEnv* env, Term term) {
  int arity = 0;
  const Term* parts = nullptr;
  if (!enif_get_tuple(env, term, &arity, &parts)) return decode<std::vector<double>>(env, term);
  std::vector<double> values;
  for (int i = 0; i < arity; ++i) values.push_back(decode<double>(env, parts[i]));
  return values;
}

// What one value of a list is.
ops::AttrKind kind_of_one(ops::AttrKind kind) {
  return kind == ops::AttrKind::kInts ? ops::AttrKind::kInt : ops::AttrKind::kFloat;
}

ops::AttrValue decode_attr(ErlNifEnv* env, ops::AttrKind kind, Term term) {
  if (term == atoms.nil) return std::monostate();
  switch (kind) {
    case ops::AttrKind::kBool:
      return decode<bool>(env, term);
    case ops::AttrKind::kInt:
      return decode<std::int64_t>(env, term);
    case ops::AttrKind::kFloat:
      return decode<double>(env, term);
    case ops::AttrKind::kNumber:
      return decode<Number>(env, term);
    case ops::AttrKind::kString:
      return decode<std::string>(env, term);
    case ops::AttrKind::kType:
      return decode<DType>(env, term);
    case ops::AttrKind::kInts:
      return decode<Shape>(env, term);
    case ops::AttrKind::kPairs:
      return decode_each<ops::Pair>(env, term, &decode_integers<2>);
    case ops::AttrKind::kTriples:
      return decode_each<ops::Triple>(env, term, &decode_integers<3>);
    case ops::AttrKind::kStarts:
      return decode_each<ops::Start>(env, term, &decode_start);
    case ops::AttrKind::kFloats:
      return decode_reals(env, term);
    case ops::AttrKind::kNil:
    case ops::AttrKind::kFunction:
      break;
  }
  throw_unexpected(term, "an attribute that a term can hold");
}

// Whether the op looks at no more elements than a normal scheduler has time for: linear algebra at
// those of its matrices, what quantizes at its words, and what indexes at the indices.
bool is_quick(const ops::OpDef& op, const TensorList& operands) {
  constexpr std::int64_t kMostElements = 1 << 14;
  constexpr std::int64_t kMostMatrixElements = 1 << 8;
  constexpr std::int64_t kMostWords = 1 << 16;
  std::int64_t most = 0;
  switch (op.group) {
    case ops::Group::kIndexing:
      most = kMostElements;
      break;
    case ops::Group::kLinalg:
      most = kMostMatrixElements;
      break;
    case ops::Group::kQuantization:
      most = kMostWords;
      break;
    default:
      return true;
  }
  const bool reads_indices = op.group == ops::Group::kIndexing;
  for (std::size_t i = 0; i < operands.tensors().size(); ++i) {
    const Tensor& tensor = *operands.tensors()[i];
    const bool is_read = !reads_indices || (i > 0 && is_integer(tensor.dtype()));
    if (is_read && tensor.size() > most) return false;
  }
  return true;
}

// NIF functions

Term op(ErlNifEnv* env, const ops::OpDef* row, TensorList operands, Term keywords, TensorType type,
        Where where) {
  const WhereScope scope(where);
  const ops::Attrs attrs = decode_attrs(env, *row, keywords);
  Tensor result = ops::invoke_as(*row, operands.tensors(), attrs, type);
  const Pressure pressure = note_built(byte_count(type));
  return with_pressure(env, pressure, encode(env, result));
}

bool is_quick_op(const ops::OpDef* const& row, const TensorList& operands, const Term&,
                 const TensorType&, const Where&) {
  return is_quick(*row, operands);
}

Term op_many(ErlNifEnv* env, const ops::OpDef* row, TensorList operands, Term keywords,
             std::vector<TensorType> types, Where where) {
  const WhereScope scope(where);
  const ops::Attrs attrs = decode_attrs(env, *row, keywords);
  std::size_t bytes = 0;
  for (const TensorType& type : types) bytes += byte_count(type);
  const std::vector<Tensor> results = ops::invoke_all(*row, operands.tensors(), attrs, types);
  return with_pressure(env, note_built(bytes), encode(env, results));
}

bool is_quick_op_many(const ops::OpDef* const& row, const TensorList& operands, const Term&,
                      const std::vector<TensorType>&, const Where&) {
  return is_quick(*row, operands);
}

std::vector<std::string> op_names(ErlNifEnv*) {
  std::vector<std::string> names;
  for (const ops::OpDef* row : ops::all_ops()) names.emplace_back(row->name);
  return names;
}

std::vector<std::string> op_attributes(ErlNifEnv*, const ops::OpDef* row) {
  std::vector<std::string> names;
  for (const ops::AttrDef& attr : row->attrs) names.emplace_back(attr.name);
  return names;
}

}  // namespace

void make_op_table(ErlNifEnv* env) {
  rows.clear();
  for (const ops::OpDef* row : ops::all_ops())
    rows[enif_make_atom_len(env, row->name.data(), row->name.size())] = row;
}

const ops::OpDef* Codec<const ops::OpDef*>::decode(ErlNifEnv*, Term term) {
  const auto found = rows.find(term);
  if (found == rows.end()) throw_unexpected(term, "the name of an op");
  return found->second;
}

ops::Attrs decode_attrs(ErlNifEnv* env, std::string_view owner,
                        std::span<const ops::AttrDef> schema, Term keywords, bool widen) {
  const auto called = [owner] { return "[" + std::string(owner) + "] "; };
  ops::Attrs attrs;
  NameBuffer buffer;
  Term head, tail = keywords;
  for (std::size_t i = 0; enif_get_list_cell(env, tail, &head, &tail); ++i) {
    const auto pair = decode_tuple(env, head, 2, "a keyword list");
    const std::string_view name = decode_name(env, pair[0], buffer);
    // They mostly stand as in the schema.
    auto def = schema.begin() + static_cast<std::ptrdiff_t>(std::min(i, schema.size()));
    if (def == schema.end() || def->name != name)
      def = std::find_if(schema.begin(), schema.end(),
                         [name](const ops::AttrDef& attr) { return attr.name == name; });
    if (def == schema.end())
      throw ArgumentError(called() + "has no attribute " + std::string(name));
    try {
      const bool is_list = def->kind == ops::AttrKind::kInts || def->kind == ops::AttrKind::kFloats;
      const bool is_single = widen && is_list && enif_is_number(env, pair[1]) != 0;
      attrs.set(def->name,
                decode_attr(env, is_single ? kind_of_one(def->kind) : def->kind, pair[1]));
    } catch (const ArgumentError& error) {
      throw ArgumentError(called() + std::string(name) + ": " + error.what());
    }
  }
  if (!enif_is_empty_list(env, tail)) throw_unexpected(keywords, "a keyword list");
  return attrs;
}

std::size_t byte_count(const TensorType& type) {
  return static_cast<std::size_t>(element_count(type.shape)) * size_bytes(type.dtype);
}

std::span<const ErlNifFunc> op_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"op", &op, &is_quick_op>(),
      nif_function<"op_many", &op_many, &is_quick_op_many>(),
      nif_function<"op_names", &op_names>(),
      nif_function<"op_attributes", &op_attributes>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
