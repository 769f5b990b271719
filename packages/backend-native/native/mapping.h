/**
 * Files mapped into memory, read-only, whole: 64-bit processes have room for any. Nothing is read until it is used.
 *
 * A file that another process cuts short while it is mapped kills this process (SIGBUS) when a page beyond its new end is touched.
 * `assertUnchanged`, called before every run, turns that into an error but for a file that is cut during a run of its own: no handler
 * could go on from there safely, since the kernel that was interrupted would read zeros or wait for ever.
 */
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace weightspec {

class Mapping {
 public:
  /** Throws Fault (BACKEND_FAILED) when the file is not there or does not have `byteLength` bytes. */
  Mapping(const std::string& path, uint64_t byteLength);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const uint8_t* bytes() const { return bytes_; }
  uint64_t byteLength() const { return byteLength_; }
  /** Throws Fault (BACKEND_FAILED) when the file was changed, cut short or replaced by another since it was mapped. */
  void assertUnchanged() const;

 private:
  /** What tells one state of a file from another. */
  struct State {
    uint64_t device, inode, byteLength;
    int64_t modifiedNs;
    bool operator==(const State& o) const { return device == o.device && inode == o.inode && byteLength == o.byteLength && modifiedNs == o.modifiedNs; }
  };
  State stateOf(const std::string& path) const;

  std::string path_;
  const uint8_t* bytes_ = nullptr;
  uint64_t byteLength_ = 0;
  State state_{};
};

/** Whether `Memory` can come in large pages, which are looked up in a fraction of the time. */
bool hasLargePages();

/**
 * Memory of this process, zeroed, 64-byte aligned; pages come into being when they are touched. Throws Fault (BACKEND_FAILED) when
 * there is none to be had.
 */
class Memory {
 public:
  Memory() = default;
  /** `large`: in large pages where the system has them; good for what is read whole again and again. */
  explicit Memory(size_t byteLength, bool large = false);
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  uint8_t* bytes() const { return bytes_; }
  float* floats() const { return reinterpret_cast<float*>(bytes_); }
  size_t byteLength() const { return byteLength_; }

 private:
  uint8_t* bytes_ = nullptr;
  size_t byteLength_ = 0;
};

}  // namespace weightspec
