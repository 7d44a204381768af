#include "nif/json_term.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "files/json_values.h"
#include "files/utf8.h"
#include "mlxnx/error.h"

namespace mlxnx::nif {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// What reads the text nests no deeper.
constexpr int kMostDepth = 64;

// How deep it nests was bounded when it was parsed.
Term term_of(ErlNifEnv* env, const json& value) {
  switch (value.type()) {
    case json::value_t::boolean:
      return encode(env, value.get<bool>());
    case json::value_t::number_integer:
      return enif_make_int64(env, value.get<std::int64_t>());
    case json::value_t::number_unsigned:
      return enif_make_uint64(env, value.get<std::uint64_t>());
    case json::value_t::number_float:
      return enif_make_double(env, value.get<double>());
    case json::value_t::string:
      return encode(env, value.get_ref<const std::string&>());
    case json::value_t::array: {
      std::vector<Term> items;
      for (const json& item : value) items.push_back(term_of(env, item));
      return encode(env, items);
    }
    case json::value_t::object: {
      std::vector<Term> keys, values;
      for (const auto& [key, member] : value.items()) {
        keys.push_back(encode(env, key));
        values.push_back(term_of(env, member));
      }
      Term map;
      enif_make_map_from_arrays(env, keys.data(), values.data(), keys.size(), &map);
      return map;
    }
    default:
      return atoms.nil;
  }
}

ordered_json value_of(ErlNifEnv* env, Term term, int depth);

std::string text_in(ErlNifEnv* env, Term term) {
  if (!enif_is_binary(env, term) && !enif_is_atom(env, term))
    throw_unexpected(term, "a text or an atom as the key of an object");
  std::string text = decode<std::string>(env, term);
  if (!files::is_utf8(text)) throw_unexpected(term, "a text in UTF-8");
  return text;
}

void add(ErlNifEnv* env, ordered_json& object, Term key, Term value, int depth) {
  std::string name = text_in(env, key);
  if (object.contains(name)) throw ArgumentError("an object has the key " + name + " twice");
  object[std::move(name)] = value_of(env, value, depth);
}

ordered_json object_of(ErlNifEnv* env, Term map, int depth) {
  Term tag;
  if (enif_get_map_value(env, map, atoms.struct_, &tag))
    throw_unexpected(map, "what JSON can tell, and a struct is nothing like that");
  ordered_json object = ordered_json::object();
  ErlNifMapIterator place;
  enif_map_iterator_create(env, map, &place, ERL_NIF_MAP_ITERATOR_FIRST);
  std::vector<std::pair<Term, Term>> members;
  Term key, value;
  while (enif_map_iterator_get_pair(env, &place, &key, &value)) {
    members.emplace_back(key, value);
    enif_map_iterator_next(env, &place);
  }
  enif_map_iterator_destroy(env, &place);
  for (const auto& [name, member] : members) add(env, object, name, member, depth);
  return object;
}

ordered_json list_of(ErlNifEnv* env, Term list, int depth) {
  Term head, tail = list;
  int arity = 0;
  const Term* pair = nullptr;
  const auto is_member = [&](Term item) {
    return enif_get_tuple(env, item, &arity, &pair) && arity == 2 && enif_is_atom(env, pair[0]);
  };
  const bool is_keyword = enif_get_list_cell(env, list, &head, &tail) && is_member(head);
  ordered_json value = is_keyword ? ordered_json::object() : ordered_json::array();
  tail = list;
  while (enif_get_list_cell(env, tail, &head, &tail)) {
    if (!is_keyword) {
      value.push_back(value_of(env, head, depth));
    } else if (is_member(head)) {
      add(env, value, pair[0], pair[1], depth);
    } else {
      throw_unexpected(head, "a key with a value, as the other items of a keyword list are");
    }
  }
  if (!enif_is_empty_list(env, tail)) throw_unexpected(list, "a list");
  return value;
}

ordered_json value_of(ErlNifEnv* env, Term term, int depth) {
  if (term == atoms.nil) return nullptr;
  if (term == atoms.true_ || term == atoms.false_) return term == atoms.true_;
  if (enif_is_atom(env, term) || enif_is_binary(env, term)) return text_in(env, term);
  const bool is_map = enif_is_map(env, term) != 0;
  if (is_map || enif_is_list(env, term)) {
    if (depth == 0) {
      throw_unexpected(
          term, "at most " + std::to_string(kMostDepth) + " lists and maps within each other");
    }
    return is_map ? object_of(env, term, depth - 1) : list_of(env, term, depth - 1);
  }
  ErlNifSInt64 integer = 0;
  ErlNifUInt64 natural = 0;
  double real = 0;
  if (enif_get_int64(env, term, &integer)) return std::int64_t{integer};
  if (enif_get_uint64(env, term, &natural)) return std::uint64_t{natural};
  if (enif_get_double(env, term, &real)) return real;
  throw_unexpected(term, "what JSON can tell: maps, lists, texts, numbers, booleans, nil, atoms");
}

}  // namespace

Term Codec<Config>::encode(ErlNifEnv* env, const Config& config) {
  return term_of(env, files::parse_json(config.to_json()));
}

std::string json_of(ErlNifEnv* env, Term term) { return value_of(env, term, kMostDepth).dump(); }

}  // namespace mlxnx::nif
