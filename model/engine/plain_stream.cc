#include "model/engine/plain_stream.h"

#include "base/check.h"

namespace dragoman::model {

PlainStream::PlainStream(const TestModel& model)
    : model_(model), backbone_(model.make_backbone(256)) {
  batch_.attention_heads = model.attention_heads;
  const auto rows = static_cast<int32_t>(backbone_->config().max_positions);
  const auto opened = backbone_->Open(rows, rows - model.layout.phi, model.layout.phi);
  DRAGOMAN_CHECK(opened.ok());
  stream_ = *opened;
  const auto prompt = static_cast<int32_t>(model.layout.prompt.size());
  DRAGOMAN_CHECK(backbone_->SetPrompt(stream_, prompt).ok());
  for (const TokenId token : model.layout.prompt) FeedSource(token);
}

void PlainStream::FeedSource(TokenId token) {
  Feed({.token = token, .stream = stream_, .side = Side::kSource, .position = source_rows_});
  ++source_rows_;
}

void PlainStream::FeedTarget(TokenId token, int32_t src_vis) {
  Feed({.token = token,
        .stream = stream_,
        .side = Side::kTarget,
        .position = model_.layout.phi + target_rows_,
        .src_vis = src_vis,
        .want_logits = true,
        .want_attention = !model_.attention_heads.empty()});
  ++target_rows_;
}

void PlainStream::DropTargetRow() {
  --target_rows_;
  DRAGOMAN_CHECK(backbone_->Truncate(stream_, Side::kTarget, target_rows_).ok());
}

TokenId PlainStream::Choose(bool lock) const {
  TokenId best = -1;
  for (TokenId id = 0; id < static_cast<TokenId>(output_.vocab_size); ++id) {
    if (model_.traits.IsSuppressed(id)) continue;
    if (lock && !model_.traits.IsWordStart(id) && id != model_.layout.end_of_target) continue;
    if (best < 0 || output_.row(0)[id] > output_.row(0)[best]) best = id;
  }
  return best;
}

void PlainStream::Feed(const StepRow& row) {
  batch_.rows.assign(1, row);
  const absl::Status status = backbone_->Forward(batch_, &output_);
  DRAGOMAN_CHECK_MSG(status.ok(), std::string(status.message()));
}

RandomStream CaseRandom(const char* purpose, int number) {
  return RandomStream(kPropertySeed, purpose, 0, static_cast<uint64_t>(number));
}

std::vector<SourceWord> OneSegment(const TestModel& model, int words, RandomStream* random) {
  return WordsOf(RandomSource(model.traits, {.words = words, .cut_probability = 0.0}, random));
}

EngineOptions RandomBudget(RandomStream* random) {
  EngineOptions options = EngineHarness::SmallOptions();
  const size_t rows[] = {1, 2, 3, 5, 16, 512};
  options.max_batch_rows = rows[random->NextBelow(6)];
  options.max_source_rows = 1 + random->NextBelow(options.max_batch_rows);
  return options;
}

StopLimits LimitsOf(const EngineOptions& options) {
  return {.max_word_tokens = options.max_word_tokens,
          .max_words_ahead = options.max_words_ahead,
          .target_slack_tokens = options.target_slack_tokens};
}

std::string DescribeWord(int64_t segment, int64_t word, const std::vector<TokenId>& tokens,
                         int64_t read) {
  std::string line = absl::StrCat(segment, ".", word, ":");
  for (const TokenId token : tokens) absl::StrAppend(&line, " ", token);
  return absl::StrCat(line, " @", read);
}

std::vector<std::string> DescribeWordsWithDelays(const std::vector<SequenceEvent>& events) {
  std::vector<std::string> lines;
  for (const SequenceEvent& event : events) {
    if (const auto* word = std::get_if<WordCommitted>(&event)) {
      lines.push_back(
          DescribeWord(word->segment, word->word, word->tokens, word->source_words_read));
    }
  }
  return lines;
}

}  // namespace dragoman::model
