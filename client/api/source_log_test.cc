#include "client/api/source_log.h"

#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

// What would be sent from here on: text joined, marks as "<F1>" and "<E1>".
std::string Rest(SourceLog* log) {
  std::string rest;
  while (const SourceLog::Entry* entry = log->Next()) {
    if (entry->kind == SourceLog::Entry::Kind::kText) {
      rest += entry->text;
    } else {
      rest += entry->kind == SourceLog::Entry::Kind::kFlush ? "<F" : "<E";
      rest += std::to_string(entry->id) + ">";
    }
    log->Sent();
  }
  return rest;
}

TEST(SourceLogTest, SendsAgainWhatHasNoFinal) {
  SourceLog log;
  log.AppendText("One two. ");
  log.AppendText("Three four");
  EXPECT_EQ(Rest(&log), "One two. Three four");

  log.Confirm(8);
  log.Rewind();
  EXPECT_EQ(log.confirmed_bytes(), 8u);
  EXPECT_EQ(Rest(&log), " Three four");
}

TEST(SourceLogTest, MarksStayUntilTheyAreAnswered) {
  SourceLog log;
  log.AppendText("One ");
  log.AppendFlush(1);
  log.AppendText("two");
  log.AppendEndSegment(7);
  log.AppendText("three ");
  log.AppendFlush(2);
  EXPECT_EQ(Rest(&log), "One <F1>two<E7>three <F2>");

  log.Confirm(7);
  log.Answer(7);
  log.Rewind();
  EXPECT_EQ(Rest(&log), "<F1>three <F2>");
  log.Answer(1);
  log.Rewind();
  EXPECT_EQ(Rest(&log), "three <F2>");
}

TEST(SourceLogTest, WhatWasNotSentIsNeverLost) {
  SourceLog log;
  log.AppendText("One. ");
  log.AppendText("Two. ");
  log.Sent();
  EXPECT_EQ(log.unsent_bytes(), 5u);
  log.Confirm(4);
  EXPECT_EQ(Rest(&log), "Two. ");
  log.Rewind();
  EXPECT_EQ(Rest(&log), " Two. ");
}

TEST(SourceLogTest, OnlyBlanksAreNoOpenSegment) {
  SourceLog log;
  EXPECT_FALSE(log.open());
  log.AppendText("One. ");
  EXPECT_FALSE(log.open());  // not sent
  log.Sent();
  EXPECT_TRUE(log.open());
  log.Confirm(4);
  EXPECT_FALSE(log.open());
}

TEST(SourceLogTest, LongTextIsCutAtCodePoints) {
  SourceLog log;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "ä";
  log.AppendText(text);
  std::string all;
  while (const SourceLog::Entry* entry = log.Next()) {
    EXPECT_EQ(entry->text.size() % 2, 0u);
    all += entry->text;
    log.Sent();
  }
  EXPECT_EQ(all, text);
}

}  // namespace
}  // namespace dragoman::client
