#include <filesystem>
#include <system_error>

#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "model/tokenizer/bpe_tokenizer.h"
#include "model/tokenizer/sentencepiece_tokenizer.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {
namespace {

constexpr size_t kMaxFileBytes = size_t{64} << 20;  // the largest published ones have 17 MB

template <typename Kind>
absl::StatusOr<std::unique_ptr<Tokenizer>> WithPath(absl::StatusOr<std::unique_ptr<Kind>> tokenizer,
                                                    const std::string& path) {
  if (!tokenizer.ok()) return AddContext(tokenizer.status(), path);
  return std::unique_ptr<Tokenizer>(*std::move(tokenizer));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& folder) {
  const std::filesystem::path root(folder);
  std::error_code error;
  const std::string model_path = (root / "tokenizer.model").string();
  if (std::filesystem::exists(model_path, error)) {
    DRAGOMAN_ASSIGN_OR_RETURN(const std::string content, ReadFile(model_path, kMaxFileBytes));
    return WithPath(SentencePieceTokenizer::Create(content), model_path);
  }
  const std::string json_path = (root / "tokenizer.json").string();
  if (std::filesystem::exists(json_path, error)) {
    DRAGOMAN_ASSIGN_OR_RETURN(const std::string content, ReadFile(json_path, kMaxFileBytes));
    const absl::StatusOr<Json> document = ParseJson(content);
    if (!document.ok()) {
      // The bytes of a model file are at fault, not what a caller passed.
      return AddContext(absl::DataLossError(document.status().message()), json_path);
    }
    return WithPath(BpeTokenizer::Create(*document), json_path);
  }
  return absl::NotFoundError(
      absl::StrFormat("%s has neither tokenizer.model nor tokenizer.json", folder));
}

}  // namespace dragoman::model
