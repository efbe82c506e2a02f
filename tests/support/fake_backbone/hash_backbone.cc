#include "tests/support/fake_backbone/hash_backbone.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "model/api/gate_rule.h"

namespace dragoman::model {
namespace {

ModelConfig MakeConfig(const HashBackboneOptions& options) {
  ModelConfig config;
  config.vocab_size = static_cast<int64_t>(options.traits.flags.size());
  config.hidden_size = 2;
  config.num_layers = 1;
  config.num_heads = 1;
  config.num_kv_heads = 1;
  config.head_dim = 2;
  config.ffn_size = 2;
  config.max_positions = options.max_positions;
  return config;
}

KvCacheOptions MakeCacheOptions(const HashBackboneOptions& options) {
  return {.max_pages = options.max_pages,
          .vocab_size = static_cast<int64_t>(options.traits.flags.size()),
          .max_positions = options.max_positions};
}

double UnitOf(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

}  // namespace

HashBackbone::HashBackbone(HashBackboneOptions options)
    : CachedBackbone(MakeCacheOptions(options)),
      options_(std::move(options)),
      config_(MakeConfig(options_)),
      rows_(options_.max_pages * kPageRows) {
  const auto vocab = static_cast<TokenId>(config_.vocab_size);
  for (TokenId id = 0; id < vocab; ++id) {
    if (id == options_.end_of_target) continue;
    if (options_.traits.IsSuppressed(id)) {
      suppressed_.push_back(id);
    } else if (options_.traits.IsWordStart(id)) {
      word_starts_.push_back(id);
    } else {
      continuations_.push_back(id);
    }
  }
  DRAGOMAN_CHECK(!word_starts_.empty());
  // A row of a page that went back to the pool must never be read: give it a value of its own.
  cache_.SetPageReleased([this](PageId page) {
    for (int32_t slot = 0; slot < kPageRows; ++slot) {
      CachedRow& row = rows_[static_cast<size_t>(page) * kPageRows + slot];
      row.hash = MixBits(row.hash ^ 0xDEAD);
      row.token = -1;
    }
  });
}

HashBackbone::~HashBackbone() = default;

absl::Status HashBackbone::ReadCache(StreamId stream, Side side, int32_t row, int64_t layer,
                                     bool keys, std::vector<float>* out) const {
  DRAGOMAN_ASSIGN_OR_RETURN(const StreamLengths lengths, cache_.Lengths(stream));
  const int32_t length = side == Side::kSource ? lengths.source_side : lengths.target_side;
  if (row < 0 || row >= length || layer != 0) {
    return absl::OutOfRangeError(
        absl::StrCat("row ", row, " of ", length, ", layer ", layer, " of 1"));
  }
  const uint64_t hash = RowAt(stream, side, row).hash;
  *out = {static_cast<float>(hash & 0xFFFFFF), static_cast<float>((hash >> 24) & 0xFFFFFF)};
  return absl::OkStatus();
}

const HashBackbone::CachedRow& HashBackbone::RowAt(StreamId stream, Side side, int32_t row) const {
  const std::span<const PageId> pages = cache_.PageTable(stream, side);
  return rows_[static_cast<size_t>(pages[row / kPageRows]) * kPageRows + row % kPageRows];
}

HashBackbone::CachedRow HashBackbone::ComputeRow(const StepRow& row,
                                                 const RowPlacement& placement) const {
  CachedRow result;
  result.token = row.token;
  uint64_t hash = MixBits(options_.seed ^ MixBits(static_cast<uint64_t>(row.token)));
  hash = MixBits(hash ^ static_cast<uint64_t>(row.position));
  result.poisoned = options_.poison_token == row.token;
  for (int i = 0; i < placement.keys.num_spans; ++i) {
    const KeySpan& span = placement.keys.spans[i];
    const std::span<const PageId> pages = cache_.PageTable(row.stream, span.side);
    for (int32_t key = span.begin; key < span.end; ++key) {
      if (span.side == row.side && key == placement.index) continue;  // the row itself
      const CachedRow& cached =
          rows_[static_cast<size_t>(pages[key / kPageRows]) * kPageRows + key % kPageRows];
      hash = MixBits(hash ^ cached.hash);
      result.poisoned = result.poisoned || cached.poisoned;
    }
    hash = MixBits(hash ^ (static_cast<uint64_t>(span.side) + 1));
  }
  result.hash = hash;
  return result;
}

std::optional<TokenId> HashBackbone::AskScript(const StepRow& row, const RowPlacement& placement) {
  if (!options_.script || row.side != Side::kTarget) return std::nullopt;
  return options_.script(ViewOf(row, placement));
}

HashRowView HashBackbone::ViewOf(const StepRow& row, const RowPlacement& placement) {
  source_view_.clear();
  target_view_.clear();
  for (int i = 0; i < placement.keys.num_spans; ++i) {
    const KeySpan& span = placement.keys.spans[i];
    std::vector<TokenId>& view = span.side == Side::kSource ? source_view_ : target_view_;
    for (int32_t key = span.begin; key < span.end; ++key) {
      view.push_back(RowAt(row.stream, span.side, key).token);
    }
  }
  return {.source = source_view_, .target = target_view_};
}

// Half of the weight goes to the prompt and the target, as in a transformer.
void HashBackbone::FillAttention(const StepRow& row, const RowPlacement& placement,
                                 std::span<float> weights) {
  if (weights.empty()) return;
  const uint64_t hash =
      rows_[static_cast<size_t>(placement.page) * kPageRows + placement.slot].hash;
  const int32_t prompt = placement.keys.spans[0].end - row.src_vis;
  float total = 0;
  for (size_t k = 0; k < weights.size(); ++k) {
    const int32_t key = prompt + static_cast<int32_t>(k);
    const uint64_t bits = MixBits(hash ^ RowAt(row.stream, Side::kSource, key).hash);
    total += weights[k] = 0.01f + static_cast<float>(UnitOf(bits));
  }
  if (options_.attention_script) {
    const std::optional<size_t> most = options_.attention_script(ViewOf(row, placement));
    if (most.has_value()) {
      weights[*most - static_cast<size_t>(prompt)] += 2 * total;
      total *= 3;
    }
  }
  for (float& weight : weights) weight /= 2 * total;
}

void HashBackbone::FillLogits(const StepRow& row, const RowPlacement& placement, float* logits) {
  const CachedRow& cached = rows_[static_cast<size_t>(placement.page) * kPageRows + placement.slot];
  std::fill(logits, logits + config_.vocab_size, -1.0f);
  if (cached.poisoned) {
    logits[cached.hash % config_.vocab_size] = std::numeric_limits<float>::quiet_NaN();
    return;
  }
  // One candidate of each class, so that a boundary lock always has a next best choice.
  uint64_t bits = cached.hash;
  const auto draw = [&bits] { return bits = MixBits(bits); };
  const auto pick = [&](const std::vector<TokenId>& ids) { return ids[draw() % ids.size()]; };
  const auto rank = [&] { return 1.0f + static_cast<float>(UnitOf(draw())); };
  const TokenId start = pick(word_starts_);
  logits[start] = rank();
  TokenId top = start;
  if (!continuations_.empty()) {
    const TokenId continuation = pick(continuations_);
    logits[continuation] = rank();
    top = continuation;
  }
  // Also when a lock rules the top token out, the end comes as often as it should.
  logits[options_.end_of_target] = UnitOf(draw()) < options_.end_probability ? 2.5f : 0.5f;
  const double u = UnitOf(draw());
  if (u < options_.end_probability) {
    top = options_.end_of_target;
  } else if (u < options_.end_probability + options_.word_start_probability) {
    top = start;
  }
  logits[top] = 3.0f;
  if (const std::optional<TokenId> scripted = AskScript(row, placement)) logits[*scripted] = 4.0f;
  if (!suppressed_.empty() && UnitOf(draw()) < options_.suppressed_probability) {
    logits[pick(suppressed_)] = 5.0f;
  }
}

absl::Status HashBackbone::Forward(const StepBatch& batch, StepOutput* output) {
  if (options_.on_forward) options_.on_forward(batch);
  if (failing_forwards_.load() > 0) {
    failing_forwards_.fetch_sub(1);
    return absl::InternalError("forward made to fail");
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckAttention(batch, config_));
  DRAGOMAN_RETURN_IF_ERROR(cache_.Append(batch, &placements_));
  size_t wanted = 0;
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    const RowPlacement& placement = placements_[i];
    rows_[static_cast<size_t>(placement.page) * kPageRows + placement.slot] = {
        .hash = 0, .token = batch.rows[i].token, .poisoned = false};
    if (batch.rows[i].want_logits) ++wanted;
  }
  // Side A first: a target row may see source rows that stand behind it in the step.
  for (const Side side : {Side::kSource, Side::kTarget}) {
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      if (batch.rows[i].side != side) continue;
      const RowPlacement& placement = placements_[i];
      rows_[static_cast<size_t>(placement.page) * kPageRows + placement.slot] =
          ComputeRow(batch.rows[i], placement);
    }
  }
  output->gates.clear();
  output->routing.Clear();
  const auto forced = std::count_if(batch.rows.begin(), batch.rows.end(), [](const StepRow& row) {
    return row.group == RowGroup::kForced;
  });
  if (options_.skips_mlp && forced < static_cast<ptrdiff_t>(batch.rows.size())) {
    output->routing.calls(ExecPath::kDense) = 1;  // the attention of its one layer
    output->routing.calls(forced > 0 ? ExecPath::kGather : ExecPath::kEmpty) = 1;
    for (const StepRow& row : batch.rows) {
      output->gates.insert(output->gates.end(), static_cast<size_t>(config_.num_layers),
                           row.group == RowGroup::kForced ? kRunBoth : kRunAttention);
    }
  }
  output->ReserveAttention(batch);
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    if (!batch.rows[i].want_attention) continue;
    const size_t begin = output->attention_begin[i];
    FillAttention(
        batch.rows[i], placements_[i],
        std::span(output->attention).subspan(begin, output->attention_begin[i + 1] - begin));
  }
  output->vocab_size = config_.vocab_size;
  output->logits.resize(wanted * config_.vocab_size);
  size_t next = 0;
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    if (!batch.rows[i].want_logits) continue;
    FillLogits(batch.rows[i], placements_[i], output->logits.data() + next * config_.vocab_size);
    ++next;
  }
  return absl::OkStatus();
}

FakeVocabulary MakeFakeVocabulary(int size, int prompt_rows, int header_rows) {
  DRAGOMAN_CHECK(size >= 16 && prompt_rows >= 1 && header_rows >= 1);
  FakeVocabulary vocabulary;
  vocabulary.traits.flags.assign(size, 0);
  for (TokenId id = 0; id < size; ++id) {
    if (id < FakeVocabulary::kFirstText) {
      if (id != FakeVocabulary::kEndOfTarget) {
        vocabulary.traits.flags[id] = TokenTraits::kSuppressed;
      }
    } else if (id % 2 == 0) {
      vocabulary.traits.flags[id] = TokenTraits::kWordStart;
    }
  }
  StreamLayout& layout = vocabulary.layout;
  layout.prompt.assign(prompt_rows, FakeVocabulary::kLanguage);
  layout.prompt.front() = FakeVocabulary::kBegin;
  layout.source_end = {FakeVocabulary::kSourceEnd};
  layout.target_header.assign(header_rows, FakeVocabulary::kHeader);
  layout.end_of_target = FakeVocabulary::kEndOfTarget;
  return vocabulary;
}

HashScript FixedTarget(const StreamLayout& layout, std::vector<TokenId> tokens) {
  return [layout, tokens = std::move(tokens)](const HashRowView& row) -> std::optional<TokenId> {
    if (row.target.size() < layout.target_header.size()) return std::nullopt;
    const size_t written = row.target.size() - layout.target_header.size();
    return written < tokens.size() ? tokens[written] : layout.end_of_target;
  };
}

HashScript EchoSource(const StreamLayout& layout) {
  return [layout](const HashRowView& row) -> std::optional<TokenId> {
    if (row.target.size() < layout.target_header.size()) return std::nullopt;
    const size_t next = layout.prompt.size() + row.target.size() - layout.target_header.size();
    // The end marker is a control token, so it can not be a source token.
    if (next >= row.source.size() || row.source[next] == layout.source_end.front()) {
      return layout.end_of_target;
    }
    return row.source[next];
  };
}

}  // namespace dragoman::model
