// Weights files: every tensor that is given out lies inside the file and has the bytes of its
// shape.
#include "base/check.h"
#include "model/package/safetensors.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const memory = new dragoman::fuzz::MemoryFile;
  memory->Write(dragoman::fuzz::ToText(data, size));
  const auto file = dragoman::model::SafetensorsFile::Open(memory->path());
  if (!file.ok()) return 0;
  size_t total = 0;
  unsigned char sum = 0;
  for (const auto& [name, view] : (*file)->tensors()) {
    DRAGOMAN_CHECK(view.num_elements() >= 0);
    DRAGOMAN_CHECK(view.bytes.size() == static_cast<size_t>(view.num_elements()) *
                                            dragoman::model::DTypeBytes(view.dtype));
    // Every byte is touched, for AddressSanitizer and for the mapping.
    for (const char c : view.bytes) sum = static_cast<unsigned char>(sum + c);
    total += view.bytes.size();
  }
  DRAGOMAN_CHECK(total <= size);
  volatile unsigned char sink = sum;
  static_cast<void>(sink);
  return 0;
}
