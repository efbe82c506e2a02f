#include "model/tokenizer/detokenizer.h"

#include "model/tokenizer/unicode_text.h"

namespace dragoman::model {

void Detokenizer::TakeCompleteBytes(State* state, std::string* out) const {
  std::string_view rest = state->held;
  while (!rest.empty()) {
    const Utf8Step step = ReadUtf8Step(rest);
    if (step.kind == Utf8Step::Kind::kIncomplete) break;
    if (step.kind == Utf8Step::Kind::kComplete) {
      out->append(rest.substr(0, step.length));
      rest.remove_prefix(step.length);
    } else {
      out->append(kReplacementCharacter);
      rest.remove_prefix(rules_.replace_each_byte ? 1 : step.length);
    }
  }
  state->held = std::string(rest);
}

void Detokenizer::FlushBytes(State* state, std::string* out) const {
  // After TakeCompleteBytes the rest is the beginning of one sequence.
  const size_t marks = rules_.replace_each_byte ? state->held.size() : !state->held.empty();
  for (size_t i = 0; i < marks; ++i) out->append(kReplacementCharacter);
  state->held.clear();
}

void Detokenizer::Advance(std::span<const TokenId> tokens, State* state, std::string* out) const {
  using LeadingBlank = DecodingRules::LeadingBlank;
  for (const TokenId token : tokens) {
    std::string_view bytes = tokenizer_->TokenBytes(token);
    const bool raw = rules_.join_bytes_across_tokens || tokenizer_->IsByte(token);
    if (!raw) FlushBytes(state, out);
    if (state->at_start && rules_.leading_blank != LeadingBlank::kKeep &&
        tokenizer_->StartsWord(token) && bytes.starts_with(' ')) {
      bytes.remove_prefix(1);
      if (rules_.leading_blank == LeadingBlank::kDropOne) state->at_start = false;
    }
    if (bytes.empty()) continue;
    state->at_start = false;
    if (raw) {
      state->held.append(bytes);
      TakeCompleteBytes(state, out);
    } else {
      out->append(bytes);
    }
  }
}

std::string Detokenizer::Push(std::span<const TokenId> tokens) {
  std::string text;
  Advance(tokens, &state_, &text);
  return text;
}

std::string Detokenizer::Finish() {
  std::string text;
  FlushBytes(&state_, &text);
  state_ = State{};
  return text;
}

std::string Detokenizer::Peek(std::span<const TokenId> tokens) const {
  State state = state_;
  std::string text;
  Advance(tokens, &state, &text);
  return text;
}

}  // namespace dragoman::model
