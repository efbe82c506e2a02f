#include "client/load/exposition.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(ExpositionTest, ReadsWhatAServerWrites) {
  const auto page = ParseExposition(
      "# HELP dragoman_events_total Events.\n"
      "# TYPE dragoman_events_total counter\n"
      "dragoman_events_total{kind=\"delta\"} 12\n"
      "dragoman_events_total{kind=\"final\",model=\"a\"} 3\n"
      "\n"
      "process_cpu_seconds_total 1.5e-2\r\n"
      "with_time{le=\"+Inf\",} +Inf 1700000000000\n"
      "  spaced { a = \"b\" , c=\"d\" }  -4  \n"
      "last NaN");

  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->Sum("dragoman_events_total"), 15.0);
  EXPECT_EQ(page->Sum("dragoman_events_total", {{"kind", "delta"}}), 12.0);
  EXPECT_EQ(page->Sum("dragoman_events_total", {{"kind", "final"}, {"model", "a"}}), 3.0);
  EXPECT_EQ(page->Sum("dragoman_events_total", {{"kind", "notice"}}), std::nullopt);
  EXPECT_EQ(page->Sum("dragoman_events"), std::nullopt);
  EXPECT_EQ(page->Sum("process_cpu_seconds_total"), 0.015);
  EXPECT_EQ(page->Sum("with_time"), HUGE_VAL);
  EXPECT_EQ(page->Sum("spaced", {{"c", "d"}}), -4.0);
  EXPECT_TRUE(std::isnan(page->Sum("last").value_or(0.0)));
}

TEST(ExpositionTest, UndoesTheEscapesOfLabels) {
  const auto page = ParseExposition("m{a=\"x\\\"y\\\\z\\n}\",b=\"{1,2}\"} 1\n");

  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->samples().size(), 1u);
  EXPECT_THAT(page->samples()[0].labels, ElementsAre(Pair("a", "x\"y\\z\n}"), Pair("b", "{1,2}")));
}

TEST(ExpositionTest, BrokenLinesAreRefusedWithTheirNumber) {
  for (const char* line :
       {"1name 3", "name", "name x", "name 1 2 3", "name 1 soon", "name{a=\"b\" 1", "name{a=\"b 1",
        "name{a} 1", "name{a=b} 1", "name{=\"b\"} 1", "name{a=\"\\x\"} 1", "name{a=\"b\\",
        "name{a=\"b\"c=\"d\"} 1", "name{", "{a=\"b\"} 1", "name{,} 1"}) {
    const auto page = ParseExposition(absl::StrCat("good 1\n", line, "\n"));
    EXPECT_EQ(page.status().code(), absl::StatusCode::kInvalidArgument) << line;
    EXPECT_THAT(std::string(page.status().message()), HasSubstr("line 2")) << line;
  }
}

TEST(ExpositionTest, EverySizeHasALimit) {
  ExpositionLimits limits;
  limits.max_bytes = 40;
  limits.max_samples = 2;
  limits.max_labels = 1;

  EXPECT_TRUE(ParseExposition("a{x=\"1\"} 1\nb 2\n", limits).ok());
  for (const std::string& text : {std::string("a 1\nb 2\nc 3\n"),
                                  std::string("a{x=\"1\",y=\"2\"} 1\n"), std::string(41, '\n')}) {
    EXPECT_EQ(ParseExposition(text, limits).status().code(), absl::StatusCode::kResourceExhausted)
        << text;
  }
}

// Every cut of a good page is read or refused, and reads no bytes beyond it (asan).
TEST(ExpositionTest, AnyCutIsReadOrRefused) {
  const std::string text = "m{a=\"x\\\"y\",b=\"z\"} 1.5 7\nn 2\n";
  for (size_t size = 0; size <= text.size(); ++size) {
    const std::string cut = text.substr(0, size);
    const auto page = ParseExposition(cut);
    EXPECT_LE(page.ok() ? page->samples().size() : 0u, 2u) << cut;
  }
}

}  // namespace
}  // namespace dragoman::client
