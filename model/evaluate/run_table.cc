#include "model/evaluate/run_table.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <tuple>

#include "base/status_macros.h"
#include "model/metrics/bleu.h"
#include "model/metrics/chrf.h"

namespace dragoman::model {
namespace {

absl::Status ReadStrings(const Json& json, const std::string& field, const std::string& path,
                         std::vector<std::string>* out) {
  if (!json.contains(field) || !json.at(field).is_array()) {
    return absl::InvalidArgumentError(path + ": field \"" + field + "\" must be a list");
  }
  for (const Json& value : json.at(field)) {
    if (!value.is_string()) {
      return absl::InvalidArgumentError(path + ": field \"" + field + "\" must hold strings");
    }
    out->push_back(value.get<std::string>());
  }
  return absl::OkStatus();
}

// Scores of one run over the same resamples as all others.
struct ScoredRun {
  const DecodedRun* run = nullptr;
  double bleu = 0, chrf2 = 0;
  std::vector<double> resamples;  // BLEU
};

ScoredRun Score(const DecodedRun& run, const ResampleIndices& indices) {
  std::vector<BleuStatistics> segments;
  BleuStatistics bleu;
  ChrfStatistics chrf;
  for (size_t i = 0; i < run.hypotheses.size(); ++i) {
    segments.push_back(CollectBleu(run.hypotheses[i], run.references[i]));
    bleu += segments.back();
    chrf += CollectChrf(run.hypotheses[i], run.references[i]);
  }
  return {&run, ScoreBleu(bleu).score, ScoreChrf(chrf), ResampleBleu(segments, indices)};
}

std::vector<double> MeanResamples(const std::vector<const ScoredRun*>& runs) {
  std::vector<double> mean(runs.front()->resamples.size());
  for (const ScoredRun* run : runs) {
    for (size_t b = 0; b < mean.size(); ++b) {
      mean[b] += run->resamples[b] / static_cast<double>(runs.size());
    }
  }
  return mean;
}

double MeanBleu(const std::vector<const ScoredRun*>& runs) {
  double sum = 0;
  for (const ScoredRun* run : runs) sum += run->bleu;
  return sum / static_cast<double>(runs.size());
}

using Group = std::vector<ScoredRun>;

RunTableRow Summarize(const Group& group) {
  const DecodedRun& first = *group.front().run;
  RunTableRow row{first.target_language, first.policy, first.system, first.inference};
  row.segments = first.references.size();
  row.least_bleu = row.greatest_bleu = group.front().bleu;
  const auto count = static_cast<double>(group.size());
  std::vector<const ScoredRun*> runs;
  for (const ScoredRun& scored : group) {
    runs.push_back(&scored);
    row.seeds.push_back(scored.run->seed);
    row.chrf2 += scored.chrf2 / count;
    row.al += scored.run->al / count;
    row.laal += scored.run->laal / count;
    row.rows_per_word += scored.run->rows_per_word / count;
    row.least_bleu = std::min(row.least_bleu, scored.bleu);
    row.greatest_bleu = std::max(row.greatest_bleu, scored.bleu);
  }
  row.bleu = MeanBleu(runs);
  row.bleu_interval = SummarizeResamples(MeanResamples(runs));
  return row;
}

void Compare(const Group& baseline, const Group& system, RunTableRow* row) {
  std::vector<const ScoredRun*> base_runs, system_runs;
  for (const ScoredRun& one : system) {
    for (const ScoredRun& other : baseline) {
      if (one.run->seed != other.run->seed) continue;
      system_runs.push_back(&one);
      base_runs.push_back(&other);
    }
  }
  if (system_runs.empty()) return;
  row->compared = true;
  row->common_seeds = system_runs.size();
  row->difference = MeanBleu(system_runs) - MeanBleu(base_runs);
  const std::vector<double> base = MeanResamples(base_runs), other = MeanResamples(system_runs);
  // Systems that never differ: the formula would call it significant.
  row->p_value =
      base == other ? 1 : PairedPValue(base, other, MeanBleu(base_runs), MeanBleu(system_runs));
}

// "wait-k:3" before "wait-k:10", "sentence" last.
int64_t PolicyOrder(const std::string& policy) {
  const size_t colon = policy.find(':');
  return colon == std::string::npos ? int64_t{1} << 20 : std::atoll(policy.c_str() + colon + 1);
}

}  // namespace

absl::StatusOr<DecodedRun> ReadDecodedRun(const std::string& path) {
  DRAGOMAN_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
  DecodedRun run;
  DRAGOMAN_ASSIGN_OR_RETURN(run.target_language, GetString(json, "target_language", path));
  DRAGOMAN_ASSIGN_OR_RETURN(run.system, GetString(json, "system", path));
  DRAGOMAN_ASSIGN_OR_RETURN(run.inference, GetString(json, "inference", path));
  DRAGOMAN_ASSIGN_OR_RETURN(run.policy, GetString(json, "policy", path));
  DRAGOMAN_ASSIGN_OR_RETURN(run.seed, GetInt(json, "seed", path, 0, INT64_MAX));
  DRAGOMAN_ASSIGN_OR_RETURN(run.al, GetDouble(json, "al", path));
  DRAGOMAN_ASSIGN_OR_RETURN(run.laal, GetDouble(json, "laal", path));
  DRAGOMAN_ASSIGN_OR_RETURN(run.rows_per_word, GetDouble(json, "rows_per_target_word", path));
  DRAGOMAN_RETURN_IF_ERROR(ReadStrings(json, "hypotheses", path, &run.hypotheses));
  DRAGOMAN_RETURN_IF_ERROR(ReadStrings(json, "references", path, &run.references));
  if (run.hypotheses.size() != run.references.size() || run.hypotheses.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", run.hypotheses.size(), " hypotheses, ", run.references.size(), " references"));
  }
  return run;
}

absl::StatusOr<std::vector<RunTableRow>> TabulateRuns(const std::vector<DecodedRun>& runs,
                                                      const std::string& baseline) {
  std::map<std::string, std::pair<const DecodedRun*, ResampleIndices>> languages;
  using Key = std::tuple<std::string, std::string, std::string, std::string>;
  std::map<Key, size_t> places;
  std::vector<Group> groups;
  for (const DecodedRun& run : runs) {
    auto& [first, indices] = languages[run.target_language];
    if (first == nullptr) {
      first = &run;
      indices = DrawResamples(run.references.size());
    } else if (first->references != run.references) {
      return absl::InvalidArgumentError("runs of language " + run.target_language +
                                        " have different references");
    }
    const Key key{run.target_language, run.policy, run.system, run.inference};
    const auto [it, added] = places.emplace(key, groups.size());
    if (added) groups.emplace_back();
    Group& group = groups[it->second];
    for (const ScoredRun& other : group) {
      if (other.run->seed == run.seed) {
        return absl::InvalidArgumentError(
            absl::StrCat(run.system, " decoded as ", run.inference, " with ", run.policy, ", ",
                         run.target_language, ", seed ", run.seed, ": given twice"));
      }
    }
    group.push_back(Score(run, indices));
  }
  std::vector<RunTableRow> rows;
  for (const Group& group : groups) {
    RunTableRow row = Summarize(group);
    const auto base = places.find(Key{row.target_language, row.policy, baseline, baseline});
    if (base != places.end() && &groups[base->second] != &group) {
      Compare(groups[base->second], group, &row);
    }
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const RunTableRow& a, const RunTableRow& b) {
    if (a.target_language != b.target_language) return a.target_language < b.target_language;
    return PolicyOrder(a.policy) < PolicyOrder(b.policy);
  });
  return rows;
}

std::string RunTableMarkdown(const std::vector<RunTableRow>& rows, const std::string& baseline) {
  std::string text = absl::StrCat(
      "| target | policy | trained as | decoded as | seeds | BLEU (95 %) | least to greatest seed "
      "| "
      "chrF2 | AL | LAAL | rows per word | BLEU - ",
      baseline, " | p |\n|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
  for (const RunTableRow& row : rows) {
    absl::StrAppend(
        &text, absl::StrFormat(
                   "| %s | %s | %s | %s | %d | %.2f (%.2f to %.2f) | %.2f to %.2f | %.2f | %.2f "
                   "| %.2f | %.2f | %s | %s |\n",
                   row.target_language, row.policy, row.system, row.inference, row.seeds.size(),
                   row.bleu, row.bleu_interval.low, row.bleu_interval.high, row.least_bleu,
                   row.greatest_bleu, row.chrf2, row.al, row.laal, row.rows_per_word,
                   row.compared ? absl::StrFormat("%+.2f", row.difference) : std::string("-"),
                   row.compared ? absl::StrFormat("%.3f", row.p_value) : std::string("-")));
  }
  if (!rows.empty()) {
    absl::StrAppend(
        &text,
        absl::StrFormat("\n%d sentences; intervals and p by %d bootstrap resamples, seed %d, "
                        "scores averaged over seeds; rows: both sides, re-encoding counted.\n",
                        rows.front().segments, kBootstrapResamples, kBootstrapSeed));
  }
  return text;
}

}  // namespace dragoman::model
