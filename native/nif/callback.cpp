#include "nif/callback.h"

#include <future>
#include <thread>
#include <utility>

#include "mlxnx/error.h"
#include "nif/function.h"
#include "nif/functions.h"
#include "nif/op_call.h"
#include "nif/resource.h"
#include "nif/stream.h"
#include "nif/tensor.h"
#include "ops/invoke.h"
#include "tensor/node.h"

namespace mlxnx::nif {
namespace {

using SessionPtr = std::shared_ptr<CallbackSession>;

// What a session's term holds.
struct SessionTerm {
  explicit SessionTerm(SessionPtr session) : session(std::move(session)) {}
  // Nobody is left who could answer.
  ~SessionTerm() { session->cancel(); }
  SessionTerm(const SessionTerm&) = delete;
  SessionTerm& operator=(const SessionTerm&) = delete;

  SessionPtr session;
};

void caller_is_down(ErlNifEnv*, void* object, ErlNifPid*, ErlNifMonitor*) {
  static_cast<SessionTerm*>(object)->session->cancel();
}

SessionPtr decode_session(ErlNifEnv* env, Term term) {
  return Resource<SessionTerm>::get(env, term, "a call's session").session;
}

// NIF functions

// `reduce` and `window_reduce`: the function's calls go to the process, everything else is the
// row's.
Term op_with_function(ErlNifEnv* env, Term ref, const ops::OpDef* row, TensorList operands,
                      Term keywords, TensorType type, Where where) {
  ops::Attrs attrs = decode_attrs(env, *row, keywords);
  std::vector<Tensor> tensors = operands.copies();
  return CallbackSession::start(
      env, ref, [row, tensors, attrs, type, where](CallbackSession& session) mutable {
        const WhereScope scope(where);
        const auto wrap = [](const mlxc::Array& array) {
          const auto dims = array.shape();
          return tensors::wrap(array, {array.dtype(), Shape(dims.begin(), dims.end())});
        };
        auto function = std::make_shared<ops::Function>();
        function->name = "an Elixir function";
        function->apply = [&session, &wrap](const mlxc::Array& element,
                                            const mlxc::Array& accumulator) {
          const auto results = session.call({wrap(element), wrap(accumulator)});
          if (results.size() != 1) throw ArgumentError("the function answers one tensor");
          return results.front().node().array;
        };
        attrs.set("fun", std::shared_ptr<const ops::Function>(std::move(function)));
        return std::vector<Tensor>{
            ops::invoke_as(*row, std::span<const Tensor>(tensors), attrs, type)};
      });
}

void callback_reply(ErlNifEnv* env, Term session, TensorList results) {
  std::vector<Tensor> tensors = results.copies();
  decode_session(env, session)->reply(std::move(tensors));
}

void callback_failed(ErlNifEnv* env, Term session) {
  decode_session(env, session)->reply(std::nullopt);
}

}  // namespace

CallbackSession::CallbackSession(const ErlNifPid& owner, Term ref)
    : owner_(owner), ref_env_(enif_alloc_env()), ref_(enif_make_copy(ref_env_, ref)) {}

CallbackSession::~CallbackSession() { enif_free_env(ref_env_); }

template <typename MakePayload>
void CallbackSession::send(Term kind, MakePayload make_payload) {
  ErlNifEnv* const env = enif_alloc_env();
  const Term message = enif_make_tuple3(env, enif_make_copy(env, ref_), kind, make_payload(env));
  enif_send(nullptr, &owner_, env, message);
  enif_free_env(env);
}

Term CallbackSession::start(ErlNifEnv* env, Term ref, Work work) {
  ErlNifPid owner;
  if (enif_self(env, &owner) == nullptr) throw BackendError("[callback] no process is calling");
  auto session = std::make_shared<CallbackSession>(owner, ref);
  const Term term = Resource<SessionTerm>::make(env, session);
  // When this fails the process is already going, and its heap, with the session's term, as well.
  enif_monitor_process(env, Resource<SessionTerm>::find(env, term), &owner, nullptr);
  std::thread([session = std::move(session), work = std::move(work)] {
    session->run(work);
  }).detach();
  return term;
}

void CallbackSession::run(const Work& work) {
  try {
    const Results results = work(*this);
    send(atoms.done, [&results](ErlNifEnv* env) { return encode(env, results); });
  } catch (...) {
    send(atoms.failed, [](ErlNifEnv* env) { return current_exception_term(env, "callback"); });
  }
}

void CallbackSession::call_later(const std::string& name, const Results& arguments,
                                 OnAnswer on_answer) {
  {
    const std::lock_guard lock(mutex_);
    on_answer_ = std::move(on_answer);
  }
  send(atoms.call, [&](ErlNifEnv* env) {
    const Term tensors = encode(env, arguments);
    return name.empty() ? tensors : enif_make_tuple2(env, encode(env, name), tensors);
  });
  // After the sending: a process that went before this is not told of anything.
  std::unique_lock lock(mutex_);
  if (!is_cancelled_) return;
  lock.unlock();
  reply(std::nullopt);
}

CallbackSession::Results CallbackSession::call(const Results& arguments) {
  std::promise<std::optional<Results>> promise;
  auto answer = promise.get_future();
  call_later("", arguments,
             [&promise](std::optional<Results> results) { promise.set_value(std::move(results)); });
  std::optional<Results> results = answer.get();
  if (results) return std::move(*results);
  const std::lock_guard lock(mutex_);
  throw BackendError(is_cancelled_ ? "[callback] the process that owns the function is gone"
                                   : "[callback] the function raised");
}

void CallbackSession::reply(std::optional<Results> results) {
  OnAnswer on_answer;
  {
    const std::lock_guard lock(mutex_);
    on_answer = std::exchange(on_answer_, nullptr);
  }
  if (on_answer) on_answer(std::move(results));
}

void CallbackSession::on_cancel(std::function<void()> action) {
  const std::lock_guard lock(mutex_);
  on_cancel_ = std::move(action);
}

void CallbackSession::cancel() {
  {
    const std::lock_guard lock(mutex_);
    is_cancelled_ = true;
    if (on_cancel_) on_cancel_();
  }
  reply(std::nullopt);
}

bool open_callback_resource(ErlNifEnv* env, ErlNifResourceFlags flags) {
  return Resource<SessionTerm>::open(env, "callback", flags, &caller_is_down);
}

std::span<const ErlNifFunc> callback_functions() {
  static constexpr ErlNifFunc kFunctions[] = {
      nif_function<"op_with_function", &op_with_function>(),
      nif_function<"callback_reply", &callback_reply>(),
      nif_function<"callback_failed", &callback_failed>(),
  };
  return kFunctions;
}

}  // namespace mlxnx::nif
