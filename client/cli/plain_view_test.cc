#include "client/cli/plain_view.h"

#include "base/json.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

v1::StreamEvent Delta(const std::string& stable, const std::string& unstable = "") {
  v1::StreamEvent event;
  event.set_seq(2);
  event.mutable_delta()->set_stable(stable);
  event.mutable_delta()->set_unstable(unstable);
  return event;
}

v1::StreamEvent Final(const std::string& text) {
  v1::StreamEvent event;
  event.mutable_segment_final()->set_text(text);
  return event;
}

TEST(PlainViewTest, FinalsAreOneLineEachAndNothingElse) {
  FinalsView view;

  EXPECT_EQ(view.OnSource("The cats", {}), "");
  EXPECT_EQ(view.OnEvent(Delta("Die", " Katze"), {}), "");
  EXPECT_EQ(view.OnEvent(Final("Die\nKatzen \x1b[2J"), {}), "Die Katzen [2J\n");
  EXPECT_EQ(view.OnEvent(Final(""), {}), "\n");
  EXPECT_EQ(view.OnEnd(), "");
}

TEST(PlainViewTest, GrowingTextOnlyAppends) {
  GrowingView view;
  std::string out;
  out += view.OnEvent(Delta("Die", " Ka"), {});
  out += view.OnEvent(Delta("", " Katze"), {});
  out += view.OnEvent(Delta(" Katzen"), {});
  out += view.OnEvent(Final("Die Katzen"), {});
  out += view.OnEvent(Delta("Ja"), {});
  out += view.OnEnd();

  EXPECT_EQ(out, "Die Katzen\nJa\n");
}

TEST(PlainViewTest, JsonLinesHoldOneParsableEventEach) {
  JsonLinesView view;

  const std::string line = view.OnEvent(Delta("two\nlines \"quoted\" \x1b[2J"), {});

  ASSERT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  const auto json = ParseJson(line);
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ((*json)["seq"], 2);
  EXPECT_EQ((*json)["delta"]["stable"], "two\nlines \"quoted\" \x1b[2J");
}

}  // namespace
}  // namespace dragoman::client
