#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/status_macros.h"
#include "model/cli/commands.h"
#include "model/cli/open_model.h"
#include "model/corpus/corpus_reader.h"
#include "model/corpus/prepare.h"
#include "model/evaluate/logit_agreement.h"
#include "model/package/model_package.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {
namespace {

struct CompareFlags {
  std::string model, backend = "native", weights = "int8", kv, pairs;
  int threads = 0;
  size_t limit = 200;
  bool causal = false, json = false;
  std::string tokens;
};

// A pair as the tokens of its two sides, the target given.
struct PairTokens {
  std::vector<TokenId> side_a, side_b;
};

// Logits of the target rows of one pair, read as a whole.
absl::Status ForcedLogits(Backbone* backbone, const StreamLayout& layout, const PairTokens& tokens,
                          StepOutput* output) {
  const std::vector<TokenId>&side_a = tokens.side_a, &side_b = tokens.side_b;
  StepBatch batch;
  const auto add = [&batch](TokenId token, StreamId stream, Side side, int32_t position,
                            int32_t visible) {
    batch.rows.push_back({token, stream, side, position, visible, side == Side::kTarget});
  };
  const auto source_rows = static_cast<int32_t>(side_a.size());
  const auto prompt_rows = static_cast<int32_t>(layout.prompt.size());
  DRAGOMAN_ASSIGN_OR_RETURN(
      const StreamId stream,
      backbone->Open(source_rows, static_cast<int32_t>(side_b.size()), layout.phi));
  absl::Status status = backbone->SetPrompt(stream, prompt_rows);
  if (status.ok()) {
    for (int32_t i = 0; i < source_rows; ++i) add(side_a[i], stream, Side::kSource, i, -1);
    for (int32_t i = 0; i < static_cast<int32_t>(side_b.size()); ++i) {
      add(side_b[i], stream, Side::kTarget, layout.phi + i, source_rows - prompt_rows);
    }
    status = backbone->Forward(batch, output);
  }
  DRAGOMAN_RETURN_IF_ERROR(backbone->Close(stream));
  return status;
}

// Logits of all rows of a pair as an ordinary causal language model reads it: one sequence, one
// count of positions. Other engines can compute this, groups of positions they cannot.
absl::Status CausalLogits(Backbone* backbone, const PairTokens& tokens, StepOutput* output) {
  std::vector<TokenId> sequence = tokens.side_a;
  sequence.insert(sequence.end(), tokens.side_b.begin(), tokens.side_b.end());
  const auto rows = static_cast<int32_t>(sequence.size());
  DRAGOMAN_ASSIGN_OR_RETURN(const StreamId stream, backbone->Open(rows, 1, 0));
  StepBatch batch;
  for (int32_t i = 0; i < rows; ++i) {
    batch.rows.push_back({sequence[i], stream, Side::kSource, i, -1, true});
  }
  const absl::Status status = backbone->Forward(batch, output);
  DRAGOMAN_RETURN_IF_ERROR(backbone->Close(stream));
  return status;
}

absl::Status WriteTokens(const std::string& path, const std::vector<PairTokens>& pairs) {
  std::string text;
  for (const PairTokens& pair : pairs) {
    for (const auto* side : {&pair.side_a, &pair.side_b}) {
      for (const TokenId token : *side) absl::StrAppend(&text, token, " ");
    }
    text.back() = '\n';
  }
  return WriteFileAtomically(path, text);
}

absl::Status RunCompare(const CompareFlags& flags) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<ModelPackage> package,
                            ModelPackage::Load(flags.model));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, LoadTokenizer(flags.model));
  const int32_t limit = package->manifest().max_positions;
  BackendOptions options;
  options.num_threads = flags.threads;
  options.max_pages = PagesForSlots(1, limit, limit);
  options.kv = KvType::kFloat32;
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Backbone> reference,
                            MakeBackbone("native", *package, options));
  options.kv = flags.kv.empty() ? std::nullopt : ParseKvType(flags.kv);
  if (!flags.weights.empty()) options.weights = ParseWeightType(flags.weights);
  if (flags.backend == "torch") {
    options.weights.reset();
    options.kv.reset();
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::unique_ptr<Backbone> other,
                            MakeBackbone(flags.backend, *package, options));

  std::vector<SentencePair> pairs;
  DRAGOMAN_RETURN_IF_ERROR(
      ReadPairs(flags.pairs, package->manifest().source_language, [&](const SentencePair& pair) {
        if (flags.limit == 0 || pairs.size() < flags.limit) pairs.push_back(pair);
      }));
  LogitAgreement agreement;
  size_t skipped = 0;
  std::vector<PairTokens> compared;
  for (const SentencePair& pair : pairs) {
    DRAGOMAN_ASSIGN_OR_RETURN(
        const StreamLayout layout,
        package->Layout(package->manifest().source_language, pair.target_language));
    PairTokens tokens{layout.prompt, layout.target_header};
    std::vector<TokenId> source, target;
    std::vector<uint16_t> words;
    const bool encoded = EncodeWords(*tokenizer, pair.source, &source, &words) &&
                         EncodeWords(*tokenizer, pair.target, &target, &words);
    tokens.side_a.insert(tokens.side_a.end(), source.begin(), source.end());
    tokens.side_a.insert(tokens.side_a.end(), layout.source_end.begin(), layout.source_end.end());
    tokens.side_b.insert(tokens.side_b.end(), target.begin(), target.end());
    const size_t longest = flags.causal
                               ? tokens.side_a.size() + tokens.side_b.size()
                               : std::max(tokens.side_a.size(),
                                          static_cast<size_t>(layout.phi) + tokens.side_b.size());
    if (!encoded || longest > static_cast<size_t>(limit)) {
      ++skipped;
      continue;
    }
    const auto logits = [&](Backbone* backbone, StepOutput* output) {
      return flags.causal ? CausalLogits(backbone, tokens, output)
                          : ForcedLogits(backbone, layout, tokens, output);
    };
    StepOutput wanted, got;
    DRAGOMAN_RETURN_IF_ERROR(logits(reference.get(), &wanted));
    DRAGOMAN_RETURN_IF_ERROR(logits(other.get(), &got));
    compared.push_back(std::move(tokens));
    const auto vocab = static_cast<size_t>(wanted.vocab_size);
    for (size_t row = 0; row < wanted.num_rows(); ++row) {
      agreement.Add({wanted.row(row), vocab}, {got.row(row), vocab});
    }
  }
  if (agreement.rows() == 0) return absl::InvalidArgumentError("no pair of the file fits");
  if (!flags.tokens.empty()) DRAGOMAN_RETURN_IF_ERROR(WriteTokens(flags.tokens, compared));
  if (flags.json) {
    Json json = ToJson(agreement);
    json["model"] = package->manifest().name;
    json["reference"] = reference->description();
    json["backend"] = other->description();
    json["pairs"] = pairs.size() - skipped;
    json["skipped"] = skipped;
    std::printf("%s\n", DumpJson(json, 2).c_str());
    return absl::OkStatus();
  }
  std::printf("%s against %s, %lld rows of %zu pairs (%zu too long)\n",
              other->description().c_str(), reference->description().c_str(),
              static_cast<long long>(agreement.rows()), pairs.size() - skipped, skipped);
  std::printf("KL %.2e (worst row %.2e)  argmax agreement %.2f %%  cosine %.6f  error %.3f %%\n",
              agreement.kl(), agreement.worst_kl(), 100.0 * agreement.argmax_agreement(),
              agreement.cosine(), 100.0 * agreement.relative_error());
  return absl::OkStatus();
}

}  // namespace

void AddCompareCommand(CLI::App* app, CommandBody* body) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command = app->add_subcommand(
      "compare", "How far the logits of another weight format or backend are from the exact ones");
  command->add_option("--model", flags->model, "Model package")->required();
  command->add_option("--pairs", flags->pairs, "Sentence pairs (TSV, may be .xz or .gz)")
      ->required();
  command->add_option("--backend", flags->backend, "native or torch")->capture_default_str();
  command->add_option("--weights", flags->weights, "fp32, bf16, int8 or int4")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16", "int8", "int4"}));
  command->add_option("--kv", flags->kv, "fp32 or fp16; left out: what the backend takes by itself")
      ->check(CLI::IsMember({"fp32", "fp16"}));
  command->add_option("--threads", flags->threads, "0: the backend's choice")
      ->capture_default_str();
  command->add_option("--limit", flags->limit, "First pairs of the file; 0: all")
      ->capture_default_str();
  command->add_flag("--causal", flags->causal,
                    "Read each pair as one ordinary sequence, as other engines can");
  command->add_option("--tokens", flags->tokens,
                      "Write the token ids of the pairs to this file, a line each");
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  command->callback([flags, body] { *body = [flags] { return RunCompare(*flags); }; });
}

}  // namespace dragoman::model
