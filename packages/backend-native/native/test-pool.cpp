// A program of its own, for ThreadSanitizer: many short jobs with barriers on pools of several sizes, checked for what they compute.
// `test-pool` ends with 0, or says what was wrong. Built by tools/full/sanitizers.test.ts together with pool.cpp.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>
#include "pool.h"

namespace {

using weightspec::Pool;

constexpr int ROUNDS = 400;
constexpr int PHASES = 6;

struct Job {
  Pool* pool;
  /** Plain memory: what a thread writes before a barrier, the others read after it. */
  std::vector<long> parts;
  std::atomic<bool> stop{false};
  std::atomic<int> phases{0};
  long wrong = 0;
};

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "test-pool: %s\n", what);
  std::exit(1);
}

/** Each thread adds the sum of all parts of the phase before to its own. */
void addUp(void* context, int thread) {
  Job& job = *static_cast<Job*>(context);
  const auto own = static_cast<size_t>(thread);
  for (int phase = 0; phase < PHASES; phase++) {
    long sum = 0;
    for (const long part : job.parts) sum += part;
    if (job.pool->barrier(job.stop)) return;
    job.parts[own] += sum;
    job.phases.fetch_add(1, std::memory_order_relaxed);
    if (job.pool->barrier(job.stop)) return;
  }
}

/** What addUp leaves in each part: every phase a part gains the sum of all. */
long expectedPart(int threads, long first) {
  long part = first;
  for (int phase = 0; phase < PHASES; phase++) part += threads * part;
  return part;
}

/** Thread 0 asks to stop before the second barrier: all must leave at the same one. */
void stopEarly(void* context, int thread) {
  Job& job = *static_cast<Job*>(context);
  if (job.pool->barrier(job.stop)) return;
  if (thread == 0) job.stop = true;
  if (job.pool->barrier(job.stop)) return;
  job.phases.fetch_add(1);
}

void runJobs(int threads) {
  Pool pool(threads);
  check(pool.threads() == threads, "a pool of another size");
  for (int round = 0; round < ROUNDS; round++) {
    Job job{&pool, std::vector<long>(static_cast<size_t>(threads), round)};
    {
      const std::lock_guard<std::mutex> lock(pool.mutex());
      pool.run(addUp, &job);
    }
    check(job.phases == threads * PHASES, "phases are missing");
    for (const long part : job.parts) check(part == expectedPart(threads, round), "a sum is wrong");
    // Now and then long enough for the workers to fall asleep.
    if (round % 100 == 99) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  Job job{&pool, {}};
  const std::lock_guard<std::mutex> lock(pool.mutex());
  pool.run(stopEarly, &job);
  check(job.phases == 0, "a thread went on after a stop");
}

/** Several threads share one pool by its mutex, as several models do. */
void shareOnePool() {
  Pool pool(2);
  std::vector<std::thread> callers;
  std::atomic<int> done{0};
  for (int caller = 0; caller < 3; caller++) {
    callers.emplace_back([&pool, &done] {
      for (int round = 0; round < 50; round++) {
        Job job{&pool, std::vector<long>(2, round)};
        const std::lock_guard<std::mutex> lock(pool.mutex());
        pool.run(addUp, &job);
        check(job.parts[0] == expectedPart(2, round) && job.parts[1] == job.parts[0], "a shared pool mixes up jobs");
        done.fetch_add(1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  check(done == 150, "jobs of a shared pool are missing");
}

}  // namespace

int main() {
  for (const int threads : {1, 2, 3, 5}) runJobs(threads);
  shareOnePool();
  for (int i = 0; i < 50; i++) Pool unused(3);
  std::puts("test-pool: ok");
  return 0;
}
