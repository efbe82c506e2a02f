#include "model/corpus/sample_stream.h"

#include <algorithm>
#include <tuple>

#include "base/random.h"

namespace dragoman::model {
namespace {

struct Entry {
  uint64_t order = 0;
  uint32_t index = 0;
};

// Sorts a window by length bucket, cuts it into batches, shuffles the batches.
void CutWindow(const std::vector<Sample>& samples, const SampleStreamOptions& options,
               uint64_t epoch, uint64_t window, std::vector<Entry> entries,
               std::vector<std::vector<uint32_t>>* batches) {
  const auto bucket = [&](uint32_t index) {
    const Sample& sample = samples[index];
    return std::pair((sample.source.size() + options.bucket_width - 1) / options.bucket_width,
                     (sample.target.size() + options.bucket_width - 1) / options.bucket_width);
  };
  std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) {
    return std::tuple(bucket(a.index), a.order, a.index) <
           std::tuple(bucket(b.index), b.order, b.index);
  });
  std::vector<std::vector<uint32_t>> cut(1);
  size_t longest_source = 0, longest_target = 0;
  for (const Entry& entry : entries) {
    const Sample& sample = samples[entry.index];
    const size_t source = std::max(longest_source, sample.source.size());
    const size_t target = std::max(longest_target, sample.target.size());
    const size_t padded = (source + target + options.overhead_tokens) * (cut.back().size() + 1);
    if (padded > options.batch_tokens && !cut.back().empty()) {
      cut.emplace_back();
      longest_source = sample.source.size();
      longest_target = sample.target.size();
    } else {
      longest_source = source;
      longest_target = target;
    }
    cut.back().push_back(entry.index);
  }
  // Fisher-Yates over the batches.
  RandomStream random(options.seed, "batch order", epoch, window);
  for (size_t i = cut.size(); i > 1; --i) std::swap(cut[i - 1], cut[random.NextBelow(i)]);
  for (std::vector<uint32_t>& batch : cut) {
    if (!batch.empty()) batches->push_back(std::move(batch));
  }
}

}  // namespace

std::vector<std::vector<uint32_t>> PlanEpoch(const std::vector<Sample>& samples,
                                             const SampleStreamOptions& options, uint64_t epoch) {
  std::vector<Entry> entries;
  for (uint32_t i = 0; i < samples.size(); ++i) {
    const Sample& sample = samples[i];
    if (sample.source.size() > options.max_side_tokens ||
        sample.target.size() > options.max_side_tokens) {
      continue;
    }
    const auto weight = options.corpus_weights.find(sample.corpus);
    double copies = weight == options.corpus_weights.end() ? 1.0 : weight->second;
    RandomStream random(options.seed, "sample order", epoch, sample.id);
    while (copies >= 1.0 || (copies > 0 && random.NextUnit() < copies)) {
      entries.push_back({random.NextBits(), i});
      copies -= 1.0;
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.order, a.index) < std::tie(b.order, b.index);
  });
  std::vector<std::vector<uint32_t>> batches;
  const size_t window_tokens = options.window_batches * options.batch_tokens;
  size_t begin = 0;
  for (uint64_t window = 0; begin < entries.size(); ++window) {
    size_t end = begin, tokens = 0;
    while (end < entries.size() && tokens < window_tokens) {
      const Sample& sample = samples[entries[end].index];
      tokens += sample.source.size() + sample.target.size() + options.overhead_tokens;
      ++end;
    }
    CutWindow(samples, options, epoch, window,
              std::vector<Entry>(entries.begin() + begin, entries.begin() + end), &batches);
    begin = end;
  }
  return batches;
}

}  // namespace dragoman::model
