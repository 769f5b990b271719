#include "mapping.h"
#include <cstring>
#include <utility>
#include "faults.h"
#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace weightspec {

namespace {
Fault changed(const std::string& path) { return failed(path + ": the file was changed, cut short or replaced while the model was in use; load it again"); }
}  // namespace

void Mapping::assertUnchanged() const {
  State now{};
  try {
    now = stateOf(path_);
  } catch (const Fault&) {
    throw changed(path_);
  }
  if (!(now == state_)) throw changed(path_);
}

#ifdef _WIN32

namespace {
/** Closes what CreateFile opened. */
struct OpenFile {
  HANDLE handle;
  explicit OpenFile(const std::string& path) {
    const int length = MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, nullptr, 0);
    std::wstring wide(static_cast<size_t>(length), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, &wide[0], length);
    handle = CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (handle == INVALID_HANDLE_VALUE) throw failed(path + ": cannot be opened (error " + std::to_string(GetLastError()) + ")");
  }
  ~OpenFile() { CloseHandle(handle); }
};
}  // namespace

Mapping::State Mapping::stateOf(const std::string& path) const {
  OpenFile file(path);
  BY_HANDLE_FILE_INFORMATION info;
  if (!GetFileInformationByHandle(file.handle, &info)) throw failed(path + ": its size cannot be asked");
  const auto join = [](DWORD high, DWORD low) { return static_cast<uint64_t>(high) << 32 | low; };
  return {info.dwVolumeSerialNumber, join(info.nFileIndexHigh, info.nFileIndexLow), join(info.nFileSizeHigh, info.nFileSizeLow),
          static_cast<int64_t>(join(info.ftLastWriteTime.dwHighDateTime, info.ftLastWriteTime.dwLowDateTime))};
}

Mapping::Mapping(const std::string& path, uint64_t byteLength) : path_(path), byteLength_(byteLength) {
  state_ = stateOf(path);
  if (state_.byteLength != byteLength) throw changed(path);
  if (byteLength == 0) return;
  OpenFile file(path);
  const HANDLE mapping = CreateFileMappingW(file.handle, nullptr, PAGE_READONLY, 0, 0, nullptr);
  if (!mapping) throw failed(path + ": cannot be mapped (error " + std::to_string(GetLastError()) + ")");
  bytes_ = static_cast<const uint8_t*>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0));
  CloseHandle(mapping);
  if (!bytes_) throw failed(path + ": cannot be mapped (error " + std::to_string(GetLastError()) + ")");
}

Mapping::~Mapping() {
  if (bytes_) UnmapViewOfFile(bytes_);
}

bool hasLargePages() { return false; }

Memory::Memory(size_t byteLength, bool) : byteLength_(byteLength) {
  if (byteLength == 0) return;
  bytes_ = static_cast<uint8_t*>(VirtualAlloc(nullptr, byteLength, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
  if (!bytes_) throw failed("there is no memory for " + std::to_string(byteLength) + " bytes");
}

Memory::~Memory() {
  if (bytes_) VirtualFree(bytes_, 0, MEM_RELEASE);
}

#else

Mapping::State Mapping::stateOf(const std::string& path) const {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) throw failed(path + ": " + std::strerror(errno));
#ifdef __APPLE__
  const timespec modified = status.st_mtimespec;
#else
  const timespec modified = status.st_mtim;
#endif
  return {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino), static_cast<uint64_t>(status.st_size),
          static_cast<int64_t>(modified.tv_sec) * 1000000000 + modified.tv_nsec};
}

Mapping::Mapping(const std::string& path, uint64_t byteLength) : path_(path), byteLength_(byteLength) {
  state_ = stateOf(path);
  if (state_.byteLength != byteLength) throw changed(path);
  if (byteLength == 0) return;
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw failed(path + ": " + std::strerror(errno));
  void* address = mmap(nullptr, byteLength, PROT_READ, MAP_SHARED, descriptor, 0);
  const int reason = errno;
#ifdef POSIX_FADV_SEQUENTIAL
  // The first token reads every weight once, front to back: read further ahead. (MADV_WILLNEED looks up every page at once, which takes half
  // a second for a gigabyte; MADV_SEQUENTIAL would have pages forgotten that the next token reads again.)
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  close(descriptor);
  if (address == MAP_FAILED) throw failed(path + ": cannot be mapped: " + std::strerror(reason));
  bytes_ = static_cast<const uint8_t*>(address);
}

Mapping::~Mapping() {
  if (bytes_) munmap(const_cast<uint8_t*>(bytes_), byteLength_);
}

bool hasLargePages() {
#ifdef MADV_HUGEPAGE
  // "always [madvise] never", the choice in brackets.
  char choices[64] = {};
  const int descriptor = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const ssize_t length = read(descriptor, choices, sizeof choices - 1);
  close(descriptor);
  return length > 0 && !std::strstr(choices, "[never]");
#else
  return false;
#endif
}

Memory::Memory(size_t byteLength, bool large) : byteLength_(byteLength) {
  if (byteLength == 0) return;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
  flags |= MAP_NORESERVE;
#endif
  void* address = mmap(nullptr, byteLength, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (address == MAP_FAILED) throw failed("there is no memory for " + std::to_string(byteLength) + " bytes");
  bytes_ = static_cast<uint8_t*>(address);
#ifdef MADV_HUGEPAGE
  if (large) madvise(address, byteLength, MADV_HUGEPAGE);
#else
  static_cast<void>(large);
#endif
}

Memory::~Memory() {
  if (bytes_) munmap(bytes_, byteLength_);
}

#endif

Memory::Memory(Memory&& other) noexcept : bytes_(std::exchange(other.bytes_, nullptr)), byteLength_(std::exchange(other.byteLength_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(byteLength_, other.byteLength_);
  return *this;
}

}  // namespace weightspec
