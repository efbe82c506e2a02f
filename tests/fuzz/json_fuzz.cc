// base/json: what parses is written and parses again to the same value, within depth and size.
#include "base/check.h"
#include "base/json.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = dragoman::ParseJson(dragoman::fuzz::ToText(data, size));
  if (!json.ok()) return 0;
  const auto again = dragoman::ParseJson(dragoman::DumpJson(*json));
  DRAGOMAN_CHECK(again.ok());
  DRAGOMAN_CHECK(*again == *json);
  return 0;
}
