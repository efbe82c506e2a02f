#include "model/package/model_package.h"

#include <filesystem>
#include <fstream>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "gtest/gtest.h"
#include "model/package/architecture_tensors.h"
#include "model/package/float_conversion.h"
#include "model/package/package_test_data.h"
#include "model/package/package_writer.h"
#include "tests/support/tiny_model/test_folder.h"

namespace dragoman::model {
namespace {

using absl::StatusCode;

// A package of a few kilobytes, so that every byte of it can be changed in turn.
class ModelPackageTest : public ::testing::Test {
 protected:
  ModelPackageTest() {
    int counter = 0;
    SmallPackage small =
        MakeSmallPackage([&] { return 0.25f + 0.001f * static_cast<float>(++counter); });
    contents_ = std::move(small.contents);
    storage_ = std::move(small.storage);  // a map that moves keeps its nodes
  }

  std::string folder() const { return root_ / "model"; }
  void Write() {
    const absl::Status status = WritePackage(folder(), contents_);
    ASSERT_TRUE(status.ok()) << status;
  }
  void Overwrite(const std::string& name, const std::string& content) {
    std::ofstream(folder() + "/" + name, std::ios::binary | std::ios::trunc) << content;
  }
  StatusCode LoadCode() { return ModelPackage::Load(folder()).status().code(); }

  const TestFolder root_;
  PackageContents contents_;
  std::map<std::string, std::string> storage_;
};

TEST_F(ModelPackageTest, ALayerWithoutAModuleKeepsItsShape) {
  contents_.config.layers = {{.attention = true, .mlp = false}};
  std::erase_if(contents_.tensors, [](const NamedTensor& tensor) {
    return tensor.name.find("mlp") != std::string::npos ||
           tensor.name.find("post_attention") != std::string::npos;
  });
  Write();

  const auto package = ModelPackage::Load(folder());

  ASSERT_TRUE(package.ok()) << package.status();
  EXPECT_EQ((*package)->config().layers, contents_.config.layers);
  EXPECT_EQ((*package)->TensorNames().size(), contents_.tensors.size());
}

TEST_F(ModelPackageTest, LayersOfTheManifestMustFit) {
  Write();
  const std::string path = folder() + "/dragoman.json";
  const auto load_with = [&](const Json& layers) {
    Json json = *ReadJsonFile(path);
    json.erase("manifest_sha256");
    json["layers"] = layers;
    Overwrite("dragoman.json", DumpJson(json, 2));
    return ModelPackage::Load(folder()).status();
  };
  const Json both = {{"at", true}, {"ml", true}}, none = {{"at", false}, {"ml", false}};

  EXPECT_TRUE(load_with(Json::array({both})).ok());
  for (const Json& bad : {Json::array(), Json::array({both, both}), Json::array({none}), Json(3),
                          Json::array({{{"at", true}}}), Json::array({{{"at", 1}, {"ml", true}}}),
                          Json::array({{{"at", true}, {"ml", true}, {"x", true}}})}) {
    const absl::Status status = load_with(bad);
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << DumpJson(bad) << status;
    EXPECT_NE(status.message().find("layer"), std::string::npos) << status;
  }
}

TEST_F(ModelPackageTest, LoadsWhatWasWritten) {
  Write();

  const auto package = ModelPackage::Load(folder());

  ASSERT_TRUE(package.ok()) << package.status();
  EXPECT_TRUE((*package)->has_manifest());
  EXPECT_EQ((*package)->config().ffn_size, 6);
  EXPECT_EQ((*package)->config().max_positions, 32);
  EXPECT_EQ((*package)->TensorNames().size(), contents_.tensors.size());
  for (const NamedTensor& tensor : contents_.tensors) {
    const auto view = (*package)->Tensor(tensor.name);
    ASSERT_TRUE(view.ok()) << view.status();
    EXPECT_EQ(view->bytes, tensor.view.bytes);
    EXPECT_EQ(view->shape, tensor.view.shape);
  }
  EXPECT_EQ((*package)->Tensor("model.layers.1.mlp.up_proj.weight").status().code(),
            StatusCode::kNotFound);
  const auto layout = (*package)->Layout("en", "de");
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->prompt, (std::vector<TokenId>{1, 3}));
  EXPECT_EQ((*package)->Layout("en", "fr").status().code(), StatusCode::kNotFound);
}

TEST_F(ModelPackageTest, H1_AnySingleChangedByteIsRefused) {
  contents_.copies["extra.txt"] = root_ / "extra";
  std::ofstream(root_ / "extra") << "some text\n";
  Write();
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    const std::string name = entry.path().filename().string();
    const std::string content = *ReadFile(entry.path().string());
    for (size_t i = 0; i < content.size(); ++i) {
      const char flip = static_cast<char>(1 << (i % 8));
      std::string changed = content;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      Overwrite(name, changed);
      const absl::Status status = ModelPackage::Load(folder()).status();
      ASSERT_FALSE(status.ok()) << name << " byte " << i << " xor " << int{flip};
      ASSERT_FALSE(status.message().empty());
    }
    Overwrite(name, content);
    ++files;
  }
  EXPECT_EQ(files, 4);
  EXPECT_EQ(LoadCode(), StatusCode::kOk);
}

TEST_F(ModelPackageTest, APolicyFileComesWithThePackageAndAChangedOneIsDamage) {
  Write();
  EXPECT_FALSE((*ModelPackage::Load(folder()))->align_att().has_value());

  // Twice, so that the second one replaces a file that the manifest lists.
  for (const int64_t words : {3, 2}) {
    const AlignAttSettings settings{.words = words, .heads = {{0, 1}}};
    ASSERT_TRUE(WritePolicyFile(folder(), settings).ok());
    const auto package = ModelPackage::Load(folder());
    ASSERT_TRUE(package.ok()) << package.status();
    EXPECT_EQ((*package)->align_att(), settings);
    EXPECT_TRUE((*package)->manifest().sha256.contains(kPolicyFileName));
  }
  const std::string content = *ReadFile(folder() + "/" + kPolicyFileName);
  for (size_t i = 0; i < content.size(); ++i) {
    std::string changed = content;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    Overwrite(kPolicyFileName, changed);
    EXPECT_EQ(LoadCode(), StatusCode::kDataLoss) << "byte " << i;
  }
}

TEST_F(ModelPackageTest, APolicyFileOfAnotherModelIsRefused) {
  Write();
  ASSERT_TRUE(WritePolicyFile(folder(), {.words = 2, .heads = {{1, 0}}}).ok());

  const absl::Status status = ModelPackage::Load(folder()).status();

  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("align_att.heads[0][0]"), std::string::npos) << status;
}

TEST_F(ModelPackageTest, H1_AnyTruncatedOrMissingFileIsRefused) {
  Write();
  for (const std::string name : {"config.json", "model.safetensors", "dragoman.json"}) {
    const std::string path = folder() + "/" + name;
    const std::string content = *ReadFile(path);
    for (size_t length = 0; length < content.size(); length += 7) {
      Overwrite(name, content.substr(0, length));
      EXPECT_FALSE(ModelPackage::Load(folder()).ok()) << name << " cut to " << length;
    }
    std::filesystem::remove(path);
    EXPECT_EQ(LoadCode(), StatusCode::kNotFound) << name;
    Overwrite(name, content);
  }
  EXPECT_EQ(LoadCode(), StatusCode::kOk);
}

TEST_F(ModelPackageTest, H4_AChangedTokenizerFileIsDamage) {
  contents_.copies["tokenizer.model"] = root_ / "tokenizer";
  std::ofstream(root_ / "tokenizer") << "pieces";
  Write();
  EXPECT_EQ(LoadCode(), StatusCode::kOk);

  Overwrite("tokenizer.model", "pieceS");
  EXPECT_EQ(LoadCode(), StatusCode::kDataLoss);
  std::filesystem::remove(folder() + "/tokenizer.model");
  EXPECT_EQ(LoadCode(), StatusCode::kNotFound);
}

TEST_F(ModelPackageTest, APlainFolderLoadsOnlyWhenAskedFor) {
  Write();
  std::filesystem::remove(folder() + "/dragoman.json");

  EXPECT_EQ(LoadCode(), StatusCode::kNotFound);
  const auto package = ModelPackage::Load(folder(), false);

  ASSERT_TRUE(package.ok()) << package.status();
  EXPECT_FALSE((*package)->has_manifest());
  EXPECT_EQ((*package)->manifest().max_positions, 32);
  EXPECT_EQ((*package)->Layout("en", "de").status().code(), StatusCode::kNotFound);
}

TEST_F(ModelPackageTest, WeightsDigestDependsOnWeightsOnly) {
  Write();
  const std::string digest = (*ModelPackage::Load(folder()))->weights_digest();
  contents_.manifest.name = "other";
  Write();
  EXPECT_EQ((*ModelPackage::Load(folder()))->weights_digest(), digest);
  storage_["model.norm.weight"][1] ^= 1;
  Write();
  EXPECT_NE((*ModelPackage::Load(folder()))->weights_digest(), digest);
}

TEST_F(ModelPackageTest, ManifestValuesAreChecked) {
  Write();
  const Json good = *ReadJsonFile(folder() + "/dragoman.json");
  const auto code_with = [&](const char* field, const Json& value) {
    Json json = good;
    json.erase("manifest_sha256");
    if (value.is_discarded()) {
      json.erase(field);
    } else {
      json[field] = value;
    }
    Overwrite("dragoman.json", DumpJson(json));
    return LoadCode();
  };
  EXPECT_EQ(code_with("name", "renamed by hand"), StatusCode::kOk);
  EXPECT_EQ(code_with("max_positions", 16), StatusCode::kOk);
  const std::vector<std::pair<const char*, Json>> bad = {
      {"name", ""},
      {"name", 3},
      {"unknown_field", 1},
      {"phi", -1},
      {"phi", 30},
      {"phi", 1e10},
      {"max_positions", 33},
      {"max_positions", 0},
      {"max_positions", 3},
      {"source_language", "e n"},
      {"target_languages", Json::array()},
      {"target_languages", {"de", "de"}},
      {"target_languages", {"de", "fr"}},
      {"target_languages", {"fr"}},
      {"prompts", {{"de", Json::array()}}},
      {"prompts", {{"de", {12}}}},
      {"prompts", {{"de", {-1}}}},
      {"prompts", {{"de", {1}}, {"fr", {1}}}},
      {"source_end", Json::array()},
      {"source_end", {12}},
      {"target_headers", {{"de", {99}}}},
      {"target_headers", Json::object()},
      {"end_of_target", 12},
      {"sha256", {{"config.json", "12"}}},
      {"sha256", {{"dragoman.json", std::string(64, '0')}}},
  };
  for (const auto& [field, value] : bad) {
    EXPECT_EQ(code_with(field, value), StatusCode::kFailedPrecondition)
        << field << " = " << DumpJson(value);
  }
  for (const char* field : {"name", "description", "license", "source_language", "target_languages",
                            "phi", "max_positions", "prompts", "source_end", "target_headers",
                            "end_of_target", "format_version"}) {
    EXPECT_EQ(code_with(field, Json(Json::value_t::discarded)), StatusCode::kFailedPrecondition)
        << field;
  }
  EXPECT_EQ(code_with("format_version", 2), StatusCode::kUnimplemented);
  EXPECT_EQ(code_with("sha256", {{"../config.json", std::string(64, '0')}}),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code_with("sha256", {{"config.json", std::string(64, '0')}}), StatusCode::kDataLoss);
}

TEST_F(ModelPackageTest, WriterRefusesContentsThatDoNotFitTogether) {
  const auto code = [&](const PackageContents& contents) {
    return WritePackage(folder(), contents).code();
  };
  PackageContents missing = contents_;
  missing.tensors.pop_back();
  EXPECT_EQ(code(missing), StatusCode::kInvalidArgument);
  PackageContents twice = contents_;
  twice.tensors.back() = twice.tensors.front();
  EXPECT_EQ(code(twice), StatusCode::kInvalidArgument);
  PackageContents shape = contents_;
  std::swap(shape.tensors[0].view.shape[0], shape.tensors[0].view.shape[1]);
  EXPECT_EQ(code(shape), StatusCode::kInvalidArgument);
  PackageContents layout = contents_;
  layout.manifest.end_of_target = 50;
  EXPECT_EQ(code(layout), StatusCode::kInvalidArgument);
  PackageContents positions = contents_;
  positions.manifest.max_positions = 31;
  EXPECT_EQ(code(positions), StatusCode::kInvalidArgument);
  PackageContents copy = contents_;
  copy.copies["../x"] = root_ / "x";
  EXPECT_EQ(code(copy), StatusCode::kInvalidArgument);
  copy.copies = {{"config.json", root_ / "x"}};
  EXPECT_EQ(code(copy), StatusCode::kInvalidArgument);
  copy.copies = {{"x", root_ / "absent"}};
  EXPECT_EQ(code(copy), StatusCode::kNotFound);
  PackageContents half = contents_;
  half.dtype = DType::kF16;
  EXPECT_EQ(code(half), StatusCode::kInvalidArgument);
  PackageContents infinite = contents_;
  const std::string bytes = *EncodeFloats(std::vector<float>(4, HUGE_VALF), DType::kF32);
  for (NamedTensor& tensor : infinite.tensors) {
    if (tensor.name == "model.norm.weight") tensor.view.bytes = bytes;
  }
  EXPECT_EQ(code(infinite), StatusCode::kInvalidArgument);
  // Nothing of all that is left on disk.
  EXPECT_TRUE(std::filesystem::is_empty(root_.path()));
}

TEST_F(ModelPackageTest, AFailedWriteKeepsTheOldPackage) {
  Write();
  const std::string digest = (*ModelPackage::Load(folder()))->weights_digest();
  PackageContents broken = contents_;
  broken.copies["x"] = root_ / "absent";

  EXPECT_FALSE(WritePackage(folder(), broken).ok());

  EXPECT_EQ((*ModelPackage::Load(folder()))->weights_digest(), digest);
}

TEST_F(ModelPackageTest, Bfloat16PackagesHoldRoundedWeights) {
  contents_.dtype = DType::kBF16;
  Write();

  const auto package = ModelPackage::Load(folder());
  ASSERT_TRUE(package.ok()) << package.status();
  for (const NamedTensor& tensor : contents_.tensors) {
    const TensorView view = *(*package)->Tensor(tensor.name);
    EXPECT_EQ(view.dtype, DType::kBF16);
    const std::vector<float> stored = *DecodeFloats(view);
    const std::vector<float> given = *DecodeFloats(tensor.view);
    for (size_t i = 0; i < given.size(); ++i) {
      EXPECT_EQ(stored[i], Bfloat16ToFloat(FloatToBfloat16(given[i])));
    }
  }
}

TEST_F(ModelPackageTest, AcceptsATiedHeadThatIsStoredAgainButNotAnotherOne) {
  Write();
  std::filesystem::remove(folder() + "/dragoman.json");
  Json config = *ReadJsonFile(folder() + "/config.json");
  config["tie_word_embeddings"] = true;
  Overwrite("config.json", DumpJson(config));
  std::vector<NamedTensor> tensors = contents_.tensors;
  ASSERT_EQ(tensors.back().name, "lm_head.weight");

  Overwrite("model.safetensors", *SerializeSafetensors(tensors, {}));
  EXPECT_EQ(ModelPackage::Load(folder(), false).status().code(), StatusCode::kFailedPrecondition);
  tensors.back().view.bytes = storage_["model.embed_tokens.weight"];
  Overwrite("model.safetensors", *SerializeSafetensors(tensors, {}));
  EXPECT_EQ(ModelPackage::Load(folder(), false).status().code(), StatusCode::kOk);
  tensors.pop_back();
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq",
                     {DType::kF32, {1}, std::string_view("\0\0\0\0", 4)}});
  Overwrite("model.safetensors", *SerializeSafetensors(tensors, {}));
  EXPECT_EQ(ModelPackage::Load(folder(), false).status().code(), StatusCode::kOk);
}

}  // namespace
}  // namespace dragoman::model
