#include "model/corpus/read_write_plan.h"

#include <algorithm>

#include "base/check.h"

namespace dragoman::model {

std::vector<int64_t> VisibleUnits(const Schedule& schedule, int64_t source_words,
                                  int64_t target_words) {
  std::vector<int64_t> units(target_words + 1, source_words + 1);
  if (schedule.kind == Schedule::Kind::kWaitK) {
    for (int64_t j = 1; j <= target_words + 1; ++j) {
      units[j - 1] = std::min(schedule.k + j - 1, source_words + 1);
    }
  }
  return units;
}

Schedule DrawSchedule(const ScheduleMix& mix, int64_t source_words, int64_t target_words,
                      RandomStream* random, std::vector<int64_t>* units) {
  Schedule schedule;
  const double draw = random->NextUnit();
  if (draw < mix.full) {
    schedule.kind = Schedule::Kind::kFull;
  } else if (draw < mix.full + mix.wait_k) {
    schedule.kind = Schedule::Kind::kWaitK;
    schedule.k = mix.min_k + static_cast<int64_t>(random->NextBelow(mix.max_k - mix.min_k + 1));
  } else {
    schedule.kind = Schedule::Kind::kRandomPath;
    units->assign(target_words + 1, 0);
    int64_t c = 1 + static_cast<int64_t>(random->NextBelow(std::min<int64_t>(4, source_words)));
    for (int64_t& value : *units) {
      value = c;
      const double step = random->NextUnit();
      const int64_t reads = step < 0.5 ? 0 : step < 0.8 ? 1 : step < 0.95 ? 2 : 3;
      c = std::min(c + reads, source_words + 1);
    }
    return schedule;
  }
  *units = VisibleUnits(schedule, source_words, target_words);
  return schedule;
}

std::vector<int32_t> RowVisibility(const Sample& sample, const std::vector<int64_t>& units,
                                   int32_t header_tokens, int32_t marker_tokens) {
  const auto source_words = static_cast<int64_t>(sample.source_words.size());
  DRAGOMAN_CHECK(units.size() == sample.target_words.size() + 1);
  // E(u): source tokens in units 1..u.
  std::vector<int32_t> tokens_in_units(source_words + 2, 0);
  for (int64_t u = 1; u <= source_words; ++u) {
    tokens_in_units[u] = tokens_in_units[u - 1] + sample.source_words[u - 1];
  }
  tokens_in_units[source_words + 1] = tokens_in_units[source_words] + marker_tokens;
  std::vector<int32_t> visibility(header_tokens - 1, 0);
  for (size_t word = 0; word < sample.target_words.size(); ++word) {
    visibility.insert(visibility.end(), sample.target_words[word], tokens_in_units[units[word]]);
  }
  visibility.push_back(tokens_in_units[units.back()]);  // the row that predicts EOS
  return visibility;
}

}  // namespace dragoman::model
