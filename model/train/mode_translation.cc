#include "model/train/mode_translation.h"

#include "base/status_macros.h"
#include "model/corpus/prepare.h"
#include "model/engine/token_traits.h"
#include "model/tokenizer/detokenizer.h"
#include "model/torch/device.h"
#include "model/torch/torch_guard.h"
#include "model/torch/weights.h"
#include "model/train/mode_decoder.h"
#include "torch/torch.h"

namespace dragoman::model {
absl::StatusOr<std::vector<ModeTranslation>> TranslateUnderMode(
    const ModelPackage& package, const Tokenizer& tokenizer, const std::string& target_language,
    const std::vector<std::string>& lines, const ModeTranslationOptions& options) {
  DRAGOMAN_ASSIGN_OR_RETURN(const StreamLayout layout,
                            package.Layout(package.manifest().source_language, target_language));
  if (options.threads > 0) at::set_num_threads(options.threads);
  std::vector<ModeSentence> sentences(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!EncodeWords(tokenizer, lines[i], &sentences[i].tokens, &sentences[i].words)) {
      sentences[i] = {};
    }
  }
  ModeDecodeOptions decode;
  decode.mode = options.mode;
  decode.positions = options.positions;
  decode.k = options.k;
  decode.bfloat16_products = options.bfloat16;
  decode.batch_sentences = options.batch_sentences;
  decode.progress = options.progress;
  const TokenTraits traits =
      MakeTokenTraits(tokenizer, package.config().vocab_size, layout.end_of_target);
  TransformerWeights weights;
  DRAGOMAN_RETURN_IF_ERROR(GuardTorch("loading weights", [&]() -> absl::Status {
    DRAGOMAN_ASSIGN_OR_RETURN(const torch::Device device, ParseDevice(options.device));
    DRAGOMAN_ASSIGN_OR_RETURN(weights, LoadWeights(package, torch::kFloat32, device));
    return absl::OkStatus();
  }));
  DRAGOMAN_ASSIGN_OR_RETURN(
      const std::vector<ModeHypothesis> hypotheses,
      DecodeModes(package.config(), weights, traits, layout, sentences, decode));
  std::vector<ModeTranslation> translations(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    const ModeHypothesis& hypothesis = hypotheses[i];
    ModeTranslation& translation = translations[i];
    TranslatedLine& line = translation.line;
    Detokenizer detokenizer(&tokenizer);
    line.text = detokenizer.Push(hypothesis.tokens);
    line.text += detokenizer.Finish();
    line.tokens = hypothesis.tokens;
    line.delays = hypothesis.delays;
    line.source_words = static_cast<int64_t>(sentences[i].words.size());
    line.source_tokens = static_cast<int64_t>(sentences[i].tokens.size());
    line.segments = sentences[i].tokens.empty() ? 0 : 1;
    line.decode_rows = hypothesis.target_rows;
    line.probe_rows = hypothesis.probe_rows;
    line.eos_waits = hypothesis.eos_waits;
    line.guards = hypothesis.guarded;
    translation.source_rows = hypothesis.source_rows;
    translation.rotated_rows = hypothesis.rotated_rows;
  }
  return translations;
}

}  // namespace dragoman::model
