// Elixir functions called from C++. A call that needs them runs on a thread of its own; each time
// it wants the function it sends `{ref, :call, arguments}` to the process that asked and waits for
// `callback_reply`. The process may meanwhile evaluate tensors; when it dies, the call ends with an
// error.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mlxnx/tensor.h"
#include "nif/codec.h"

namespace mlxnx::nif {

class CallbackSession {
 public:
  using Results = std::vector<Tensor>;
  using Work = std::function<Results(CallbackSession& session)>;

  /// Runs `work` on a new thread, for the calling process. What it answers arrives there as `{ref,
  /// :done, tensors}`, what it throws as `{ref, :failed, exception}`. Returns: the session's term,
  /// for `callback_reply`.
  static Term start(ErlNifEnv* env, Term ref, Work work);

  CallbackSession(const ErlNifPid& owner, Term ref);
  ~CallbackSession();
  CallbackSession(const CallbackSession&) = delete;
  CallbackSession& operator=(const CallbackSession&) = delete;

  /// Calls the function with `arguments` and waits for its results. On the session's thread only.
  /// Throws: BackendError when the function raised or its process is gone.
  Results call(const Results& arguments);

  /// Calls the function called `name` and returns at once; `on_answer` gets its results, or nothing
  /// when it raised or its process is gone, on whatever thread answers. One call at a time.
  using OnAnswer = std::function<void(std::optional<Results>)>;
  void call_later(const std::string& name, const Results& arguments, OnAnswer on_answer);

  /// Runs when the process is gone.
  void on_cancel(std::function<void()> action);

  /// What the function answered; nothing when it raised.
  void reply(std::optional<Results> results);

  /// The process is gone: no answer will come.
  void cancel();

 private:
  void run(const Work& work);
  template <typename MakePayload>
  void send(Term kind, MakePayload make_payload);

  ErlNifPid owner_;
  ErlNifEnv* ref_env_;  // keeps ref_
  Term ref_;
  std::mutex mutex_;
  bool is_cancelled_ = false;
  OnAnswer on_answer_;  // of the call under way
  std::function<void()> on_cancel_;
};

}  // namespace mlxnx::nif
