#pragma once
#include <stdexcept>
#include <string>

namespace weightspec {

/** What reaches JavaScript as a BackendError of that code. */
struct Fault : std::runtime_error {
  const char* code;
  Fault(const char* faultCode, const std::string& message) : std::runtime_error(message), code(faultCode) {}
};

inline Fault failed(const std::string& message) { return Fault("BACKEND_FAILED", message); }

}  // namespace weightspec
