// What the client knows about counters that a server keeps: exact where the server told the client
// or the client did it itself, a range where a session broke off.
#pragma once

#include <cstdint>
#include <limits>

namespace dragoman::client {

// A number that lies in [least, most].
struct CountRange {
  static constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

  uint64_t least = 0;
  uint64_t most = 0;

  void AddExactly(uint64_t count) { Add(count, count); }
  void AddAtLeast(uint64_t count) { Add(count, kUnlimited); }
  void Add(uint64_t at_least, uint64_t at_most) {
    least += at_least;
    most = most == kUnlimited || at_most == kUnlimited ? kUnlimited : most + at_most;
  }
  void Add(const CountRange& other) { Add(other.least, other.most); }
};

struct RunCounts {
  CountRange calls;         // StreamTranslate calls that reached the server
  CountRange completed;     // of them with status OK
  CountRange sessions;      // calls that became a session, ended in any way
  CountRange chunks;        // text messages
  CountRange source_bytes;  // in them
  CountRange source_words;
  CountRange target_words;
  CountRange segments;
  CountRange events;
  CountRange final_bytes;  // text of the finals

  void Add(const RunCounts& other);
};

inline void RunCounts::Add(const RunCounts& other) {
  calls.Add(other.calls);
  completed.Add(other.completed);
  sessions.Add(other.sessions);
  chunks.Add(other.chunks);
  source_bytes.Add(other.source_bytes);
  source_words.Add(other.source_words);
  target_words.Add(other.target_words);
  segments.Add(other.segments);
  events.Add(other.events);
  final_bytes.Add(other.final_bytes);
}

}  // namespace dragoman::client
