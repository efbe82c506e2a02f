#include "model/tokenizer/word_splitter.h"

#include <utility>

#include "base/strings.h"
#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {
namespace {

constexpr uint32_t kByteOrderMark = 0xFEFF;
constexpr uint32_t kReplacement = 0xFFFD;

}  // namespace

void WordSplitter::CloseWord() {
  done_ = std::exchange(open_, {});
  done_end_ = open_end_;
}

WordSplitter::Event WordSplitter::OnCharacter(uint32_t code_point, std::string_view encoded) {
  const bool first = std::exchange(at_start_, false);
  if (first && code_point == kByteOrderMark) return Event::kNone;
  if (code_point < 0x20 && code_point != '\t' && code_point != '\n') return Event::kNone;
  if (!IsUnicodeWhiteSpace(code_point)) {
    const bool full = !open_.empty() && open_.size() + encoded.size() > max_word_bytes_;
    if (full) CloseWord();
    open_.append(encoded);
    open_end_ = position_;
    return full ? Event::kWord : Event::kNone;
  }
  if (open_.empty()) return code_point == '\n' ? Event::kLineFeed : Event::kNone;
  CloseWord();
  line_feed_follows_ = code_point == '\n';
  return Event::kWord;
}

WordSplitter::Event WordSplitter::Next(std::string_view* bytes) {
  if (std::exchange(line_feed_follows_, false)) return Event::kLineFeed;
  while (!bytes->empty()) {
    Event event = Event::kNone;
    if (tail_.empty() && static_cast<unsigned char>((*bytes)[0]) < 0x80) {
      const std::string_view character = bytes->substr(0, 1);
      bytes->remove_prefix(1);
      ++position_;
      event = OnCharacter(static_cast<unsigned char>(character[0]), character);
    } else {
      tail_.push_back((*bytes)[0]);
      const Utf8Step step = ReadUtf8Step(tail_);
      if (step.kind == Utf8Step::Kind::kBroken && step.length < tail_.size()) {
        // The new byte belongs to the next sequence; it is looked at again.
        tail_.clear();
        event = OnCharacter(kReplacement, kReplacementCharacter);
      } else {
        bytes->remove_prefix(1);
        ++position_;
        if (step.kind == Utf8Step::Kind::kIncomplete) continue;
        const std::string character = std::exchange(tail_, {});
        event = step.kind == Utf8Step::Kind::kComplete
                    ? OnCharacter(DecodeUtf8(character, step.length), character)
                    : OnCharacter(kReplacement, kReplacementCharacter);
      }
    }
    if (event != Event::kNone) return event;
  }
  return Event::kNone;
}

WordSplitter::Event WordSplitter::Complete() {
  // A character that is not finished is a broken one. It can push an open word over its limit, so
  // two words may come: the caller asks until kNone.
  if (!tail_.empty()) {
    tail_.clear();
    const Event event = OnCharacter(kReplacement, kReplacementCharacter);
    if (event != Event::kNone) return event;
  }
  if (open_.empty()) return Event::kNone;
  CloseWord();
  return Event::kWord;
}

std::string WordSplitter::TakeWord() { return NormalizeNfc(std::exchange(done_, {})); }

}  // namespace dragoman::model
