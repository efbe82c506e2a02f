#include "model/corpus/prepare.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/file.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "model/corpus/augment.h"
#include "model/corpus/corpus_reader.h"
#include "model/tokenizer/streaming_encoder.h"

namespace dragoman::model {
namespace {

uint16_t IndexOf(const std::string& name, std::vector<std::string>* names) {
  const auto it = std::find(names->begin(), names->end(), name);
  if (it != names->end()) return static_cast<uint16_t>(it - names->begin());
  names->push_back(name);
  return static_cast<uint16_t>(names->size() - 1);
}

absl::StatusOr<std::string> CopyTokenizer(const std::string& from, const std::string& to) {
  for (const char* name : {"tokenizer.model", "tokenizer.json"}) {
    std::error_code error;
    if (!std::filesystem::exists(from + "/" + name, error)) continue;
    if (!std::filesystem::equivalent(from, to, error)) {
      std::filesystem::copy_file(from + "/" + name, to + "/" + name,
                                 std::filesystem::copy_options::overwrite_existing, error);
      if (error) return absl::UnavailableError(absl::StrCat(to, "/", name, ": ", error.message()));
    }
    return std::string(name);
  }
  return absl::NotFoundError(absl::StrCat(from, ": has no tokenizer.model or tokenizer.json"));
}

}  // namespace

bool EncodeWords(const Tokenizer& tokenizer, const std::string& text, std::vector<TokenId>* tokens,
                 std::vector<uint16_t>* words) {
  // The same splitter and normalisation as the server's: source ids are equal by construction.
  StreamingEncoderOptions options;
  options.automatic_segments = false;
  options.hard_segment_words = 1u << 20;
  StreamingEncoder encoder(&tokenizer, "en", options);
  std::vector<EncodedWord> encoded;
  encoder.Push(text, &encoded);
  encoder.CompleteWord(&encoded);
  for (const EncodedWord& word : encoded) {
    if (word.tokens.empty() || word.tokens.size() > 65535) return false;
    tokens->insert(tokens->end(), word.tokens.begin(), word.tokens.end());
    words->push_back(static_cast<uint16_t>(word.tokens.size()));
  }
  return !tokens->empty() && tokens->size() <= 65535;
}

absl::StatusOr<ShardManifest> Prepare(const PrepareOptions& options) {
  const auto report = [&](const std::string& text) {
    if (options.progress) options.progress(text);
  };
  std::error_code error;
  if (std::filesystem::exists(options.output + "/manifest.json", error)) {
    return absl::FailedPreconditionError(absl::StrCat(
        options.output, ": holds prepared data already; remove it or choose another folder"));
  }
  std::filesystem::create_directories(options.output, error);
  if (error) return absl::UnavailableError(absl::StrCat(options.output, ": ", error.message()));

  PairFilter filter(options.filter);
  for (const std::string& path : options.exclude) {
    DRAGOMAN_RETURN_IF_ERROR(
        ReadPairs(path, options.source_language,
                  [&](const SentencePair& pair) { filter.Exclude(pair.source); }));
  }
  ShardManifest manifest;
  manifest.source_language = options.source_language;
  std::vector<SentencePair> pairs;
  for (const std::string& path : options.inputs) {
    DRAGOMAN_RETURN_IF_ERROR(ReadPairs(path, options.source_language, [&](SentencePair pair) {
      ++manifest.pairs_read;
      if (filter.Check(pair).empty()) pairs.push_back(std::move(pair));
    }));
    report(absl::StrCat("read ", path, ": ", pairs.size(), " pairs kept of ", manifest.pairs_read));
  }
  if (pairs.empty()) return absl::InvalidArgumentError("no sentence pair is left after filtering");

  if (options.tokenizer_folder.empty()) {
    report(absl::StrCat("training a vocabulary of ", options.vocabulary.vocab_size, " pieces"));
    std::string text;
    for (const SentencePair& pair : pairs)
      absl::StrAppend(&text, pair.source, "\n", pair.target, "\n");
    const std::string text_file = options.output + "/vocabulary.txt";
    DRAGOMAN_RETURN_IF_ERROR(WriteFileAtomically(text_file, text));
    DRAGOMAN_RETURN_IF_ERROR(TrainVocabulary(text_file, options.output, options.vocabulary));
    std::filesystem::remove(text_file, error);
  }
  DRAGOMAN_ASSIGN_OR_RETURN(
      manifest.tokenizer_file,
      CopyTokenizer(options.tokenizer_folder.empty() ? options.output : options.tokenizer_folder,
                    options.output));
  DRAGOMAN_ASSIGN_OR_RETURN(manifest.tokenizer_sha256,
                            Sha256HexOfFile(options.output + "/" + manifest.tokenizer_file));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                            LoadTokenizer(options.output));

  if (options.augment) {
    const size_t given = pairs.size();
    for (size_t i = 0; i < given; ++i) {
      RandomStream random(/*seed=*/1, "augment", 0, i);
      if (std::optional<SentencePair> variant = Augment(pairs[i], &random)) {
        pairs.push_back(*std::move(variant));
      }
    }
    report(absl::StrCat("augmented by ", pairs.size() - given, " pairs"));
  }

  ShardWriter writer(options.output);
  uint64_t unencodable = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const SentencePair& pair = pairs[i];
    Sample sample;
    sample.language = IndexOf(pair.target_language, &manifest.languages);
    sample.corpus = IndexOf(pair.corpus, &manifest.corpora);
    if (EncodeWords(*tokenizer, pair.source, &sample.source, &sample.source_words) &&
        EncodeWords(*tokenizer, pair.target, &sample.target, &sample.target_words)) {
      DRAGOMAN_RETURN_IF_ERROR(writer.Append(sample));
    } else {
      ++unencodable;
    }
    if ((i + 1) % 50000 == 0) report(absl::StrCat("encoded ", i + 1, " of ", pairs.size()));
  }
  manifest.drops = filter.drops();
  if (unencodable > 0) manifest.drops["unencodable"] = unencodable;
  DRAGOMAN_RETURN_IF_ERROR(writer.Finish(manifest));
  return ReadShardManifest(options.output);
}

}  // namespace dragoman::model
