// ggml's scalar quantizers, from a library that is given: `ggml-quantize LIBRARY FUNCTION WEIGHTS ENCODED BYTES` reads f32 WEIGHTS,
// writes BYTES of ENCODED, and prints the best rate of several passes in 10^9 bytes of f32 a second, one thread, in slices.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PASSES = 5, SLICES = 64 };

typedef void (*Quantize)(const float *weights, void *encoded, int64_t count);

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

int main(int count, char **arguments) {
  if (count != 6) return 2;
  void *library = dlopen(arguments[1], RTLD_NOW);
  Quantize quantize = library ? (Quantize)dlsym(library, arguments[2]) : NULL;
  if (!quantize) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  FILE *file = fopen(arguments[3], "rb");
  if (!file) return 1;
  fseek(file, 0, SEEK_END);
  const size_t weightBytes = (size_t)ftell(file);
  rewind(file);
  const size_t encodedBytes = (size_t)atoll(arguments[5]);
  float *weights = malloc(weightBytes);
  uint8_t *encoded = calloc(1, encodedBytes);
  if (!weights || !encoded || fread(weights, 1, weightBytes, file) != weightBytes) return 1;
  fclose(file);

  const int64_t elements = (int64_t)(weightBytes / sizeof(float) / SLICES);
  double best[SLICES];
  for (int pass = 0; pass < PASSES; pass++) {
    for (int slice = 0; slice < SLICES; slice++) {
      const double started = now();
      quantize(weights + slice * elements, encoded + slice * (encodedBytes / SLICES), elements);
      const double seconds = now() - started;
      if (pass == 0 || seconds < best[slice]) best[slice] = seconds;
    }
  }
  double seconds = 0;
  for (int slice = 0; slice < SLICES; slice++) seconds += best[slice];
  file = fopen(arguments[4], "wb");
  if (!file || fwrite(encoded, 1, encodedBytes, file) != encodedBytes || fclose(file)) return 1;
  printf("%.3f\n", (double)weightBytes / seconds / 1e9);
  return 0;
}
