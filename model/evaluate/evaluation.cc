#include "model/evaluate/evaluation.h"

#include "base/status_macros.h"
#include "base/strings.h"
#include "model/metrics/bleu.h"
#include "model/metrics/chrf.h"
#include "model/metrics/lag.h"
#include "model/metrics/repetition.h"

namespace dragoman::model {

absl::StatusOr<TextScores> ScoreText(const std::vector<std::string>& hypotheses,
                                     const std::vector<std::string>& references, bool bootstrap) {
  if (hypotheses.size() != references.size()) {
    return absl::InvalidArgumentError(absl::StrCat(hypotheses.size(), " hypothesis lines, but ",
                                                   references.size(), " reference lines"));
  }
  if (hypotheses.empty()) return absl::InvalidArgumentError("there is no line to score");
  std::vector<BleuStatistics> bleu(hypotheses.size());
  std::vector<ChrfStatistics> chrf(hypotheses.size());
  BleuStatistics bleu_sum;
  ChrfStatistics chrf_sum;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    bleu_sum += bleu[i] = CollectBleu(hypotheses[i], references[i]);
    chrf_sum += chrf[i] = CollectChrf(hypotheses[i], references[i]);
  }
  TextScores scores;
  scores.segments = hypotheses.size();
  scores.bleu = ScoreBleu(bleu_sum).score;
  scores.chrf2 = ScoreChrf(chrf_sum);
  if (bootstrap) {
    const ResampleIndices indices = DrawResamples(hypotheses.size());
    scores.bleu_interval = SummarizeResamples(ResampleBleu(bleu, indices));
    scores.chrf2_interval = SummarizeResamples(ResampleChrf(chrf, indices));
  }
  return scores;
}

namespace {

constexpr size_t kRepeatedWords = 4;

std::optional<PacedLag> ScorePaced(const std::vector<TranslatedLine>& lines,
                                   const std::vector<LagSegment>& lags) {
  PacedLag paced;
  std::vector<double> latencies;
  size_t scored = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const TranslatedLine& line = lines[i];
    if (line.emit_seconds.empty()) continue;
    const double duration = line.arrival_seconds.empty() ? 0 : line.arrival_seconds.back();
    paced.laal_ca += *ComputationAwareLaal(line.emit_seconds, duration, lags[i].reference_words);
    ++scored;
    for (const double latency :
         EmissionLatencies(line.emit_seconds, lags[i].delays, line.arrival_seconds)) {
      latencies.push_back(latency);
    }
  }
  if (scored == 0) return std::nullopt;
  paced.laal_ca /= static_cast<double>(scored);
  paced.p50 = Percentile(latencies, 50);
  paced.p95 = Percentile(latencies, 95);
  paced.p99 = Percentile(latencies, 99);
  return paced;
}

}  // namespace

absl::StatusOr<EvaluationReport> Evaluate(const std::vector<TranslatedLine>& lines,
                                          const std::vector<std::string>& references,
                                          bool bootstrap) {
  EvaluationReport report;
  std::vector<std::string> hypotheses;
  std::vector<LagSegment> lags;
  for (size_t i = 0; i < lines.size(); ++i) {
    const TranslatedLine& line = lines[i];
    hypotheses.push_back(line.text);
    LagSegment lag;
    lag.source_length = static_cast<double>(line.source_words);
    if (i < references.size()) {
      lag.reference_words = static_cast<int64_t>(SplitOnWhitespace(references[i]).size());
    }
    lag.delays.assign(line.delays.begin(), line.delays.end());
    lags.push_back(std::move(lag));
    report.source_words += line.source_words;
    report.source_tokens += line.source_tokens;
    report.target_words += static_cast<int64_t>(line.delays.size());
    report.target_tokens += static_cast<int64_t>(line.tokens.size());
    report.decode_rows += line.decode_rows;
    report.probe_rows += line.probe_rows;
    report.eos_waits += line.eos_waits;
    report.guards += line.guards;
    report.modules_skipped += line.modules_skipped;
    report.failed_lines += !line.status.ok();
  }
  DRAGOMAN_ASSIGN_OR_RETURN(report.text, ScoreText(hypotheses, references, bootstrap));
  report.repetition = RepetitionRate(hypotheses, kRepeatedWords);
  report.reference_repetition = RepetitionRate(references, kRepeatedWords);
  const LagCorpusScores lag = ScoreLagCorpus(lags);
  report.al = lag.mean.al;
  report.laal = lag.mean.laal;
  report.ap = lag.mean.ap;
  report.ap_ref = lag.mean.ap_ref;
  report.dal = lag.mean.dal;
  report.gpe_al = lag.mean.gpe_al;
  report.paced = ScorePaced(lines, lags);
  report.lag_scored = lag.scored;
  report.lag_skipped = lag.skipped;
  return report;
}

Json ToJson(const TextScores& scores) {
  Json json = Json::object();
  json["bleu"] = scores.bleu;
  json["chrf2"] = scores.chrf2;
  json["segments"] = scores.segments;
  json["bleu_signature"] = std::string(kBleuSignature);
  json["chrf2_signature"] = std::string(kChrfSignature);
  if (scores.bleu_interval.high > 0) {
    json["bleu_interval"] = {scores.bleu_interval.low, scores.bleu_interval.high};
    json["chrf2_interval"] = {scores.chrf2_interval.low, scores.chrf2_interval.high};
    json["bootstrap_resamples"] = kBootstrapResamples;
    json["bootstrap_seed"] = kBootstrapSeed;
  }
  return json;
}

Json ToJson(const EvaluationReport& report) {
  Json json = Json::object();
  json["model"] = report.model;
  json["source_language"] = report.source_language;
  json["target_language"] = report.target_language;
  json["policy"] = report.policy;
  const Json text = ToJson(report.text);
  for (const auto& [name, value] : text.items()) json[name] = value;
  json["repetition"] = report.repetition;
  json["reference_repetition"] = report.reference_repetition;
  json["al"] = report.al;
  json["laal"] = report.laal;
  json["ap"] = report.ap;
  json["ap_ref"] = report.ap_ref;
  json["dal"] = report.dal;
  json["gpe_al"] = report.gpe_al;
  if (report.paced.has_value()) {
    json["laal_ca"] = report.paced->laal_ca;
    json["emission_latency"] = {
        {"p50", report.paced->p50}, {"p95", report.paced->p95}, {"p99", report.paced->p99}};
    json["seconds_per_word"] = report.seconds_per_word;
    json["speakers"] = report.speakers;
  }
  json["lag_scored"] = report.lag_scored;
  json["lag_skipped"] = report.lag_skipped;
  json["source_words"] = report.source_words;
  json["source_tokens"] = report.source_tokens;
  json["target_words"] = report.target_words;
  json["target_tokens"] = report.target_tokens;
  json["modules_skipped"] = report.modules_skipped;
  json["decode_rows"] = report.decode_rows;
  json["probe_rows"] = report.probe_rows;
  json["eos_waits"] = report.eos_waits;
  json["guarded_segments"] = report.guards;
  json["failed_lines"] = report.failed_lines;
  json["seconds"] = report.seconds;
  return json;
}

}  // namespace dragoman::model
