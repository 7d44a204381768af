// Models of embeddings: a tensor for a list of texts. It runs on dirty schedulers, and ends after
// the texts under way when nobody waits for it any more.
#include "mlxnx/llm/embedding.h"

#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mlxnx/error.h"
#include "nif/function.h"
#include "nif/functions.h"
#include "nif/llm_options.h"
#include "nif/option_table.h"
#include "nif/pressure.h"
#include "nif/resource.h"
#include "nif/stream.h"
#include "nif/tensor.h"

namespace mlxnx::nif {

template <>
struct Codec<llm::Pooling> {
  static llm::Pooling decode(ErlNifEnv*, Term term) {
    if (const auto pooling = llm::pooling_of(text_of(term))) return *pooling;
    throw_unexpected(term, "mean, cls or last");
  }
  static Term encode(ErlNifEnv* env, llm::Pooling pooling) {
    return enif_make_atom(env, std::string(name(pooling)).c_str());
  }
};

namespace {

constexpr OptionRow<llm::EmbedOptions> kEmbedOptions[] = {
    {"pooling", 1, &set_member<llm::EmbedOptions, Plain, &llm::EmbedOptions::pooling>},
    {"normalize", 1, &set_member<llm::EmbedOptions, Plain, &llm::EmbedOptions::normalize>},
    {"batch_size", 1, &set_member<llm::EmbedOptions, Plain, &llm::EmbedOptions::batch_size>},
    {"max_length", 1, &set_member<llm::EmbedOptions, Plain, &llm::EmbedOptions::max_length>},
};

const llm::EmbeddingModel& model_of(ErlNifEnv* env, Term term) {
  return Resource<llm::EmbeddingModel>::get(env, term, "a model of embeddings");
}

std::vector<std::string> texts_of(ErlNifEnv* env, Term list) {
  std::vector<std::string> texts;
  for (const Term term : decode<std::vector<Term>>(env, list)) {
    if (!enif_is_binary(env, term)) throw_unexpected(term, "a text");
    texts.push_back(decode<std::string>(env, term));
  }
  return texts;
}

// `{model, {pooling, normalize, max_length}}`
Term llm_embedder_load(ErlNifEnv* env, std::string path, std::optional<std::string> adapter,
                       bool requantize, Where where) {
  const WhereScope scope(where);
  auto model = llm::EmbeddingModel::load(path, load_options(adapter, requantize));
  const llm::EmbedOptions& defaults = model.defaults();
  const Term told =
      enif_make_tuple3(env, encode(env, defaults.pooling), encode(env, defaults.normalize),
                       encode(env, defaults.max_length));
  const Pressure pressure = note_built(model.byte_size());
  const Term term = Resource<llm::EmbeddingModel>::make(env, std::move(model));
  return with_pressure(env, pressure, enif_make_tuple2(env, term, told));
}

// `{tensor, {type, shape}}`
Term llm_embed(ErlNifEnv* env, Term model, Term texts, Term options, Where where) {
  const WhereScope scope(where);
  const Tensor vectors = model_of(env, model)
                             .embed(texts_of(env, texts),
                                    decode_options<llm::EmbedOptions>(env, options, kEmbedOptions),
                                    [env](std::uint64_t, std::uint64_t) {
                                      return enif_is_current_process_alive(env) != 0;
                                    });
  return with_pressure(env, note_built(vectors.byte_size()), with_type(env, vectors));
}

}  // namespace

bool open_embedding_resource(ErlNifEnv* env, ErlNifResourceFlags flags) {
  return Resource<llm::EmbeddingModel>::open(env, "embedding_model", flags);
}

std::span<const ErlNifFunc> embedding_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"llm_embedder_load", &llm_embedder_load, WaitsForFiles{}>(),
      nif_function<"llm_embed", &llm_embed, NeverQuick{}>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
