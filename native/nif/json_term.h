// JSON and terms: settings that Elixir reads, and what it gives to chat templates and grammars.
#pragma once

#include <string>

#include "mlxnx/config.h"
#include "nif/codec.h"

namespace mlxnx::nif {

/// Maps with texts as keys, lists, texts, numbers, booleans and nil.
template <>
struct Codec<Config> {
  static Term encode(ErlNifEnv* env, const Config& config);
};

/// The JSON text of a term: of maps, lists, texts, numbers, booleans, nil, and of other atoms as
/// texts; keyword lists are objects whose members keep their order. Throws: ArgumentError, which
/// shows the part, for anything else, for bytes that are not UTF-8, and for what nests too deep.
std::string json_of(ErlNifEnv* env, Term term);

}  // namespace mlxnx::nif
