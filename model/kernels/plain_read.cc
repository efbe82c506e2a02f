#include "model/kernels/plain_read.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/kernels/plain_read.cc"
#include "hwy/foreach_target.h"
// Must come after foreach_target.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace dragoman::model {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

uint64_t XorAll(const uint64_t* HWY_RESTRICT words, int64_t count) {
  const hn::CappedTag<uint64_t, 8> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d), b = hn::Zero(d), c = hn::Zero(d), e = hn::Zero(d);
  for (int64_t i = 0; i < count; i += 4 * lanes) {
    a = hn::Xor(a, hn::LoadU(d, words + i));
    b = hn::Xor(b, hn::LoadU(d, words + i + lanes));
    c = hn::Xor(c, hn::LoadU(d, words + i + 2 * lanes));
    e = hn::Xor(e, hn::LoadU(d, words + i + 3 * lanes));
  }
  HWY_ALIGN uint64_t parts[8] = {};
  hn::StoreU(hn::Xor(hn::Xor(a, b), hn::Xor(c, e)), d, parts);
  uint64_t all = 0;
  for (const uint64_t part : parts) all ^= part;
  return all;
}

}  // namespace HWY_NAMESPACE
}  // namespace dragoman::model
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace dragoman::model {

HWY_EXPORT(XorAll);

uint64_t XorOfWords(const void* data, int64_t bytes) {
  return HWY_DYNAMIC_DISPATCH(XorAll)(static_cast<const uint64_t*>(data), bytes / 8);
}

}  // namespace dragoman::model
#endif
