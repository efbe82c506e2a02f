// R12 of skip_routing.md section 12.
#include "model/package/router_file.h"

#include <cmath>
#include <functional>
#include <limits>

#include "absl/strings/str_replace.h"
#include "base/file.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "model/package/router_import.h"
#include "model/package/safetensors.h"
#include "tests/support/tiny_model/test_folder.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

ModelConfig SmallConfig() {
  ModelConfig config;
  config.num_layers = 3;
  config.hidden_size = 8;
  return config;
}

std::vector<float> Numbers(size_t count, uint64_t id) {
  RandomStream random(1, "router file", 0, id);
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) values.push_back(static_cast<float>(random.NextUnit() - 0.5));
  return values;
}

Router SmallRouter(int64_t hidden = 0) {
  Router router;
  router.num_layers = 3;
  router.width = 8;
  router.hidden_size = hidden;
  router.weight = Numbers(static_cast<size_t>(3 * 2 * (hidden > 0 ? hidden : 8)), 1);
  router.bias = Numbers(12, 2);
  router.hidden_weight = Numbers(static_cast<size_t>(3 * 2 * hidden * 8), 3);
  router.hidden_bias = Numbers(static_cast<size_t>(3 * 2 * hidden), 4);
  router.theta = {0.25f, -0.5f};
  router.exempt = {1, 0, 0};
  router.target_rate = {0.25, 0.4};
  router.measured_rate = {0.251, 0.399};
  router.base_digest = "abc";
  router.source = "a test";
  return router;
}

std::string Serialized(const Router& router) {
  const absl::StatusOr<std::string> bytes = SerializeRouter(router);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.value_or("");
}

absl::StatusOr<Router> ReadBytes(const std::string& bytes,
                                 const RouterFileCheck& check = {"abc", false}) {
  const TestFolder folder;
  EXPECT_TRUE(WriteFileAtomically(folder / "router.safetensors", bytes).ok());
  return ReadRouterFile(folder / "router.safetensors", SmallConfig(), check);
}

TEST(RouterFileTest, R12_ReadsBackWhatItWroteByteForByte) {
  for (const int64_t hidden : {0, 2}) {
    const Router router = SmallRouter(hidden);

    const auto read = ReadBytes(Serialized(router));

    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->weight, router.weight);
    EXPECT_EQ(read->bias, router.bias);
    EXPECT_EQ(read->hidden_weight, router.hidden_weight);
    EXPECT_EQ(read->theta, router.theta);
    EXPECT_EQ(read->exempt, router.exempt);
    EXPECT_EQ(read->target_rate, router.target_rate);
    EXPECT_FALSE(read->digest.empty());
    EXPECT_EQ(Serialized(*read), Serialized(router));
  }
}

TEST(RouterFileTest, ARouterOfOtherWeightsNeedsPermission) {
  const std::string bytes = Serialized(SmallRouter());

  EXPECT_EQ(ReadBytes(bytes, {"other", false}).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(ReadBytes(bytes, {"other", true}).ok());
}

// A file as it stands with one tensor or metadata field changed.
std::string Changed(const std::function<void(std::vector<NamedTensor>*,
                                             std::map<std::string, std::string>*)>& change) {
  const TestFolder folder;
  EXPECT_TRUE(WriteFileAtomically(folder / "r", Serialized(SmallRouter())).ok());
  const auto file = SafetensorsFile::Open(folder / "r");
  EXPECT_TRUE(file.ok());
  std::vector<NamedTensor> tensors;
  for (const auto& [name, view] : (*file)->tensors()) tensors.push_back({name, view});
  auto metadata = (*file)->metadata();
  change(&tensors, &metadata);
  const auto bytes = SerializeSafetensors(tensors, metadata);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.value_or("");
}

NamedTensor* Find(std::vector<NamedTensor>* tensors, const char* name) {
  for (NamedTensor& tensor : *tensors) {
    if (tensor.name == name) return &tensor;
  }
  ADD_FAILURE() << name;
  return nullptr;
}

TEST(RouterFileTest, R12_HostileFilesAreRefused) {
  using Tensors = std::vector<NamedTensor>;
  using Metadata = std::map<std::string, std::string>;
  const std::string good = Serialized(SmallRouter());
  const std::vector<float> nan(2, std::numeric_limits<float>::quiet_NaN());
  const std::vector<float> inf(2, std::numeric_limits<float>::infinity());
  const std::vector<float> large(2, 2e4f);
  const auto theta = [&](const std::vector<float>& values) {
    return Changed([&](Tensors* tensors, Metadata*) {
      Find(tensors, "router.theta")->view.bytes = {reinterpret_cast<const char*>(values.data()), 8};
    });
  };
  const auto with_field = [&](const char* name, const char* value) {
    return Changed([&](Tensors*, Metadata* metadata) { (*metadata)[name] = value; });
  };
  std::string long_header = good;
  long_header[3] = '\x7F';
  std::string far_offset = good;
  far_offset = absl::StrReplaceAll(far_offset, {{"[0,192]", "[0,9223372036854775808]"}});
  std::string deep(1000, '[');
  const std::string deep_json =
      std::string("\x00\x04\x00\x00\x00\x00\x00\x00", 8) + "{\"a\":" + deep + std::string(19, ' ');
  const std::vector<std::pair<const char*, std::string>> files = {
      {"empty", ""},
      {"truncated", good.substr(0, good.size() - 4)},
      {"header length", long_header},
      {"offset of 2^63", far_offset},
      {"deep JSON", deep_json},
      {"NaN", theta(nan)},
      {"infinity", theta(inf)},
      {"theta too large", theta(large)},
      {"wrong dtype", Changed([](Tensors* tensors, Metadata*) {
         Find(tensors, "router.theta")->view = {DType::kBF16, {4}, "01234567"};
       })},
      {"wrong shape", Changed([](Tensors* tensors, Metadata*) {
         Find(tensors, "router.bias")->view.shape = {12};
       })},
      {"missing tensor", Changed([](Tensors* tensors, Metadata*) { tensors->pop_back(); })},
      {"extra tensor", Changed([](Tensors* tensors, Metadata*) {
         tensors->push_back({"adapter.weight", {DType::kF32, {1}, "0123"}});
       })},
      {"layers", with_field("num_layers", "4")},
      {"width", with_field("width", "16")},
      {"format", with_field("format", "dragoman-router-2")},
      {"kv rule", with_field("kv_rule", "evict")},
      {"exempt layers", with_field("exempt_layers", "0,3")},
      {"rate", with_field("rho_source", "1.5")},
      {"not a count", with_field("num_layers", "9223372036854775808")},
      {"base", with_field("base_sha256", "other")},
      {"no kind", Changed([](Tensors*, Metadata* metadata) { metadata->erase("kind"); })},
      {"mlp without hidden tensors", with_field("kind", "mlp")},
  };
  ASSERT_TRUE(ReadBytes(good).ok());
  for (const auto& [what, bytes] : files) {
    EXPECT_FALSE(ReadBytes(bytes).ok()) << what;
  }
}

// A SkipGPT state dict of two logits per module.
std::string TwoLogitFile(int64_t hidden, const char* prefix, std::vector<std::string>* kept) {
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    size_t count = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    const std::vector<float> values = Numbers(count, kept->size() + 10);
    kept->push_back(std::string(reinterpret_cast<const char*>(values.data()), count * 4));
    tensors.push_back({name, {DType::kF32, std::move(shape), {}}});
  };
  for (int layer = 0; layer < 3; ++layer) {
    for (const char* module : {"router_attention", "router_mlp"}) {
      const std::string base = absl::StrCat(prefix, "model.layers.", layer, ".block.", module, ".");
      if (hidden > 0) {
        add(base + "hidden_layer.weight", {hidden, 8});
        add(base + "hidden_layer.bias", {hidden});
      }
      add(base + "weight_predictor.weight", {2, hidden > 0 ? hidden : 8});
      add(base + "weight_predictor.bias", {2});
    }
  }
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].view.bytes = (*kept)[i];
  return SerializeSafetensors(tensors, {}).value_or("");
}

TEST(RouterImportTest, R12_TwoLogitsCollapseToTheirDifference) {
  for (const int64_t hidden : {0, 2}) {
    std::vector<std::string> kept;
    const TestFolder folder;
    ASSERT_TRUE(
        WriteFileAtomically(folder / "s", TwoLogitFile(hidden, "base_model.model.", &kept)).ok());

    const auto router = ImportRouter(folder / "s", SmallConfig());

    ASSERT_TRUE(router.ok()) << router.status();
    EXPECT_EQ(router->hidden_size, hidden);
    EXPECT_EQ(router->input, RouterInput::kRaw);
    EXPECT_EQ(router->noise, "sampled");
    // z of layer 1, module 1 for one input, from the two logits.
    const std::vector<float> x = Numbers(8, 99);
    const size_t per_module = hidden > 0 ? 4 : 2, at = 3 * per_module;
    const auto tensor = [&](size_t index) {
      return reinterpret_cast<const float*>(kept[at + index].data());
    };
    std::vector<double> u(x.begin(), x.end());
    if (hidden > 0) {
      u.assign(static_cast<size_t>(hidden), 0);
      for (int64_t j = 0; j < hidden; ++j) {
        double sum = tensor(1)[j];
        for (int64_t i = 0; i < 8; ++i) sum += tensor(0)[j * 8 + i] * x[static_cast<size_t>(i)];
        u[static_cast<size_t>(j)] = std::max(sum, 0.0);
      }
    }
    const float* weight = tensor(per_module - 2);
    const float* bias = tensor(per_module - 1);
    const size_t width = u.size();
    double wanted = bias[0] - bias[1], got = router->bias_of(1, 1, 1);
    for (size_t i = 0; i < width; ++i) {
      wanted += (weight[i] - weight[width + i]) * u[i];
      got += router->weights_of(1)[width + i] * u[i];
    }
    EXPECT_NEAR(got, wanted, 1e-5 * std::max(1.0, std::fabs(wanted)));
    EXPECT_EQ(router->bias_of(0, 1, 1), router->bias_of(1, 1, 1));
  }
}

TEST(RouterImportTest, RefusesWhatIsNoSkipGptRouter) {
  std::vector<std::string> kept;
  const TestFolder folder;
  std::string bytes = TwoLogitFile(0, "", &kept);
  ModelConfig larger = SmallConfig();
  larger.num_layers = 4;
  ASSERT_TRUE(WriteFileAtomically(folder / "s", bytes).ok());
  EXPECT_EQ(ImportRouter(folder / "s", larger).status().code(), StatusCode::kFailedPrecondition);

  bytes =
      SerializeSafetensors({{"model.layers.0.adapter.down.weight", {DType::kF32, {1}, "0123"}}}, {})
          .value_or("");
  ASSERT_TRUE(WriteFileAtomically(folder / "a", bytes).ok());

  EXPECT_EQ(ImportRouter(folder / "a", SmallConfig()).status().code(),
            StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace dragoman::model
