#include "model/evaluate/skip_report.h"

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dragoman::model {
namespace {

constexpr std::array<const char*, 2> kGroups = {"source", "target"};
constexpr std::array<const char*, 2> kModules = {"attention", "mlp"};

std::string ClassName(size_t index) {
  return std::string(TokenClassName(static_cast<TokenClass>(index)));
}
std::string BucketName(size_t index) { return std::string(kPositionBucketNames[index]); }

// One entry of a table. A table without layers or keys leaves them empty.
struct Entry {
  size_t group, module;
  std::string layer, key;
  const SkipCell& cell;
};
using Visit = std::function<void(const char* table, const Entry& entry)>;

void VisitCells(const SkipInspection& inspection, const Visit& visit) {
  for (size_t g = 0; g < 2; ++g) {
    for (size_t m = 0; m < 2; ++m) {
      for (size_t l = 0; l < inspection.num_layers; ++l) {
        visit("layers", {g, m, absl::StrCat(l), "", inspection.layer(g, l, m)});
      }
      for (size_t b = 0; b < kNumPositionBuckets; ++b) {
        for (size_t l = 0; l < inspection.num_layers; ++l) {
          visit("positions",
                {g, m, absl::StrCat(l), BucketName(b), inspection.position(g, b, l, m)});
        }
      }
      for (size_t c = 0; c < kNumTokenClasses; ++c) {
        visit("token_classes", {g, m, "", ClassName(c), inspection.token_class(g, c, m)});
      }
    }
  }
}

// All layers of a bucket in one cell.
SkipCell BucketCell(const SkipInspection& inspection, size_t group, size_t bucket, size_t module) {
  SkipCell sum;
  for (size_t l = 0; l < inspection.num_layers; ++l) {
    const SkipCell& cell = inspection.position(group, bucket, l, module);
    sum.rows += cell.rows;
    sum.skipped += cell.skipped;
  }
  return sum;
}

std::string Percent(double share) { return absl::StrFormat("%9.1f%%", 100 * share); }
std::string PercentOf(const SkipCell& cell) {
  return cell.rows == 0 ? absl::StrFormat("%10s", "-") : Percent(cell.rate());
}

// A line of four columns: attention and MLP of source rows, then of target rows.
void AppendFour(const std::string& name, const std::function<std::string(size_t, size_t)>& column,
                std::string* text) {
  absl::StrAppendFormat(text, "%-24s", name);
  for (size_t g = 0; g < 2; ++g) {
    for (size_t m = 0; m < 2; ++m) *text += column(g, m);
  }
  *text += '\n';
}

void AppendHeading(const char* title, std::string* text) {
  absl::StrAppendFormat(text, "\n%-24s%10s%10s%10s%10s\n", title, "source at", "ml", "target at",
                        "ml");
}

}  // namespace

SkipRates RatesOf(const SkipStatistics& statistics) {
  SkipRates rates;
  const std::array<RowGroup, 2> groups = {RowGroup::kSource, RowGroup::kTarget};
  for (size_t g = 0; g < 2; ++g) {
    rates.claimed[g] = statistics.Claimed(groups[g]);
    rates.parameter[g] = statistics.ParameterWeighted(groups[g]);
  }
  rates.flops = statistics.Realised();
  return rates;
}

std::string ToText(const SkipReport& report) {
  const SkipInspection& seen = report.inspection;
  std::string text = absl::StrFormat(
      "%s, %s router %s, theta %g, %s, %d streams\n%d source rows, %d target rows, %d forced\n\n",
      report.model, report.router_kind, report.router_digest.substr(0, 12), report.theta,
      report.policy, report.streams, seen.rows[0], seen.rows[1], seen.forced_rows);
  absl::StrAppendFormat(&text, "%-24s%10s%10s%10s\n", "skipped", "source", "target", "all rows");
  const auto rates = [&](const char* name, const std::array<double, 2>& groups) {
    absl::StrAppend(&text, absl::StrFormat("%-24s", name), Percent(groups[0]), Percent(groups[1]),
                    "\n");
  };
  rates("modules (r_mod)", report.rates.claimed);
  rates("parameters (r_par)", report.rates.parameter);
  rates("  at calibration", report.calibrated_rates);
  absl::StrAppend(&text, absl::StrFormat("%-44s", "FLOPs (r_flop)"), Percent(report.rates.flops),
                  "\n");

  AppendHeading("layer", &text);
  for (size_t l = 0; l < seen.num_layers; ++l) {
    AppendFour(
        absl::StrCat(l), [&](size_t g, size_t m) { return PercentOf(seen.layer(g, l, m)); }, &text);
  }
  AppendHeading("mean |z - theta|", &text);
  for (size_t l = 0; l < seen.num_layers; ++l) {
    const auto margin = [&](size_t g, size_t m) {
      const SkipCell& cell = seen.layer(g, l, m);
      return cell.scored == 0 ? absl::StrFormat("%10s", "-")
                              : absl::StrFormat("%10.3f", cell.mean_margin());
    };
    AppendFour(absl::StrCat(l), margin, &text);
  }
  AppendHeading("|z - theta| < 0.05", &text);
  for (size_t l = 0; l < seen.num_layers; ++l) {
    const auto near = [&](size_t g, size_t m) {
      const SkipCell& cell = seen.layer(g, l, m);
      return cell.scored == 0 ? absl::StrFormat("%10s", "-") : Percent(cell.near_share());
    };
    AppendFour(absl::StrCat(l), near, &text);
  }
  AppendHeading("place in the group", &text);
  for (size_t b = 0; b < kNumPositionBuckets; ++b) {
    AppendFour(
        BucketName(b), [&](size_t g, size_t m) { return PercentOf(BucketCell(seen, g, b, m)); },
        &text);
  }
  AppendHeading("token", &text);
  for (size_t c = 0; c < kNumTokenClasses; ++c) {
    AppendFour(
        ClassName(c), [&](size_t g, size_t m) { return PercentOf(seen.token_class(g, c, m)); },
        &text);
  }
  absl::StrAppendFormat(&text, "\n%-24s%10s%10s%10s\n", "streams in a step", "at active",
                        "ml active", "steps");
  for (const UnionActivity& packed : seen.unions) {
    const auto active = [&packed](size_t module) {
      return packed.steps == 0 ? absl::StrFormat("%10s", "-") : Percent(packed.active[module]);
    };
    absl::StrAppend(&text, absl::StrFormat("%-24d", packed.streams), active(0), active(1),
                    absl::StrFormat("%10d", packed.steps), "\n");
  }
  return text;
}

Json ToJson(const SkipReport& report) {
  Json json = Json::object();
  json["model"] = report.model;
  json["policy"] = report.policy;
  json["theta"] = report.theta;
  json["streams"] = report.streams;
  json["router"] = {{"digest", report.router_digest}, {"kind", report.router_kind}};
  json["rows"] = {{"source", report.inspection.rows[0]},
                  {"target", report.inspection.rows[1]},
                  {"forced", report.inspection.forced_rows}};
  const auto groups = [](const std::array<double, 2>& values) {
    return Json{{"source", values[0]}, {"target", values[1]}};
  };
  json["rates"] = {{"claimed", groups(report.rates.claimed)},
                   {"parameter", groups(report.rates.parameter)},
                   {"calibrated_parameter", groups(report.calibrated_rates)},
                   {"flops", report.rates.flops}};
  for (const char* table : {"layers", "positions", "token_classes"}) json[table] = Json::array();
  VisitCells(report.inspection, [&](const char* table, const Entry& entry) {
    Json cell = {{"group", kGroups[entry.group]}, {"module", kModules[entry.module]}};
    if (!entry.layer.empty()) cell["layer"] = entry.layer;
    if (!entry.key.empty()) cell["key"] = entry.key;
    cell["rows"] = entry.cell.rows;
    cell["skipped"] = entry.cell.skipped;
    cell["rate"] = entry.cell.rate();
    if (entry.cell.scored > 0) {
      cell["mean_margin"] = entry.cell.mean_margin();
      cell["near_share"] = entry.cell.near_share();
    }
    json[table].push_back(std::move(cell));
  });
  json["union_activity"] = Json::array();
  for (const UnionActivity& packed : report.inspection.unions) {
    Json step = {{"streams", packed.streams}, {"steps", packed.steps}};
    for (size_t m = 0; m < 2 && packed.steps > 0; ++m) step[kModules[m]] = packed.active[m];
    json["union_activity"].push_back(std::move(step));
  }
  return json;
}

std::string ToCsv(const SkipReport& report) {
  std::string csv = "table,group,module,layer,key,rows,skipped,rate,mean_margin,near_share\n";
  const auto rate = [&](const char* group, const char* key, double value) {
    absl::StrAppendFormat(&csv, "rates,%s,,,%s,,,%.6f,,\n", group, key, value);
  };
  for (size_t g = 0; g < 2; ++g) {
    rate(kGroups[g], "claimed", report.rates.claimed[g]);
    rate(kGroups[g], "parameter", report.rates.parameter[g]);
    rate(kGroups[g], "calibrated_parameter", report.calibrated_rates[g]);
  }
  rate("", "flops", report.rates.flops);
  VisitCells(report.inspection, [&](const char* table, const Entry& entry) {
    absl::StrAppendFormat(&csv, "%s,%s,%s,%s,%s,%d,%d,%.6f,", table, kGroups[entry.group],
                          kModules[entry.module], entry.layer, entry.key, entry.cell.rows,
                          entry.cell.skipped, entry.cell.rate());
    if (entry.cell.scored > 0) {
      absl::StrAppendFormat(&csv, "%.6f,%.6f\n", entry.cell.mean_margin(), entry.cell.near_share());
    } else {
      csv += ",\n";
    }
  });
  for (const UnionActivity& packed : report.inspection.unions) {
    for (size_t m = 0; m < 2; ++m) {
      const std::string active = packed.steps == 0 ? "" : absl::StrFormat("%.6f", packed.active[m]);
      absl::StrAppendFormat(&csv, "union,,%s,,%d,%d,,%s,,\n", kModules[m], packed.streams,
                            packed.steps, active);
    }
  }
  return csv;
}

}  // namespace dragoman::model
