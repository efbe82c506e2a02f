#include "client/cli/usage_text.h"

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

TEST(UsageTextTest, NamesEveryTotalAndTheSkipRate) {
  v1::Usage usage;
  usage.set_source_words(1);
  usage.set_source_tokens(2);
  usage.set_target_words(3);
  usage.set_target_tokens(4);
  usage.set_segments(5);
  usage.set_events(6);
  usage.set_first_write_ms(7);
  usage.set_queue_wait_ms(8);
  usage.mutable_compute()->set_decode_steps(9);
  usage.mutable_compute()->set_compute_ms(10);
  usage.mutable_compute()->set_forced_writes(11);
  usage.mutable_compute()->set_modules_total(240);
  usage.mutable_compute()->set_modules_skipped(30);

  EXPECT_EQ(UsageText(usage),
            "stats: source_words=1 source_tokens=2 target_words=3 target_tokens=4 segments=5 "
            "events=6 first_write_ms=7 queue_wait_ms=8 decode_steps=9 compute_ms=10 "
            "forced_writes=11 modules_skipped=30 skip_rate=0.125");
}

TEST(UsageTextTest, ASessionWithoutRowsSkippedNothing) {
  EXPECT_NE(UsageText({}).find("modules_skipped=0 skip_rate=0.000"), std::string::npos);
}

}  // namespace
}  // namespace dragoman::client
