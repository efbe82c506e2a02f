#include "server/session/trace.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::server {
namespace {

using std::chrono::milliseconds;

const char kTrace[] = "0af7651916cd43dd8448eb211c80319c";
const char kParent[] = "b7ad6b7169203331";

std::string Header(const std::string& version, const std::string& flags) {
  return version + "-" + kTrace + "-" + kParent + "-" + flags;
}

TEST(TraceTest, TakesOverTheCallersTrace) {
  const TraceContext context = StartTrace(Header("00", "01"));

  EXPECT_EQ(context.trace_id, kTrace);
  EXPECT_EQ(context.parent_id, kParent);
  EXPECT_TRUE(context.sampled);
  EXPECT_EQ(context.span_id.size(), 16u);
  EXPECT_NE(context.span_id, kParent);
}

TEST(TraceTest, ReadsTheSampledFlagAlone) {
  EXPECT_FALSE(ParseTraceparent(Header("00", "00"))->sampled);
  EXPECT_FALSE(ParseTraceparent(Header("00", "fe"))->sampled);
  EXPECT_TRUE(ParseTraceparent(Header("00", "ff"))->sampled);
}

TEST(TraceTest, ReadsLaterVersionsAsFarAsTheyAreKnown) {
  EXPECT_TRUE(ParseTraceparent(Header("01", "01")).has_value());
  EXPECT_TRUE(ParseTraceparent(Header("cc", "01") + "-more").has_value());
  EXPECT_FALSE(ParseTraceparent(Header("cc", "01") + "more").has_value());
  EXPECT_FALSE(ParseTraceparent(Header("00", "01") + "-more").has_value());
  EXPECT_FALSE(ParseTraceparent(Header("ff", "01")).has_value());
}

TEST(TraceTest, StartsATraceOfItsOwnForWhatIsNoTraceparent) {
  const std::string good = Header("00", "01");
  std::vector<std::string> bad = {
      "",
      "00",
      good.substr(0, 54),
      std::string(300, '0'),
      "00-00000000000000000000000000000000-" + std::string(kParent) + "-01",
      "00-" + std::string(kTrace) + "-0000000000000000-01"};
  for (size_t i = 0; i < good.size(); ++i) {
    bad.push_back(good);
    bad.back()[i] = good[i] == '-' ? '0' : 'G';
  }
  for (const std::string& header : bad) {
    const TraceContext context = StartTrace(header);
    EXPECT_EQ(context.trace_id.size(), 32u) << header;
    EXPECT_NE(context.trace_id, kTrace) << header;
    EXPECT_EQ(context.parent_id, "") << header;
  }
  EXPECT_NE(StartTrace("").trace_id, StartTrace("").trace_id);
}

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

TEST(TraceTest, LogsASpanAsOneLine) {
  LineLogger logger;
  const TimePoint origin(std::chrono::hours(1));
  TraceSpan span{*ParseTraceparent(Header("00", "01")),
                 "segment[2]",
                 origin + milliseconds(50),
                 origin + milliseconds(130),
                 {{"dragoman.final.reason", "boundary"}, {"dragoman.source.tokens", int64_t{7}}},
                 {{"final", origin + milliseconds(120)}}};

  const auto sink = MakeLogTraceSink(&logger, origin);
  sink->OnSpan(span);
  span.context.sampled = false;
  sink->OnSpan(span);

  EXPECT_THAT(logger.lines,
              ::testing::ElementsAre("span name=segment[2] trace_id=" + std::string(kTrace) +
                                     " span_id= parent_span_id=" + kParent +
                                     " start_ms=50 duration_ms=80 dragoman.final.reason=boundary"
                                     " dragoman.source.tokens=7 final_ms=70"));
}

}  // namespace
}  // namespace dragoman::server
