#include "base/log.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/step_clock.h"

namespace dragoman {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

class LineLogger final : public Logger {
 public:
  void Log(LogLevel, std::string_view event, std::vector<LogField> fields) override {
    std::string line(event);
    for (const LogField& field : fields) {
      line += " " + std::string(field.name) + "=";
      if (const auto* text = std::get_if<std::string>(&field.value)) line += *text;
      if (const auto* number = std::get_if<int64_t>(&field.value)) line += std::to_string(*number);
    }
    lines.push_back(line);
  }
  std::vector<std::string> lines;
};

TEST(RateLimitedLoggerTest, LimitsEachReasonApartAndCountsWhatIsLeftOut) {
  LineLogger lines;
  testing::StepClock clock;
  const auto logger = MakeRateLimitedLogger(&lines, &clock, {"refused"}, 2);

  for (int i = 0; i < 5; ++i) logger->Info("refused", {{"reason", "A"}});
  logger->Info("refused", {{"reason", "B"}});
  clock.Advance(milliseconds(999));
  logger->Info("refused", {{"reason", "A"}});
  clock.Advance(milliseconds(1));
  logger->Info("refused", {{"reason", "A"}});
  logger->Info("refused", {{"reason", "A"}});

  EXPECT_THAT(lines.lines, ElementsAre("refused reason=A", "refused reason=A", "refused reason=B",
                                       "refused reason=A dropped=4", "refused reason=A"));
}

TEST(RateLimitedLoggerTest, PassesOtherEventsOn) {
  LineLogger lines;
  testing::StepClock clock;
  const auto logger = MakeRateLimitedLogger(&lines, &clock, {"refused"}, 1);

  for (int i = 0; i < 3; ++i) logger->Info("session_end", {{"reason", "A"}});

  EXPECT_EQ(lines.lines.size(), 3u);
}

}  // namespace
}  // namespace dragoman
