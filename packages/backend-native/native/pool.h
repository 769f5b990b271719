/**
 * Threads that work on one job at a time, each on its share, meeting at barriers. Between jobs and at barriers they spin for a while
 * (a wake-up from sleep costs up to 50 µs, one from spinning 0.2 µs), then sleep.
 *
 * Where there are as many threads as processors, each thread keeps to one of its own: the system likes to put a thread that was woken
 * beside the one that woke it, where one spins while the other waits for the processor (measured: 40 times as slow, and it stays so).
 * The caller of `run` is bound for the length of the run only. WEIGHTSPEC_PIN=0 turns this off.
 */
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace weightspec {

/** Waits until `word` is no longer `old`: spins for `spinNanos` at most, then sleeps. */
class Waiter {
 public:
  Waiter(int64_t spinNanos, bool crowded) : spinNanos_(spinNanos), crowded_(crowded) {}
  void wait(std::atomic<uint32_t>& word, uint32_t old);
  /** Call after changing `word`. */
  void wake(std::atomic<uint32_t>& word);

 private:
  const int64_t spinNanos_;
  /** More threads than processors: whoever spins keeps another from working. */
  const bool crowded_;
  std::atomic<uint32_t> sleepers_{0};
};

class Pool {
 public:
  using Work = void (*)(void* context, int thread);

  /** `threads` counts whoever calls `run`. Throws Fault (BACKEND_FAILED) when they cannot be started. */
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }
  /** Held for a job; one job at a time. */
  std::mutex& mutex() { return mutex_; }
  /** Calls work(context, thread) on every thread, the caller being thread 0, and returns when all are done. Hold the mutex. */
  void run(Work work, void* context);
  /**
   * To be called by all threads of a job. The last to arrive looks at `stop`; true for all of them when it is set.
   */
  bool barrier(const std::atomic<bool>& stop);

 private:
  void workerLoop(int thread, uint32_t seen);
  void runUnbound(Work work, void* context);
  void shutDown();

  const int threads_;
  std::mutex mutex_;
  Waiter jobWaiter_, barrierWaiter_;
  std::vector<std::thread> workers_;
  /** The processor of each thread where every one has its own; else empty. */
  std::vector<int> processors_;
  Work work_ = nullptr;
  void* context_ = nullptr;
  bool ending_ = false;
  // On cache lines of their own: each is written by some while others spin on the next.
  alignas(64) std::atomic<uint32_t> job_{0};
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
  bool stopped_ = false;
};

}  // namespace weightspec
