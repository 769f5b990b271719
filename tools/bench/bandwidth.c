// How fast all threads together read memory: `bandwidth THREADS BYTES SECONDS` prints 10^9 bytes a second, the best of several passes.
// Each thread reads its own part from front to back, in four streams: one alone waits for memory rather than fills its bus.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STREAMS = 4, AHEAD = 4096, LINE = 64 };

typedef struct {
  const uint8_t *bytes;
  size_t length;
  uint64_t sum;
  pthread_barrier_t *barrier;
  int passes;
  double best;
} Reader;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

static void *read_all(void *argument) {
  Reader *reader = argument;
  const size_t step = reader->length / STREAMS / LINE * LINE;
  for (int pass = 0; pass < reader->passes; pass++) {
    pthread_barrier_wait(reader->barrier);
    const double started = now();
    uint64_t sums[8] = {0};
    for (size_t at = 0; at < step; at += LINE) {
      for (int stream = 0; stream < STREAMS; stream++) {
        const uint8_t *line = reader->bytes + stream * step + at;
        __builtin_prefetch(line + AHEAD);
        const uint64_t *words = (const uint64_t *)line;
        for (int i = 0; i < 8; i++) sums[i] += words[i];
      }
    }
    pthread_barrier_wait(reader->barrier);
    const double seconds = now() - started;
    if (pass > 0 && (reader->best == 0 || seconds < reader->best)) reader->best = seconds;
    for (int i = 0; i < 8; i++) reader->sum += sums[i];
  }
  return NULL;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  const int threads = atoi(arguments[1]);
  const size_t bytes = (size_t)atof(arguments[2]);
  const size_t part = bytes / threads / (STREAMS * LINE) * (STREAMS * LINE);
  // At some 20 GB/s.
  int passes = (int)(atof(arguments[3]) * 2e10 / (double)bytes);
  if (passes < 4) passes = 4;
  uint8_t *memory = aligned_alloc(4096, (part * threads + 8191) / 4096 * 4096);
  if (!memory) return 1;
  memset(memory, 1, part * threads);
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, threads);
  pthread_t ids[256];
  Reader readers[256];
  if (threads < 1 || threads > 256) return 2;
  for (int i = 0; i < threads; i++) {
    readers[i] = (Reader){memory + i * part, part, 0, &barrier, passes, 0};
    if (pthread_create(&ids[i], NULL, read_all, &readers[i])) return 1;
  }
  uint64_t sum = 0;
  double slowest = 0;
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    sum += readers[i].sum;
    if (readers[i].best > slowest) slowest = readers[i].best;
  }
  printf("%.2f %llu\n", (double)(part * threads) / slowest / 1e9, (unsigned long long)sum);
  return 0;
}
