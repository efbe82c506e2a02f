#include "client/load/exposition.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace dragoman::client {
namespace {

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}
bool IsNamePart(char c) { return IsNameStart(c) || (c >= '0' && c <= '9'); }

// One line: name{label="value",...} value [milliseconds].
class LineReader {
 public:
  LineReader(std::string_view line, size_t max_labels) : rest_(line), max_labels_(max_labels) {}

  absl::StatusOr<MetricSample> Read() {
    MetricSample sample;
    DRAGOMAN_ASSIGN_OR_RETURN(sample.name, Name());
    SkipBlanks();
    if (Take('{')) DRAGOMAN_RETURN_IF_ERROR(Labels(&sample.labels));
    const std::vector<std::string> numbers = SplitOnWhitespace(rest_);
    if (numbers.empty() || numbers.size() > 2 || !absl::SimpleAtod(numbers[0], &sample.value)) {
      return absl::InvalidArgumentError("no number, or more than number and time");
    }
    int64_t time_ms = 0;
    if (numbers.size() == 2 && !absl::SimpleAtoi(numbers[1], &time_ms)) {
      return absl::InvalidArgumentError("the time is not a whole number");
    }
    return sample;
  }

 private:
  void SkipBlanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) {
      rest_.remove_prefix(1);
    }
  }
  bool Take(char wanted) {
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  absl::StatusOr<std::string> Name() {
    if (rest_.empty() || !IsNameStart(rest_.front())) {
      return absl::InvalidArgumentError("a name is missing");
    }
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), IsNamePart);
    std::string name(rest_.begin(), end);
    rest_.remove_prefix(name.size());
    return name;
  }

  absl::Status Labels(MetricLabels* labels) {
    while (true) {
      SkipBlanks();
      if (Take('}')) return absl::OkStatus();
      if (labels->size() == max_labels_) {
        return absl::ResourceExhaustedError(absl::StrCat("more than ", max_labels_, " labels"));
      }
      DRAGOMAN_ASSIGN_OR_RETURN(std::string name, Name());
      SkipBlanks();
      if (!Take('=')) return absl::InvalidArgumentError("a label without '='");
      SkipBlanks();
      DRAGOMAN_ASSIGN_OR_RETURN(std::string value, QuotedValue());
      labels->emplace_back(std::move(name), std::move(value));
      SkipBlanks();
      if (!Take(',') && (rest_.empty() || rest_.front() != '}')) {
        return absl::InvalidArgumentError("labels that do not end");
      }
    }
  }

  absl::StatusOr<std::string> QuotedValue() {
    if (!Take('"')) return absl::InvalidArgumentError("a label without quotes");
    std::string value;
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return value;
      if (c == '\\') {
        if (rest_.empty()) break;
        c = rest_.front();
        rest_.remove_prefix(1);
        if (c == 'n') {
          c = '\n';
        } else if (c != '\\' && c != '"') {
          return absl::InvalidArgumentError("an unknown escape in a label");
        }
      }
      value.push_back(c);
    }
    return absl::InvalidArgumentError("quotes that do not end");
  }

  std::string_view rest_;
  const size_t max_labels_;
};

}  // namespace

std::optional<double> Exposition::Sum(std::string_view name, const MetricLabels& labels) const {
  std::optional<double> sum;
  for (const MetricSample& sample : samples_) {
    const auto has = [&](const MetricLabels::value_type& label) {
      return std::find(sample.labels.begin(), sample.labels.end(), label) != sample.labels.end();
    };
    if (sample.name != name || !std::all_of(labels.begin(), labels.end(), has)) continue;
    sum = sum.value_or(0.0) + sample.value;
  }
  return sum;
}

absl::StatusOr<Exposition> ParseExposition(std::string_view text, const ExpositionLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("metrics of ", text.size(), " bytes, limit ", limits.max_bytes));
  }
  std::vector<MetricSample> samples;
  size_t line_number = 0;
  while (!text.empty()) {
    ++line_number;
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    absl::StatusOr<MetricSample> sample = LineReader(line.substr(begin), limits.max_labels).Read();
    if (!sample.ok()) {
      return absl::Status(sample.status().code(), absl::StrCat("metrics line ", line_number, ": ",
                                                               sample.status().message()));
    }
    if (samples.size() == limits.max_samples) {
      return absl::ResourceExhaustedError(
          absl::StrCat("metrics of more than ", limits.max_samples, " samples"));
    }
    samples.push_back(*std::move(sample));
  }
  return Exposition(std::move(samples));
}

}  // namespace dragoman::client
