#include <filesystem>
#include <system_error>

#include "base/file.h"
#include "base/status_macros.h"
#include "model/tokenizer/sentencepiece_tokenizer.h"
#include "model/tokenizer/tokenizer.h"

namespace dragoman::model {
namespace {

constexpr size_t kMaxFileBytes = size_t{64} << 20;  // the largest published ones have 17 MB

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& folder) {
  const std::filesystem::path root(folder);
  std::error_code error;
  const std::string model_path = (root / "tokenizer.model").string();
  if (std::filesystem::exists(model_path, error)) {
    DRAGOMAN_ASSIGN_OR_RETURN(const std::string content, ReadFile(model_path, kMaxFileBytes));
    auto tokenizer = SentencePieceTokenizer::Create(content);
    if (!tokenizer.ok()) return AddContext(tokenizer.status(), model_path);
    return std::unique_ptr<Tokenizer>(*std::move(tokenizer));
  }
  return absl::NotFoundError(
      absl::StrFormat("%s has neither tokenizer.model nor tokenizer.json", folder));
}

}  // namespace dragoman::model
