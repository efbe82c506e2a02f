#include "tests/conformance/stream_driver.h"

#include "gtest/gtest.h"
#include "model/api/gate_rule.h"

namespace dragoman::model {

StreamDriver::StreamDriver(Backbone* backbone, int32_t prompt, int32_t phi, int32_t rows)
    : backbone_(backbone), prompt_(prompt), phi_(phi) {
  const absl::StatusOr<StreamId> id = backbone->Open(rows, rows, phi);
  EXPECT_TRUE(id.ok()) << id.status();
  id_ = id.value_or(0);
  EXPECT_TRUE(backbone->SetPrompt(id_, prompt).ok());
}

StreamDriver::~StreamDriver() { EXPECT_TRUE(backbone_->Close(id_).ok()); }

void StreamDriver::Route(float skip_offset, int32_t header, bool force_none) {
  routed_ = true;
  skip_offset_ = skip_offset;
  header_ = header;
  force_none_ = force_none;
}

RowGroup StreamDriver::GroupOf(Side side, int32_t index) const {
  const int32_t first = side == Side::kSource ? prompt_ : header_;
  if (!routed_ || (!force_none_ && index <= first)) return RowGroup::kForced;
  return side == Side::kSource ? RowGroup::kSource : RowGroup::kTarget;
}

void StreamDriver::AddSource(const std::vector<TokenId>& tokens, StepBatch* batch) {
  for (const TokenId token : tokens) {
    StepRow row;
    row.token = token;
    row.stream = id_;
    row.side = Side::kSource;
    row.position = static_cast<int32_t>(source_.size());
    row.group = GroupOf(Side::kSource, row.position);
    row.skip_offset = skip_offset_;
    batch->rows.push_back(row);
    source_.push_back(token);
  }
}

void StreamDriver::AddTarget(TokenId token, int32_t src_vis, StepBatch* batch) {
  StepRow row;
  row.token = token;
  row.stream = id_;
  row.side = Side::kTarget;
  row.position = phi_ + static_cast<int32_t>(target_.size());
  row.src_vis = src_vis;
  row.want_logits = true;
  row.want_attention = !heads_.empty();
  if (row.want_attention) batch->attention_heads = heads_;
  row.group = GroupOf(Side::kTarget, static_cast<int32_t>(target_.size()));
  row.skip_offset = skip_offset_;
  batch->rows.push_back(row);
  target_.push_back(token);
  visible_.push_back(src_vis);
}

void StreamDriver::TakeLogits(const StepBatch& batch, const StepOutput& output) {
  const auto layers = static_cast<size_t>(backbone_->config().num_layers);
  for (size_t r = 0; routed_ && r < batch.rows.size(); ++r) {
    if (batch.rows[r].stream != id_) continue;
    std::vector<uint8_t>& gates = gates_[static_cast<size_t>(batch.rows[r].side)];
    // A step of forced rows alone has none.
    for (size_t l = 0; l < layers; ++l) {
      gates.push_back(output.gates.empty() ? kRunBoth : output.gates[r * layers + l]);
    }
  }
  size_t index = 0;
  for (size_t r = 0; r < batch.rows.size(); ++r) {
    const StepRow& row = batch.rows[r];
    if (!row.want_logits) continue;
    ASSERT_LT(index, output.num_rows());
    const float* logits = output.row(index++);
    if (row.stream == id_ && row.side == Side::kTarget) {
      logits_.emplace_back(logits, logits + output.vocab_size);
      const std::span<const float> attention = output.attention_of(r);
      attention_.emplace_back(attention.begin(), attention.end());
    }
  }
  ASSERT_EQ(index, output.num_rows());
}

void StreamDriver::Run(const StepBatch& batch) {
  StepOutput output;
  const absl::Status status = backbone_->Forward(batch, &output);
  ASSERT_TRUE(status.ok()) << status;
  TakeLogits(batch, output);
}

void StreamDriver::FeedSource(const std::vector<TokenId>& tokens) {
  if (tokens.empty()) return;
  StepBatch batch;
  AddSource(tokens, &batch);
  Run(batch);
}

const Logits& StreamDriver::FeedTarget(TokenId token, int32_t src_vis) {
  StepBatch batch;
  AddTarget(token, src_vis, &batch);
  Run(batch);
  return logits_.back();
}

void StreamDriver::Truncate(Side side, int32_t length) {
  const absl::Status status = backbone_->Truncate(id_, side, length);
  ASSERT_TRUE(status.ok()) << status;
  if (side == Side::kSource) {
    source_.resize(length);
  } else {
    target_.resize(length);
    visible_.resize(length);
    logits_.resize(length);
    attention_.resize(length);
  }
}

void StreamDriver::Rollback(const CacheMark& mark) {
  const absl::Status status = backbone_->Rollback(id_, mark);
  ASSERT_TRUE(status.ok()) << status;
  source_.resize(mark.source_side);
  target_.resize(mark.target_side);
  visible_.resize(mark.target_side);
  logits_.resize(mark.target_side);
  attention_.resize(mark.target_side);
}

std::vector<float> StreamDriver::ReadRow(Side side, int32_t row) const {
  std::vector<float> all;
  for (int64_t layer = 0; layer < backbone_->config().num_layers; ++layer) {
    for (const bool keys : {true, false}) {
      std::vector<float> part;
      const absl::Status status = backbone_->ReadCache(id_, side, row, layer, keys, &part);
      EXPECT_TRUE(status.ok()) << status;
      all.insert(all.end(), part.begin(), part.end());
    }
  }
  return all;
}

std::vector<Logits> StreamCase(Backbone* backbone, const GroupCase& one) {
  StreamDriver stream(backbone, one.prompt, one.phi);
  size_t fed = 0;
  for (size_t i = 0; i < one.target_side.size(); ++i) {
    const size_t wanted = one.prompt + one.src_vis[i];
    if (wanted > fed) {
      stream.FeedSource({one.source_side.begin() + fed, one.source_side.begin() + wanted});
      fed = wanted;
    }
    stream.FeedTarget(one.target_side[i], one.src_vis[i]);
  }
  return stream.logits();
}

std::vector<Logits> OneCall(Backbone* backbone, const GroupCase& one) {
  StreamDriver stream(backbone, one.prompt, one.phi);
  StepBatch batch;
  stream.AddSource(one.source_side, &batch);
  for (size_t i = 0; i < one.target_side.size(); ++i) {
    stream.AddTarget(one.target_side[i], one.src_vis[i], &batch);
  }
  stream.Run(batch);
  return stream.logits();
}

}  // namespace dragoman::model
