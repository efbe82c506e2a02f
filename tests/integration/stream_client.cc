#include "tests/integration/stream_client.h"

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <set>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/strings.h"
#include "gtest/gtest.h"
#include "proto/google/rpc/error.pb.h"
#include "server/rpc/policy_message.h"

namespace dragoman::testing {

v1::StreamConfig MakeConfig(const std::string& policy) {
  v1::StreamConfig config;
  config.set_source_language("en");
  config.add_target_languages("de");
  config.mutable_text_input();
  uint32_t k = 0;
  if (policy == "sentence") {
    config.mutable_sentence();
  } else if (policy.rfind("wait-k:", 0) == 0 && absl::SimpleAtoi(policy.substr(7), &k)) {
    config.mutable_wait_k()->set_k(k);
  } else if (!policy.empty()) {
    server::WritePolicy(policy, &config);
  }
  return config;
}

v1::StreamRequest TextRequest(const std::string& text) {
  v1::StreamRequest request;
  request.mutable_text()->set_text(text);
  return request;
}
v1::StreamRequest FlushRequest(uint32_t id) {
  v1::StreamRequest request;
  request.mutable_flush()->set_id(id);
  return request;
}
v1::StreamRequest EndSegmentRequest(uint32_t id) {
  v1::StreamRequest request;
  request.mutable_end_segment()->set_id(id);
  return request;
}
v1::StreamRequest AckRequest(uint32_t seq) {
  v1::StreamRequest request;
  request.mutable_ack()->set_seq(seq);
  return request;
}

ErrorDetails DetailsOf(const grpc::Status& status) {
  ErrorDetails details;
  google::rpc::Status message;
  if (!message.ParseFromString(status.error_details())) return details;
  for (const auto& any : message.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&info)) {
      details.domain = info.domain();
      details.reason = info.reason();
      details.metadata = {info.metadata().begin(), info.metadata().end()};
    } else if (any.UnpackTo(&retry)) {
      details.has_retry = true;
    }
  }
  return details;
}

StreamClient::StreamClient(v1::Interpreter::Stub* stub) {
  stream_ = stub->StreamTranslate(&context_);
}

StreamClient::StreamClient(v1::Interpreter::Stub* stub, const v1::StreamConfig& config,
                           const std::string& authorization) {
  if (!authorization.empty()) context_.AddMetadata("authorization", authorization);
  stream_ = stub->StreamTranslate(&context_);
  v1::StreamRequest request;
  *request.mutable_config() = config;
  Write(request);
}

StreamClient::~StreamClient() {
  if (finished_) return;
  Cancel();
  Finish();
}

bool StreamClient::Read(v1::StreamEvent* event) {
  if (!stream_->Read(event)) return false;
  events_.push_back(*event);
  return true;
}

v1::StreamEvent StreamClient::ReadUntil(const std::function<bool(const v1::StreamEvent&)>& wanted) {
  v1::StreamEvent event;
  while (Read(&event)) {
    if (wanted(event)) return event;
  }
  ADD_FAILURE() << "the stream ended before the event that was waited for";
  return {};
}

grpc::Status StreamClient::Finish() {
  v1::StreamEvent event;
  while (Read(&event)) {
  }
  finished_ = true;
  return stream_->Finish();
}

std::vector<std::string> SessionResult::finals() const {
  std::vector<std::string> texts;
  for (const v1::StreamEvent& event : events) {
    if (event.has_segment_final()) texts.push_back(event.segment_final().text());
  }
  return texts;
}

SessionResult RunSession(v1::Interpreter::Stub* stub, const v1::StreamConfig& config,
                         const std::vector<v1::StreamRequest>& requests, bool half_close) {
  StreamClient client(stub, config);
  size_t bytes = 0;
  for (const v1::StreamRequest& request : requests) bytes += request.ByteSizeLong();
  // Below, everything fits in the windows and buffers of both sides and no second thread is needed.
  constexpr size_t kSmall = 16384;
  std::thread reader;
  SessionResult result;
  if (bytes > kSmall) reader = std::thread([&] { result.status = client.Finish(); });
  for (const v1::StreamRequest& request : requests) {
    if (!client.Write(request)) break;
  }
  if (half_close) client.HalfClose();
  if (reader.joinable()) {
    reader.join();
  } else {
    result.status = client.Finish();
  }
  result.events = client.events();
  return result;
}

namespace {

bool SamePosition(const v1::SourcePosition& a, const v1::SourcePosition& b) {
  return a.bytes() == b.bytes() && a.words() == b.words() && a.tokens() == b.tokens();
}

// Follows one session event by event; `error` is set by the first broken promise.
class Follower {
 public:
  Follower(const v1::StreamConfig& config, const v1::StreamConfig& effective)
      : tail_allowed_(config.output().unstable_tail()), effective_(effective) {}

  std::string Follow(const v1::StreamEvent& event) {
    if (event.seq() != ++seq_) return "seq has a gap";
    if (event.time_ms() < time_ms_) return "time_ms fell";
    if (ended_) return "an event after SessionEnded";
    time_ms_ = event.time_ms();
    if (seq_ == 1 && !event.has_started()) return "the first event is not SessionStarted";
    if (event.has_delta()) return OnDelta(event.delta());
    if (event.has_segment_final()) return OnFinal(event.segment_final());
    if (event.has_flush_done()) ++answers_[event.flush_done().id()];
    if (event.has_ended()) return OnEnded(event.ended());
    return "";
  }

  bool ended() const { return ended_; }
  const v1::SessionEnded& last() const { return last_; }
  std::map<uint32_t, int>& answers() { return answers_; }

 private:
  std::string OnDelta(const v1::TextDelta& delta) {
    if (delta.track() != 1) return "unknown track";
    if (delta.segment() != finals_ + 1) return "delta of a segment that is not the open one";
    if (delta.stable_offset() != text_.size()) return "stable_offset is not the length before";
    if (!tail_allowed_ && !delta.unstable().empty())
      return "an unstable tail that nobody asked for";
    if (!IsValidUtf8(delta.stable()) || !IsValidUtf8(delta.unstable())) return "broken UTF-8";
    if (delta.read().words() < read_words_) return "read position fell";
    read_words_ = delta.read().words();
    text_ += delta.stable();
    for (const v1::WordStamp& stamp : delta.words()) {
      if (stamp.begin() < stamp_end_ || stamp.end() < stamp.begin() || stamp.end() > text_.size()) {
        return "word stamp outside the stable text";
      }
      stamp_end_ = stamp.end();
      ++delta_words_;
      if (stamp.emit_ms() > time_ms_) return "a word was emitted after its event";
    }
    return "";
  }

  std::string OnFinal(const v1::SegmentFinal& final_event) {
    if (final_event.segment() != finals_ + 1) return "finals are not in order";
    if (final_event.text() != text_) return "the final is not what the deltas said";
    if (final_event.reason() == v1::FINAL_REASON_UNSPECIFIED) return "a final without reason";
    if (!SamePosition(final_event.source_begin(), source_end_)) return "source spans have a gap";
    if (final_event.source_end().words() < final_event.source_begin().words()) return "span falls";
    if (final_event.words_size() != delta_words_) return "stamps of final and deltas differ";
    if (final_event.reason() == v1::FINAL_CLIENT) ++answers_[final_event.client_id()];
    source_end_ = final_event.source_end();
    target_words_ += static_cast<uint32_t>(final_event.words_size());
    const v1::ComputeStats& stats = final_event.stats();
    sums_.set_source_tokens(sums_.source_tokens() + stats.source_tokens());
    sums_.set_target_tokens(sums_.target_tokens() + stats.target_tokens());
    sums_.set_decode_steps(sums_.decode_steps() + stats.decode_steps());
    sums_.set_compute_ms(sums_.compute_ms() + stats.compute_ms());
    sums_.set_tail_rewrites(sums_.tail_rewrites() + stats.tail_rewrites());
    ++finals_;
    text_.clear();
    stamp_end_ = 0;
    delta_words_ = 0;
    return "";
  }

  std::string OnEnded(const v1::SessionEnded& ended) {
    ended_ = true;
    last_ = ended;
    if (!text_.empty()) return "an opened segment has no final";
    const v1::Usage& usage = ended.usage();
    if (usage.events() != seq_) return "usage.events is not the number of events";
    if (usage.segments() != finals_) return "usage.segments is not the number of finals";
    if (usage.source_words() != ended.source_received().words()) return "usage.source_words";
    if (effective_.output().word_stamps() && usage.target_words() != target_words_) {
      return "usage.target_words is not the number of stamps";
    }
    if (effective_.output().model_stats()) {
      const v1::ComputeStats& compute = usage.compute();
      if (compute.source_tokens() != sums_.source_tokens() ||
          compute.target_tokens() != sums_.target_tokens() ||
          usage.target_tokens() != sums_.target_tokens() ||
          compute.decode_steps() != sums_.decode_steps() ||
          compute.compute_ms() != sums_.compute_ms() ||
          compute.tail_rewrites() != sums_.tail_rewrites()) {
        return "usage.compute is not the sum over the finals";
      }
    }
    return "";
  }

  const bool tail_allowed_;
  const v1::StreamConfig& effective_;
  uint32_t seq_ = 0;
  uint32_t time_ms_ = 0;
  uint32_t finals_ = 0;
  uint32_t read_words_ = 0;
  uint32_t target_words_ = 0;
  int delta_words_ = 0;
  uint32_t stamp_end_ = 0;
  std::string text_;
  v1::SourcePosition source_end_;
  v1::ComputeStats sums_;
  std::map<uint32_t, int> answers_;
  bool ended_ = false;
  v1::SessionEnded last_;
};

}  // namespace

std::string BrokenInvariant(const v1::StreamConfig& config,
                            const std::vector<v1::StreamRequest>& requests,
                            const SessionResult& result, bool half_closed) {
  if (result.events.empty()) return "no event";
  Follower follower(config, result.effective());
  for (const v1::StreamEvent& event : result.events) {
    const std::string broken = follower.Follow(event);
    if (!broken.empty()) return absl::StrCat(broken, " at ", event.ShortDebugString());
  }
  if (!follower.ended()) return "no SessionEnded";
  const v1::SessionEnded& ended = follower.last();
  const bool complete =
      half_closed && SamePosition(ended.source_received(), ended.source_translated());
  if (result.status.ok() != complete) return "status OK and complete do not go together";
  if (result.status.ok() != (ended.reason() == v1::END_COMPLETE)) return "reason does not fit";
  if (!result.status.ok()) return "";
  size_t bytes = 0;
  std::map<uint32_t, int> asked;
  for (const v1::StreamRequest& request : requests) {
    bytes += request.text().text().size();
    if (request.has_flush()) ++asked[request.flush().id()];
    if (request.has_end_segment()) ++asked[request.end_segment().id()];
  }
  if (ended.source_received().bytes() != bytes) return "source_received misses bytes";
  if (asked != follower.answers()) return "a flush or end_segment has not exactly one answer";
  return "";
}

std::vector<std::string> CodePoints(const std::string& text) {
  std::vector<std::string> result;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t length = std::max<size_t>(Utf8SequenceLength(rest), 1);
    result.emplace_back(rest.substr(0, length));
    rest.remove_prefix(length);
  }
  return result;
}

std::string RandomText(RandomStream* random, size_t words) {
  static const std::vector<std::string> kLetters = CodePoints(
      "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzABCDEFGHJKäöüßéñçœøåžřђжщцлδωשלחا中文か"
      "な0123456789-'😀");
  static const std::vector<std::string> kEnds = {".", "!",  "?",   "…",   ",", ";", ":",
                                                 ")", "\"", ".\"", "...", "“", "”", "z.B."};
  static const std::vector<std::string> kBlanks = {" ", " ",  " ",  " ",  " ",      " ",
                                                   " ", "  ", "\n", "\t", "\u00A0", "\n\n"};
  std::string text;
  for (size_t i = 0; i < words; ++i) {
    const size_t length = 1 + random->NextBelow(9);
    for (size_t j = 0; j < length; ++j) text += kLetters[random->NextBelow(kLetters.size())];
    if (random->NextBelow(6) == 0) text += kEnds[random->NextBelow(kEnds.size())];
    if (i + 1 < words || random->NextBelow(2) == 0) {
      text += kBlanks[random->NextBelow(kBlanks.size())];
    }
  }
  return text;
}

std::vector<v1::StreamRequest> RandomChunks(RandomStream* random, const std::string& text) {
  std::vector<v1::StreamRequest> requests;
  std::string chunk;
  const size_t scale = 1 + random->NextBelow(40);
  size_t left = 1 + random->NextBelow(scale);
  for (const std::string& point : CodePoints(text)) {
    chunk += point;
    if (--left > 0) continue;
    requests.push_back(TextRequest(chunk));
    chunk.clear();
    left = 1 + random->NextBelow(scale);
  }
  if (!chunk.empty()) requests.push_back(TextRequest(chunk));
  return requests;
}

void RunParallel(size_t count, size_t threads, const std::function<void(size_t)>& function) {
  std::atomic<size_t> next{0};
  std::vector<std::thread> pool;
  for (size_t i = 0; i < threads; ++i) {
    pool.emplace_back([&] {
      for (size_t index = next++; index < count; index = next++) function(index);
    });
  }
  for (std::thread& thread : pool) thread.join();
}

uint64_t TestSeed() {
  uint64_t seed = 20261124;
  if (const char* text = std::getenv("DRAGOMAN_TEST_SEED")) {
    if (!absl::SimpleAtoi(text, &seed)) ADD_FAILURE() << "DRAGOMAN_TEST_SEED is no number";
  }
  std::cout << "DRAGOMAN_TEST_SEED=" << seed << std::endl;
  return seed;
}

}  // namespace dragoman::testing
