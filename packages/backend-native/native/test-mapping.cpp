// A program of its own: a file is mapped, read, and found changed. `test-mapping FOLDER` ends with 0, or says what was wrong. Built by
// tools/full/cross.test.ts together with mapping.cpp for Windows, whose ways no other test runs; src/native.test.ts tries the others'.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include "faults.h"
#include "mapping.h"

namespace {

using namespace weightspec;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "test-mapping: %s\n", what);
  std::exit(1);
}

template <class Work> bool isRefused(const Work& work) {
  try {
    work();
  } catch (const Fault&) {
    return true;
  }
  return false;
}

void append(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::FILE* file = std::fopen(path.c_str(), "ab");
  check(file != nullptr, "a file cannot be made");
  check(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() && std::fclose(file) == 0, "a file cannot be written");
}

}  // namespace

int main(int count, char** arguments) {
  check(count == 2, "one folder has to be named");
  const std::string folder = std::string(arguments[1]) + "/";
  // Neither a whole number of pages nor less than one.
  std::vector<uint8_t> bytes(3 * 65536 + 13);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(i * 7 + i / 251);
  append(folder + "weights.bin", bytes);
  append(folder + "empty.bin", {});

  const Mapping mapping(folder + "weights.bin", bytes.size());
  check(mapping.byteLength() == bytes.size() && std::memcmp(mapping.bytes(), bytes.data(), bytes.size()) == 0, "the mapped bytes are not the file's");
  mapping.assertUnchanged();
  const Mapping empty(folder + "empty.bin", 0);
  check(empty.byteLength() == 0, "an empty file has bytes");
  empty.assertUnchanged();
  check(isRefused([&] { Mapping(folder + "weights.bin", bytes.size() + 1); }), "a file of another size was mapped");
  check(isRefused([&] { Mapping(folder + "missing.bin", 1); }), "a file that is not there was mapped");

  append(folder + "weights.bin", {1});
  check(isRefused([&] { mapping.assertUnchanged(); }), "a file that grew counts as unchanged");
  empty.assertUnchanged();

  const Memory memory(1 << 20);
  for (size_t i = 0; i < memory.byteLength(); i++) check(memory.bytes()[i] == 0, "new memory is not zero");
  memory.bytes()[memory.byteLength() - 1] = 1;
  check(reinterpret_cast<uintptr_t>(memory.bytes()) % 64 == 0, "memory is not aligned");
  check(isRefused([] { Memory(static_cast<size_t>(1) << 62); }), "there is memory for 4 EiB");
  std::puts("test-mapping: ok");
  return 0;
}
