#include "pool.h"
#include <chrono>
#include <condition_variable>
#include <system_error>
#include "faults.h"
#ifdef __linux__
#include <climits>
#include <cstdlib>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace weightspec {

namespace {

inline void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

#ifdef __linux__
void sleepOn(std::atomic<uint32_t>& word, uint32_t old) { syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0); }
void wakeAll(std::atomic<uint32_t>& word) { syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0); }
#else
// C++17 has no wait on atomics: one condition for all, since sleeping is rare.
std::mutex sleepMutex;
std::condition_variable sleepCondition;
void sleepOn(std::atomic<uint32_t>& word, uint32_t old) {
  std::unique_lock<std::mutex> lock(sleepMutex);
  sleepCondition.wait(lock, [&] { return word.load() != old; });
}
void wakeAll(std::atomic<uint32_t>&) {
  std::lock_guard<std::mutex> lock(sleepMutex);
  sleepCondition.notify_all();
}
#endif

#ifdef __linux__
/** Processors that this process may use, if there are exactly `count`; else none. */
std::vector<int> ownProcessors(int count) {
  std::vector<int> processors;
  cpu_set_t allowed;
  const char* pin = std::getenv("WEIGHTSPEC_PIN");
  if ((pin && pin[0] == '0') || sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) != count) return processors;
  for (int i = 0; i < CPU_SETSIZE; i++) if (CPU_ISSET(i, &allowed)) processors.push_back(i);
  return processors;
}

/** Binds the calling thread to a processor. Failing to do so costs speed alone. */
void bindTo(int processor) {
  cpu_set_t own;
  CPU_ZERO(&own);
  CPU_SET(processor, &own);
  sched_setaffinity(0, sizeof own, &own);
}
#else
std::vector<int> ownProcessors(int) { return {}; }
void bindTo(int) {}
#endif

/** Longer than what JavaScript does between two tokens of a small model. */
constexpr int64_t JOB_SPIN_NANOS = 200'000;
/**
 * Longer than a sleeper needs to wake up, by far: were it shorter, one late thread would put the others to sleep, whose wake-ups then
 * make them late for the next barrier, and so on (measured: a 15M model three times as slow).
 */
constexpr int64_t BARRIER_SPIN_NANOS = 300'000;
/** Between two looks at the clock. */
constexpr int PAUSES = 64;

}  // namespace

void Waiter::wait(std::atomic<uint32_t>& word, uint32_t old) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < PAUSES; i++) {
      if (word.load(std::memory_order_acquire) != old) return;
      relax();
    }
    if (crowded_) std::this_thread::yield();
  } while (std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count() < spinNanos_);
  sleepers_.fetch_add(1);
  while (word.load() == old) sleepOn(word, old);
  sleepers_.fetch_sub(1);
}

void Waiter::wake(std::atomic<uint32_t>& word) {
  // Sequentially consistent on both sides: either the sleeper sees the new word, or this sees the sleeper.
  if (sleepers_.load() > 0) wakeAll(word);
}

Pool::Pool(int threads)
    : threads_(threads),
      jobWaiter_(JOB_SPIN_NANOS, threads > static_cast<int>(std::thread::hardware_concurrency())),
      barrierWaiter_(BARRIER_SPIN_NANOS, threads > static_cast<int>(std::thread::hardware_concurrency())) {
  if (threads > 1) processors_ = ownProcessors(threads);
  try {
    // The counter is read before the thread starts: a job may be posted before it first looks.
    for (int i = 1; i < threads; i++) workers_.emplace_back(&Pool::workerLoop, this, i, job_.load());
  } catch (const std::system_error& error) {
    shutDown();
    throw failed("thread " + std::to_string(workers_.size() + 1) + " of " + std::to_string(threads) + " does not start: " + error.what());
  }
}

Pool::~Pool() { shutDown(); }

void Pool::shutDown() {
  ending_ = true;
  job_.fetch_add(1);
  jobWaiter_.wake(job_);
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Pool::workerLoop(int thread, uint32_t seen) {
  const std::atomic<bool> never{false};
  if (!processors_.empty()) bindTo(processors_[static_cast<size_t>(thread)]);
  for (;;) {
    jobWaiter_.wait(job_, seen);
    seen = job_.load();
    if (ending_) return;
    work_(context_, thread);
    barrier(never);
  }
}

void Pool::run(Work work, void* context) {
#ifdef __linux__
  cpu_set_t before;
  if (!processors_.empty() && sched_getaffinity(0, sizeof before, &before) == 0) {
    bindTo(processors_[0]);
    runUnbound(work, context);
    sched_setaffinity(0, sizeof before, &before);
    return;
  }
#endif
  runUnbound(work, context);
}

void Pool::runUnbound(Work work, void* context) {
  work_ = work;
  context_ = context;
  if (threads_ > 1) {
    job_.fetch_add(1);
    jobWaiter_.wake(job_);
  }
  work(context, 0);
  const std::atomic<bool> never{false};
  barrier(never);
}

bool Pool::barrier(const std::atomic<bool>& stop) {
  if (threads_ == 1) return stop.load(std::memory_order_relaxed);
  const uint32_t phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(threads_)) {
    stopped_ = stop.load(std::memory_order_relaxed);
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1);
    barrierWaiter_.wake(phase_);
  } else {
    barrierWaiter_.wait(phase_, phase);
  }
  return stopped_;
}

}  // namespace weightspec
