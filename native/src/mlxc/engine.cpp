#include "mlxc/engine.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <future>
#include <list>
#include <string>
#include <thread>

#include "mlxc/check.h"
#include "mlxc/closure.h"
#include "mlxc/deep_thread.h"
#include "mlxc/device.h"
#include "mlxc/encoders.h"
#include "mlxc/ending.h"
#include "mlxc/evaluate.h"
#include "mlxc/graph.h"
#include "mlxc/loss.h"
#include "mlxc/memory.h"
#include "mlxnx/error.h"

namespace mlxnx::mlxc {
namespace {

// A job on its way through the queue, or the wish of one that has given way to go on. `done` is set
// last; the waiting caller reads `error` after it.
struct Ticket {
  Engine::Job job;  // none: to go on
  std::exception_ptr error;
  std::atomic<bool> done{false};

  bool goes_on() const { return job == nullptr; }
  void execute() {
    const AtWork at_work;
    const GenerationScope generation;
    rest_if_ending();
    try {
      job();
    } catch (...) {
      error = std::current_exception();
    }
    finish();
  }
  void finish() {
    done.store(true, std::memory_order_release);
    done.notify_all();
  }
};
using TicketPtr = std::shared_ptr<Ticket>;

std::exception_ptr stopped_error() {
  return std::make_exception_ptr(
      BackendError("[engine] the engine is stopped and takes no more work"));
}

// What is asked of an engine while the process ends is never done.
void refuse_if_ending() {
  if (!is_ending()) [[likely]]
    return;
  rest();
  std::rethrow_exception(stopped_error());
}

// A turn lasts so long before others are let in: whoever waits is served soon, and threads change
// seldom.
constexpr auto kTurn = std::chrono::milliseconds(4);
// Threads of one engine whose jobs have given way, and jobs on top of each other on one thread.
constexpr std::size_t kMostWorkers = 16;
constexpr int kMostNested = 4;
// A thread that has served nobody for so long ends, but for the first and where no other is idle.
constexpr auto kIdle = std::chrono::milliseconds(500);

}  // namespace

// The mutex guards all of it but atomics. While nobody is busy, what is first in the queue is a
// job: a wish to go on is granted as soon as it is first.
struct Engine::State : std::enable_shared_from_this<Engine::State> {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<TicketPtr> queue;
  std::atomic<std::size_t> waiting{0};  // what the queue holds, for those who only look
  bool busy = false;                    // some thread has the turn
  int jobs = 0;                         // begun and not ended, whether they have the turn or not
  bool stopping = false;                // no further jobs
  bool given_up = false;                // a job has outlasted the patience of whoever stops
  bool started = false;
  std::exception_ptr start_error;
  bool callers_may_evaluate = false;
  bool has_backlog = false;  // touched by whoever is busy, or under the mutex while nobody is
  std::chrono::steady_clock::time_point turn_began;  // likewise
  int nested = 0;                                    // likewise: jobs within the one that gives way
  // The engine's own thread, and those that serve while jobs wait without the turn. The first idle
  // one serves, for what MLX compiles is kept by thread.
  struct Worker {
    DeepThread thread;
    bool idle = true;  // waits for a job
  };
  std::list<Worker> workers{1};
  Engine* owner = nullptr;
  std::array<mlx_stream, 2> streams{};
  const std::uint64_t id = next_id();  // unlike the address, never used again

  static std::uint64_t next_id() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
  }

  ~State() {
    for (const mlx_stream stream : streams) {
      if (stream.ctx != nullptr) mlx_stream_free(stream);
    }
  }
  void start();
  void loop(Worker& worker);
  Worker* first_idle();
  void push(TicketPtr ticket);
  TicketPtr pop();
  void begin_turn();
  void hand_on();
  void begin_job();
  void end_job();
  void take_turn(std::unique_lock<std::mutex>& lock);
  void run_here(const Engine::Job& job);
  bool serve_one();
  void serve_first(std::unique_lock<std::mutex>& lock);
  bool others_can_serve();
};

namespace {
thread_local std::uint64_t default_streams_of = 0;

// Marks that this thread runs a job of an engine. A chain, since a job of one engine may wait for
// another's.
class InsideScope {
 public:
  explicit InsideScope(Engine::State* state) : state_(state), outer_(innermost_) {
    innermost_ = this;
  }
  ~InsideScope() { innermost_ = outer_; }
  InsideScope(const InsideScope&) = delete;
  InsideScope& operator=(const InsideScope&) = delete;

  static bool contains(const Engine::State* state) {
    for (const InsideScope* scope = innermost_; scope != nullptr; scope = scope->outer_) {
      if (scope->state_ == state) return true;
    }
    return false;
  }

  /// Runs a queued job of each engine that this thread holds. Returns: whether there was any.
  static bool serve_all() {
    bool served = false;
    for (const InsideScope* scope = innermost_; scope != nullptr; scope = scope->outer_)
      served |= scope->state_->serve_one();
    return served;
  }

  static bool any() { return innermost_ != nullptr; }
  static bool several() { return any() && innermost_->outer_ != nullptr; }

 private:
  static thread_local const InsideScope* innermost_;
  Engine::State* state_;
  const InsideScope* outer_;
};
thread_local const InsideScope* InsideScope::innermost_ = nullptr;
}  // namespace

// MLX evaluates with the calling thread's default streams for its own bookkeeping and would make
// new ones, with a thread each, for every thread that evaluates. This gives every thread the
// engine's.
static void lend_default_streams(const Engine::State& state) {
  if (default_streams_of == state.id) return;
  for (const mlx_stream stream : state.streams) {
    if (stream.ctx != nullptr) check(mlx_set_default_stream(stream), "mlx_set_default_stream");
  }
  default_streams_of = state.id;
}

// Waits for a job on another engine. A thread that holds engines itself serves them meanwhile: the
// job it waits for may be waiting for one of theirs.
static void wait_for(const Ticket& ticket) {
  constexpr auto kPause = std::chrono::microseconds(200);
  while (InsideScope::any() && !ticket.done.load(std::memory_order_acquire)) {
    if (!InsideScope::serve_all()) std::this_thread::sleep_for(kPause);
  }
  ticket.done.wait(false, std::memory_order_acquire);
}

// MLX makes tables when it first evaluates, which exit takes down again: our handler for the end
// has to come before that. Also shows how it looks up streams.
static void evaluate_something(mlx_stream stream) {
  const StreamScope scope(stream);
  constexpr std::uint8_t kNothing = 0;
  const Array evaluated = copy(from_bytes(&kNothing, {}, MLX_UINT8));
  eval(ArrayVector({&evaluated, 1}));
}

void Engine::State::start() {
  try {
    install_error_handler();
    for (const Device device : {Device::kCpu, Device::kGpu}) {
      if (!is_available(device)) continue;
      const mlx_device handle = device_of_mlx(device);
      const mlx_stream stream = mlx_stream_new_device(handle);
      mlx_device_free(handle);
      if (stream.ctx == nullptr) throw_pending_error("mlx_stream_new_device");
      streams[static_cast<std::size_t>(device)] = stream;
    }
    lend_default_streams(*this);
    evaluate_something(streams[static_cast<std::size_t>(Device::kCpu)]);
    callers_may_evaluate = !is_available(Device::kGpu) && cpu_streams_serve_any_thread();
    prepare_tracing();
  } catch (...) {
    start_error = std::current_exception();
  }
  const std::lock_guard lock(mutex);
  started = true;
  changed.notify_all();
}

void Engine::State::push(TicketPtr ticket) {
  queue.push_back(std::move(ticket));
  waiting.store(queue.size(), std::memory_order_relaxed);
}

TicketPtr Engine::State::pop() {
  TicketPtr ticket = std::move(queue.front());
  queue.pop_front();
  waiting.store(queue.size(), std::memory_order_relaxed);
  return ticket;
}

void Engine::State::begin_turn() {
  busy = true;
  turn_began = std::chrono::steady_clock::now();
}

// The holder's turn is over.
void Engine::State::hand_on() {
  busy = false;
  if (!queue.empty() && queue.front()->goes_on()) {
    begin_turn();
    pop()->finish();
  } else if (!queue.empty() || stopping) {
    changed.notify_all();
  }
}

void Engine::State::begin_job() {
  ++jobs;
  begin_turn();
}

void Engine::State::end_job() {
  --jobs;
  hand_on();
}

// For a job that has handed it on: those who wait go first.
void Engine::State::take_turn(std::unique_lock<std::mutex>& lock) {
  if (is_ending()) {
    lock.unlock();
    rest_if_ending();
    lock.lock();
  }
  if (!busy && queue.empty()) {
    begin_turn();
    return;
  }
  const auto own = std::make_shared<Ticket>();
  push(own);
  if (!busy) hand_on();
  lock.unlock();
  {
    const AwayFromWork away;
    own->done.wait(false, std::memory_order_acquire);
  }
  rest_if_ending();
  lock.lock();
}

// On the thread whose turn it is: has the first of the queue take it.
void Engine::State::serve_first(std::unique_lock<std::mutex>& lock) {
  if (queue.front()->goes_on()) {
    hand_on();
    take_turn(lock);
    return;
  }
  const TicketPtr ticket = pop();
  lock.unlock();
  ticket->execute();
  lock.lock();
}

bool Engine::State::serve_one() {
  std::unique_lock lock(mutex);
  if (queue.empty()) return false;
  serve_first(lock);
  return true;
}

// Whether what waits is served while the job of this thread waits without the turn.
bool Engine::State::others_can_serve() {
  // What waits may wait for another engine that this thread holds.
  if (!callers_may_evaluate || stopping || InsideScope::several()) return false;
  if (first_idle() != nullptr) return true;
  if (workers.size() == kMostWorkers) return false;
  try {
    Worker& worker = workers.emplace_back();
    worker.thread = DeepThread([state = shared_from_this(), &worker] {
      thread_state.engine = state->owner;
      lend_default_streams(*state);
      state->loop(worker);
    });
    return true;
  } catch (const BackendError&) {
    workers.pop_back();  // the system has no thread left
    return false;
  }
}

// On a calling thread that has made the engine busy.
void Engine::State::run_here(const Engine::Job& job) {
  const InsideScope inside(this);
  struct End {
    State& state;
    ~End() {
      const std::lock_guard lock(state.mutex);
      state.end_job();
    }
  } end{*this};
  const AtWork at_work;
  const GenerationScope generation;
  rest_if_ending();
  lend_default_streams(*this);
  job();
}

Engine::State::Worker* Engine::State::first_idle() {
  const auto first =
      std::find_if(workers.begin(), workers.end(), [](auto& one) { return one.idle; });
  return first == workers.end() ? nullptr : &*first;
}

void Engine::State::loop(Worker& worker) {
  const bool is_own = &worker == &workers.front();
  const auto may_go = [&] {
    return stopping || (!queue.empty() && !busy && first_idle() == &worker);
  };
  std::unique_lock lock(mutex);
  while (true) {
    worker.idle = true;
    if (is_own) {
      changed.wait(lock, may_go);
    } else if (!changed.wait_for(lock, kIdle, may_go)) {
      // Jobs without the turn count on one that is.
      if (first_idle() == &worker) continue;
      worker.thread.detach();
      workers.remove_if([&worker](const Worker& one) { return &one == &worker; });
      return;
    }
    if (stopping) return;
    worker.idle = false;
    const TicketPtr ticket = pop();
    begin_job();
    lock.unlock();
    {
      const InsideScope inside(this);
      ticket->execute();
    }
    lock.lock();
    end_job();
  }
}

Engine::Engine() : state_(std::make_shared<State>()) {
  state_->owner = this;
  state_->workers.front().thread = DeepThread([state = state_] {
    thread_state.engine = state->owner;  // what a job evaluates belongs to the engine that runs it
    state->start();
    state->loop(state->workers.front());
  });
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->started; });
  if (state_->start_error != nullptr) {
    lock.unlock();
    stop();
    std::rethrow_exception(state_->start_error);
  }
}

Engine::~Engine() { stop(); }

Engine& Engine::current() {
  return thread_state.engine != nullptr ? *thread_state.engine : process();
}

Engine& Engine::process() {
  // Never destroyed: tensors of static storage may outlive any order of destruction.
  static Engine* const process_engine = [] {
    apply_memory_defaults();
    auto engine = std::make_unique<Engine>();
    watch_for_the_end();
    return engine.release();
  }();
  return *process_engine;
}

mlx_stream Engine::stream(Device device) const {
  const mlx_stream stream = state_->streams[static_cast<std::size_t>(device)];
  if (stream.ctx == nullptr) {
    throw UnsupportedError("[device] this machine has no device " + std::string(name(device)));
  }
  return stream;
}

bool Engine::inside() const { return InsideScope::contains(state_.get()); }

void Engine::run(const Job& job) {
  if (inside()) {
    job();
    return;
  }
  refuse_if_ending();
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  if (state.stopping) std::rethrow_exception(stopped_error());
  if (state.callers_may_evaluate && !state.busy && state.queue.empty()) {
    state.begin_job();
    lock.unlock();
    state.run_here(job);
    return;
  }
  lock.unlock();
  queue_and_wait(job);
}

void Engine::run_on_own_thread(const Job& job) {
  if (inside()) {
    job();
  } else {
    queue_and_wait(job);
  }
}

void Engine::queue_and_wait(const Job& job) {
  refuse_if_ending();
  State& state = *state_;
  const auto ticket = std::make_shared<Ticket>();
  ticket->job = job;
  {
    const std::lock_guard lock(state.mutex);
    if (state.stopping) std::rethrow_exception(stopped_error());
    state.push(ticket);
  }
  state.changed.notify_all();
  wait_for(*ticket);
  if (ticket->error != nullptr) std::rethrow_exception(ticket->error);
}

bool Engine::try_run(const Job& job) {
  State& state = *state_;
  if (!state.callers_may_evaluate || inside() || is_ending()) return false;
  {
    const std::unique_lock lock(state.mutex, std::try_to_lock);
    const bool free = lock.owns_lock() && !state.busy && state.queue.empty() &&
                      !state.has_backlog && !state.stopping;
    if (!free) return false;
    state.begin_job();
  }
  state.run_here(job);
  return true;
}

void Engine::set_backlog(bool has_backlog) { state_->has_backlog = has_backlog; }

void Engine::post(Job job) {
  if (is_ending()) return;
  State& state = *state_;
  const auto ticket = std::make_shared<Ticket>();
  ticket->job = std::move(job);
  {
    const std::lock_guard lock(state.mutex);
    if (state.stopping) return;
    state.push(ticket);
  }
  state.changed.notify_all();
}

void Engine::serve_until(const std::function<bool()>& ready) {
  if (!inside()) throw BackendError("[engine] serve_until outside of a job");
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  while (!ready()) {
    if (state.others_can_serve()) {
      state.hand_on();
      {
        const AwayFromWork away;
        state.changed.wait(lock, [&] { return state.stopping || ready(); });
      }
      state.take_turn(lock);
    } else if (!state.queue.empty()) {
      state.serve_first(lock);
    } else if (state.stopping) {
      std::rethrow_exception(stopped_error());
    } else {
      state.changed.wait(lock);
    }
  }
}

bool Engine::has_waiting() const { return state_->waiting.load(std::memory_order_relaxed) != 0; }

void Engine::give_way() {
  State& state = *state_;
  if (!inside()) return;
  std::unique_lock lock(state.mutex);
  if (state.queue.empty() || std::chrono::steady_clock::now() - state.turn_began < kTurn) return;
  if (state.others_can_serve()) {
    state.hand_on();
    state.take_turn(lock);
    return;
  }
  // Those who wait now go first, on top of this job.
  if (state.stopping || InsideScope::several() || state.nested == kMostNested) return;
  ++state.nested;
  for (std::size_t left = state.queue.size(); left > 0 && !state.queue.empty(); --left)
    state.serve_first(lock);
  --state.nested;
  state.begin_turn();
}

void Engine::wake() {
  // The lock orders this after the check of a server that is about to sleep.
  { const std::lock_guard lock(state_->mutex); }
  state_->changed.notify_all();
}

// Waits until `stream` has done what was started on it. On a thread of its own, since MLX can't be
// told to give up; where patience ends first, that thread is left to itself.
static void drain(mlx_stream stream, std::chrono::steady_clock::time_point deadline) {
  auto done = std::make_shared<std::promise<void>>();
  const std::future<void> drained = done->get_future();
  std::thread([stream, done = std::move(done)] {
    try {
      synchronize(stream);
    } catch (const std::exception&) {
      // What failed there is told where its result is read.
    }
    done->set_value();
  }).detach();
  drained.wait_until(deadline);
}

void Engine::stop(std::chrono::milliseconds patience) {
  if (is_ending()) patience = {};  // its thread may rest for good
  const auto deadline = std::chrono::steady_clock::now() + patience;
  State& state = *state_;
  std::deque<TicketPtr> abandoned;
  bool idle = true;
  {
    std::unique_lock lock(state.mutex);
    state.stopping = true;
    // A job that has given way goes on.
    std::deque<TicketPtr> running;
    for (TicketPtr& ticket : state.queue)
      (ticket->goes_on() ? running : abandoned).push_back(std::move(ticket));
    state.queue = std::move(running);
    state.waiting = state.queue.size();
    if (!state.busy) state.hand_on();
    state.changed.notify_all();
    const bool may_wait = !inside() && !state.given_up;
    if (may_wait)
      idle = state.changed.wait_for(lock, patience, [&state] { return state.jobs == 0; });
    state.given_up |= !idle;
  }
  for (const TicketPtr& ticket : abandoned) {
    ticket->error = stopped_error();
    ticket->finish();
  }
  // None comes or goes any more.
  std::list<State::Worker>& workers = state.workers;
  if (!workers.front().thread.joinable()) return;
  const bool is_own = std::any_of(workers.begin(), workers.end(),
                                  [](const auto& one) { return one.thread.is_current(); });
  if (idle && !is_own && !inside()) {
    for (State::Worker& one : workers) one.thread.join();
    const mlx_stream cpu = state.streams[static_cast<std::size_t>(Device::kCpu)];
    if (state.has_backlog && cpu.ctx != nullptr) drain(cpu, deadline);
  } else {
    for (State::Worker& one : workers) one.thread.detach();
  }
}

}  // namespace mlxnx::mlxc
