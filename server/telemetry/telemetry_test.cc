// Everything that can be fed is fed once; then the scrape is held to docs/metrics.md and to its
// bounds.
#include "server/telemetry/telemetry.h"

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/api/gate_rule.h"
#include "server/telemetry/admin_probe.h"
#include "server/telemetry/admin_server.h"
#include "server/telemetry/client_labels.h"
#include "server/telemetry/idle_time.h"
#include "server/telemetry/leak_watch.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

using std::chrono::seconds;

// An engine that only has numbers.
class StillEngine final : public model::Engine {
 public:
  absl::StatusOr<model::SequenceId> Open(model::SequenceOptions, model::SequenceSink*) override {
    return absl::UnimplementedError("");
  }
  absl::Status Append(model::SequenceId, std::vector<model::SourceWord>) override { return {}; }
  absl::Status Finish(model::SequenceId) override { return {}; }
  absl::Status Flush(model::SequenceId, uint32_t) override { return {}; }
  absl::Status EndSegment(model::SequenceId, uint32_t) override { return {}; }
  absl::Status Remove(model::SequenceId, absl::Status, bool) override { return {}; }
  absl::Status SetPaused(model::SequenceId, bool) override { return {}; }
  model::EngineStats stats() const override {
    model::EngineStats stats;
    stats.cache = {.pages_total = 100, .pages_used = 7, .page_rows = 16, .open_streams = 2};
    return stats;
  }
  bool RunOneStep() override { return false; }
  void Start() override {}
  void Stop() override {}
  const model::Backbone& backbone() const override { std::abort(); }
};

class TlsEdge final : public EdgeStatsSource {
 public:
  EdgeStats edge_stats() const override {
    return {12, std::chrono::system_clock::time_point(seconds(1'800'000'000))};
  }
};

struct Family {
  std::string type;
  std::set<std::string> labels;
  size_t series = 0;
};

// Families of a scrape by name. Bucket bounds are no label.
std::map<std::string, Family> FamiliesOf(const std::string& scrape) {
  std::map<std::string, Family> families;
  std::string name;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(scrape, '\n'))) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (absl::StartsWith(line, "# TYPE ")) {
      name = words[2];
      EXPECT_EQ(families.count(name), 0u) << name << " is there twice";
      families[name].type = words[3];
    } else if (!line.empty() && line[0] != '#') {
      ++families[name].series;
      const size_t open = line.find('{');
      if (open == std::string::npos) continue;
      // No label value of this test holds a comma or a quote.
      for (const std::string& label : std::vector<std::string>(
               absl::StrSplit(line.substr(open + 1, line.rfind('}') - open - 1), ','))) {
        const std::string key = label.substr(0, label.find('='));
        if (key != "le") families[name].labels.insert(key);
      }
    }
  }
  return families;
}

double ValueOf(const std::string& scrape, const std::string& series) {
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(scrape, '\n'))) {
    double value = 0;
    if (absl::StartsWith(line, series + " ") &&
        absl::SimpleAtod(line.substr(series.size() + 1), &value)) {
      return value;
    }
  }
  ADD_FAILURE() << series << " is not in the scrape";
  return -1;
}

class TelemetryTest : public ::testing::Test {
 protected:
  TelemetryTest()
      : admission_({4, 4}, &clock_),
        telemetry_({&admission_, &table_, &catalog_, &clock_, "1.0", "abc", "AVX2", 0.08}) {
    auto model = std::make_shared<ServedModel>();
    model->name = "m";
    model->digest = "d";
    model->is_default = true;
    model->kv_page_bytes = 4096;
    model->kv_pages_per_slot = 10;
    model->engine = std::make_shared<StillEngine>();
    model->router = ServedRouter{"r", "d", "linear", {0.25, 0.4}};
    catalog_.Add(model);
    engine_observer_ = telemetry_.EngineObserverFor("m", Shape(), /*has_router=*/true);
  }

  // A layer of 48 + 16 attention weights and 192 of the MLP.
  static model::ModelConfig Shape() {
    model::ModelConfig shape;
    shape.num_layers = 6;
    shape.hidden_size = 4;
    shape.num_heads = 3;
    shape.num_kv_heads = 1;
    shape.head_dim = 2;
    shape.ffn_size = 16;
    return shape;
  }

  // A step of forced, source and target rows, the last with another dial than the calibrated one.
  // Gates of a row are the same in all layers.
  void FeedRoutedStep() {
    std::vector<model::StepRow> rows(5);
    rows[1].group = rows[2].group = model::RowGroup::kSource;
    rows[3].group = rows[4].group = model::RowGroup::kTarget;
    rows[4].skip_offset = -0.5f;
    std::vector<uint8_t> gates;
    for (const uint8_t bits :
         {model::kRunBoth, model::kRunMlp, model::kRunBoth, model::kRunAttention, uint8_t{0}}) {
      gates.insert(gates.end(), 6, bits);
    }
    model::SkipCounts counts;
    counts.Count(rows, gates, 6);
    model::StepRouting routing;
    routing.module_calls = {3, 7, 1, 1};
    routing.weight_bytes_saved = 1000;
    routing.kv_bytes_saved = 64;
    routing.router_ns = 500'000'000;
    engine_observer_->OnStep(
        {.source_rows = 3, .target_rows = 2, .streams = 2, .skips = &counts, .routing = &routing});
  }

  // Every event with every value of its closed label sets.
  void FeedAll(size_t num_clients) {
    ServerObserver& observer = *telemetry_.server_observer();
    for (const char* method : {"StreamTranslate", "Translate", "ListModels", "GetInfo"}) {
      observer.OnRpcStarted(method);
      for (int code = 0; code <= 16; ++code) {
        observer.OnRpcHandled(
            method, std::string(absl::StatusCodeToString(static_cast<absl::StatusCode>(code))));
        if (method == std::string("Translate")) {
          observer.OnUnary(
              "m", std::string(absl::StatusCodeToString(static_cast<absl::StatusCode>(code))),
              seconds(1));
        }
      }
    }
    observer.OnMessage("text", 10);
    for (int i = 0; i < kNumErrorReasons; ++i) observer.OnError(static_cast<ErrorReason>(i));
    for (const char* outcome : {"admitted", "timeout", "full", "cancelled", "drain"}) {
      observer.OnQueueWait("m", outcome, seconds(1));
    }
    for (size_t i = 0; i < num_clients; ++i) {
      const std::string client = absl::StrCat("client-", i);
      for (const char* policy : {"wait_k", "sentence"}) {
        const SessionLabels labels{"m", policy, client};
        observer.OnSource(labels, 3, 4);
        observer.OnFirstWrite(labels, seconds(1));
        observer.OnWord(labels, 2, seconds(1));
        FinalEvent final_event;
        final_event.reason = FinalReason::kLength;
        final_event.stats.source_tokens = 4;
        final_event.stats.target_tokens = 5;
        observer.OnFinal(labels, final_event);
      }
      for (const char* quota : {"streams", "rate", "source", "queue"}) {
        observer.OnQuotaReject(client, quota);
      }
    }
    observer.OnEvent(NoticeEvent{});
    for (const char* kind :
         {"queued", "started", "progress", "delta", "final", "flush_done", "notice", "ended"}) {
      observer.OnEventWritten(kind, 20, seconds(1));
    }
    for (int end = 0; end <= static_cast<int>(EndReason::kCancelled); ++end) {
      SessionSummary summary;
      summary.model = "m";
      summary.end = static_cast<EndReason>(end);
      summary.drain_outcome = "moved";
      observer.OnSessionEnd(summary);
    }
    observer.OnConnectionRefused("peer");
    observer.OnSelfProbeFailure();
    observer.OnAuthFailure("TOKEN_INVALID");
    observer.OnCredentialReload("tokens", "ok");
    engine_observer_->OnStep({.source_rows = 3, .target_rows = 2, .streams = 2});
    engine_observer_->OnStep({.source_rows = 3, .target_rows = 0, .streams = 1});
    FeedRoutedStep();
    telemetry_.SetEdge(&edge_);
  }

  testing::StepClock clock_;
  TlsEdge edge_;
  Admission admission_;
  SessionTable table_;
  ModelCatalog catalog_;
  Telemetry telemetry_;
  std::unique_ptr<model::EngineObserver> engine_observer_;
};

TEST_F(TelemetryTest, EveryExportedFamilyIsDocumentedWithItsLabelsAndTheOtherWayRound) {
  FeedAll(1);
  std::map<std::string, Family> documented;
  const auto text = ReadFile(DRAGOMAN_SOURCE_DIR "/docs/metrics.md");
  ASSERT_TRUE(text.ok()) << text.status();
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(*text, '\n'))) {
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    if (!absl::StartsWith(line, "| `") || cells.size() != 4) continue;
    const std::string name = cells[0].substr(3, cells[0].size() - 4);
    if (!absl::StrContains(name, '_') || absl::StrContains(name, '`')) continue;
    Family& family = documented[name];
    family.type = cells[1].substr(0, cells[1].find(' '));
    if (cells[2] != "-") {
      for (const std::string& label : std::vector<std::string>(absl::StrSplit(cells[2], ", "))) {
        family.labels.insert(label);
      }
    }
  }

  const std::map<std::string, Family> exported = FamiliesOf(telemetry_.Scrape());

  EXPECT_GT(documented.size(), 50u);
  for (const auto& [name, family] : exported) {
    ASSERT_EQ(documented.count(name), 1u) << name << " is exported and not in docs/metrics.md";
    EXPECT_EQ(family.type, documented[name].type) << name;
    // Workers are threads of a running server.
    if (name != "dragoman_worker_busy_seconds_total") {
      EXPECT_EQ(family.labels, documented[name].labels) << name;
    }
  }
  for (const auto& [name, family] : documented) {
    EXPECT_EQ(exported.count(name), 1u) << name << " is in docs/metrics.md and not exported";
  }
}

TEST_F(TelemetryTest, R38_SeriesAreBoundedWhateverClientsThereAre) {
  FeedAll(300);

  size_t series = 0;
  for (const auto& [name, family] : FamiliesOf(telemetry_.Scrape())) series += family.series;

  EXPECT_LE(series, 2000u);
  EXPECT_GT(series, 1000u);  // the worst case was built at all
}

TEST_F(TelemetryTest, AlertsSeeTheFirstRise) {
  const std::string scrape = telemetry_.Scrape();

  EXPECT_EQ(ValueOf(scrape, "dragoman_errors_total{reason=\"NO_CAPACITY\"}"), 0);
  EXPECT_EQ(ValueOf(scrape, "dragoman_self_probe_failures_total"), 0);
  EXPECT_EQ(ValueOf(scrape, "dragoman_drain_streams_total{outcome=\"cut\"}"), 0);
  EXPECT_EQ(ValueOf(scrape, "dragoman_auth_failures_total{reason=\"TOKEN_INVALID\"}"), 0);
  EXPECT_EQ(ValueOf(scrape, "dragoman_repetition_stops_total{model=\"m\"}"), 0);
}

TEST_F(TelemetryTest, GaugesOfTheEdgeNeedAnEdge) {
  EXPECT_EQ(FamiliesOf(telemetry_.Scrape()).count("dragoman_connections"), 0u);

  telemetry_.SetEdge(&edge_);

  const std::string scrape = telemetry_.Scrape();
  EXPECT_EQ(ValueOf(scrape, "dragoman_connections"), 12);
  EXPECT_EQ(ValueOf(scrape, "dragoman_tls_not_after_timestamp_seconds"), 1.8e9);
}

TEST_F(TelemetryTest, PagesAreUsedReservedOrFree) {
  const std::string scrape = telemetry_.Scrape();

  EXPECT_EQ(ValueOf(scrape, "dragoman_kv_pages{model=\"m\",state=\"used\"}"), 7);
  EXPECT_EQ(ValueOf(scrape, "dragoman_kv_pages{model=\"m\",state=\"reserved\"}"), 13);
  EXPECT_EQ(ValueOf(scrape, "dragoman_kv_pages{model=\"m\",state=\"free\"}"), 80);
}

TEST_F(TelemetryTest, IdleTimeCountsTheWaitInProgress) {
  const std::string series = "dragoman_scheduler_idle_seconds_total{model=\"m\"}";
  engine_observer_->OnWait();
  clock_.Advance(seconds(5));
  EXPECT_EQ(ValueOf(telemetry_.Scrape(), series), 5);

  engine_observer_->OnWake();
  clock_.Advance(seconds(3));
  EXPECT_EQ(ValueOf(telemetry_.Scrape(), series), 5);

  engine_observer_->OnWait();
  clock_.Advance(seconds(2));
  EXPECT_EQ(ValueOf(telemetry_.Scrape(), series), 7);
}

TEST_F(TelemetryTest, RoutedStepsFeedTheFamiliesOfSkipping) {
  FeedRoutedStep();

  const std::string scrape = telemetry_.Scrape();

  const auto rows = [&](const char* module, const char* group, const char* decision) {
    return ValueOf(
        scrape, absl::StrCat("dragoman_skip_rows_total{decision=\"", decision, "\",group=\"", group,
                             "\",model=\"m\",module=\"", module, "\"}"));
  };
  EXPECT_EQ(rows("attention", "source", "run"), 6);
  EXPECT_EQ(rows("attention", "source", "skip"), 6);
  EXPECT_EQ(rows("mlp", "source", "run"), 12);
  EXPECT_EQ(rows("mlp", "source", "skip"), 0);
  EXPECT_EQ(rows("attention", "target", "skip"), 6);
  EXPECT_EQ(rows("mlp", "target", "skip"), 12);
  EXPECT_EQ(ValueOf(scrape, "dragoman_skip_exec_total{model=\"m\",path=\"dense\"}"), 3);
  EXPECT_EQ(ValueOf(scrape, "dragoman_skip_exec_total{model=\"m\",path=\"gather\"}"), 7);
  EXPECT_EQ(ValueOf(scrape, "dragoman_skip_exec_total{model=\"m\",path=\"masked\"}"), 1);
  EXPECT_EQ(ValueOf(scrape, "dragoman_skip_exec_total{model=\"m\",path=\"empty\"}"), 1);
  EXPECT_EQ(ValueOf(scrape, "dragoman_skip_bytes_saved_total{kind=\"weight\",model=\"m\"}"), 1000);
  EXPECT_EQ(ValueOf(scrape, "dragoman_skip_bytes_saved_total{kind=\"kv\",model=\"m\"}"), 64);
  EXPECT_EQ(ValueOf(scrape, "dragoman_router_seconds_total{model=\"m\"}"), 0.5);
  EXPECT_EQ(
      ValueOf(scrape, "dragoman_skip_union_active_ratio_sum{model=\"m\",module=\"attention\"}"), 1);
  EXPECT_EQ(ValueOf(scrape,
                    "dragoman_skip_rate{model=\"m\",layer=\"5\",module=\"mlp\",group=\"target\"}"),
            1);
  EXPECT_EQ(
      ValueOf(scrape,
              "dragoman_skip_rate{model=\"m\",layer=\"0\",module=\"attention\",group=\"source\"}"),
      0.5);
  // One target row counts here: it ran the attention, a quarter of the weights.
  EXPECT_EQ(ValueOf(scrape, "dragoman_router_rate{model=\"m\",group=\"target\"}"), 0.75);
  EXPECT_EQ(ValueOf(scrape, "dragoman_router_rate{model=\"m\",group=\"source\"}"), 0.125);
  EXPECT_EQ(ValueOf(scrape, "dragoman_router_calibrated_rate{model=\"m\",group=\"target\"}"), 0.4);
}

TEST_F(TelemetryTest, SkipRatesAreThoseOfTheLastMinute) {
  FeedRoutedStep();
  EXPECT_EQ(FamiliesOf(telemetry_.Scrape())["dragoman_skip_rate"].series, 24u);

  clock_.Advance(seconds(60));

  EXPECT_EQ(FamiliesOf(telemetry_.Scrape())["dragoman_skip_rate"].series, 0u);
  EXPECT_EQ(FamiliesOf(telemetry_.Scrape())["dragoman_router_rate"].series, 0u);
}

TEST_F(TelemetryTest, AModelWithoutARouterHasNoSeriesOfSkipping) {
  Telemetry telemetry({&admission_, &table_, &catalog_, &clock_, "1.0", "abc", "AVX2", 0.08});
  const auto observer = telemetry.EngineObserverFor("plain", Shape(), /*has_router=*/false);
  observer->OnStep({.source_rows = 3, .target_rows = 2, .streams = 2});

  for (const auto& [name, family] : FamiliesOf(telemetry.Scrape())) {
    EXPECT_FALSE(absl::StartsWith(name, "dragoman_skip_")) << name;
  }
}

TEST_F(TelemetryTest, ASlotWithoutASessionIsLeakedAtTheSecondLook) {
  ASSERT_EQ(admission_.Request("c", clock_.Now(), [](Admission::Outcome, int) {}).kind,
            Admission::Answer::Kind::kAdmitted);

  EXPECT_EQ(ValueOf(telemetry_.Scrape(), "dragoman_leaked_slots_total"), 0);
  EXPECT_EQ(ValueOf(telemetry_.Scrape(), "dragoman_leaked_slots_total"), 1);
  EXPECT_EQ(ValueOf(telemetry_.Scrape(), "dragoman_leaked_slots_total"), 1);
}

TEST(AdminProbeTest, SaysWhatReadyzSays) {
  std::atomic<bool> ready{false};
  auto server = AdminServer::Start(
      "127.0.0.1:0", {[] { return ""; }, [&] { return ready.load(); }, [] { return ""; }});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto port = static_cast<uint16_t>((*server)->port());

  EXPECT_TRUE(absl::IsUnavailable(ProbeReady("127.0.0.1", port, seconds(5))));
  ready = true;
  EXPECT_TRUE(ProbeReady("127.0.0.1", port, seconds(5)).ok());
  EXPECT_TRUE(ProbeReady("0.0.0.0", port, seconds(5)).ok());
  EXPECT_TRUE(ProbeReady("localhost", port, seconds(5)).ok());
  server->reset();
  EXPECT_TRUE(absl::IsUnavailable(ProbeReady("127.0.0.1", port, seconds(5))));
  EXPECT_TRUE(absl::IsInvalidArgument(ProbeReady("no address", port, seconds(5))));
}

TEST(LeakWatchTest, OneLookAloneMayBeWrong) {
  LeakWatch watch;
  EXPECT_EQ(watch.Look(3, 2), 0u);
  EXPECT_EQ(watch.Look(3, 3), 0u);
  EXPECT_EQ(watch.Look(3, 2), 0u);
  EXPECT_EQ(watch.Look(4, 2), 1u);
  EXPECT_EQ(watch.Look(0, 5), 1u);
}

TEST(ClientLabelsTest, LaterClientsShareOneLabel) {
  ClientLabels labels;
  EXPECT_EQ(labels.LabelOf(""), "anonymous");
  for (size_t i = 0; i < ClientLabels::kMaxClients; ++i) {
    const std::string name = absl::StrCat("c", i);
    EXPECT_EQ(labels.LabelOf(name), name);
  }
  EXPECT_EQ(labels.LabelOf("late"), "other");
  EXPECT_EQ(labels.LabelOf("c63"), "c63");
}

}  // namespace
}  // namespace dragoman::server
