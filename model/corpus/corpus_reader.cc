#include "model/corpus/corpus_reader.h"

#include <lzma.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace dragoman::model {
namespace {

constexpr size_t kMaxTextBytes = size_t{4} << 30;

absl::StatusOr<std::string> DecompressXz(const std::string& path, std::string_view bytes) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, uint64_t{512} << 20, LZMA_CONCATENATED) != LZMA_OK) {
    return absl::InternalError(absl::StrCat(path, ": the xz decoder cannot be made"));
  }
  std::string text;
  std::string buffer(size_t{1} << 20, '\0');
  stream.next_in = reinterpret_cast<const uint8_t*>(bytes.data());
  stream.avail_in = bytes.size();
  lzma_ret result = LZMA_OK;
  while (result == LZMA_OK && text.size() <= kMaxTextBytes) {
    stream.next_out = reinterpret_cast<uint8_t*>(buffer.data());
    stream.avail_out = buffer.size();
    result = lzma_code(&stream, LZMA_FINISH);
    text.append(buffer, 0, buffer.size() - stream.avail_out);
  }
  lzma_end(&stream);
  if (result != LZMA_STREAM_END) {
    return absl::DataLossError(
        absl::StrCat(path, ": damaged xz file or more than ", kMaxTextBytes, " bytes of text"));
  }
  return text;
}

absl::StatusOr<SentencePair> ParseTsv(const std::string& line, const std::string& source_language) {
  const std::vector<std::string> columns = absl::StrSplit(line, '\t');
  if (columns.size() < 3) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", columns.size(), " tab-separated columns; expected language, source, target"));
  }
  SentencePair pair;
  pair.source_language = source_language;
  pair.target_language = columns[0];
  pair.source = columns[1];
  pair.target = columns[2];
  if (columns.size() > 3) pair.corpus = columns[3];
  if (columns.size() > 4) pair.may_ship = columns[4] == "yes";
  return pair;
}

absl::StatusOr<SentencePair> ParseJsonLine(const std::string& line) {
  DRAGOMAN_ASSIGN_OR_RETURN(const Json object, ParseJson(line));
  SentencePair pair;
  DRAGOMAN_ASSIGN_OR_RETURN(pair.source, GetString(object, "src", "sample"));
  DRAGOMAN_ASSIGN_OR_RETURN(pair.target, GetString(object, "tgt", "sample"));
  DRAGOMAN_ASSIGN_OR_RETURN(pair.source_language, GetString(object, "src_lang", "sample"));
  DRAGOMAN_ASSIGN_OR_RETURN(pair.target_language, GetString(object, "tgt_lang", "sample"));
  if (object.contains("corpus")) {
    DRAGOMAN_ASSIGN_OR_RETURN(pair.corpus, GetString(object, "corpus", "sample"));
  }
  if (object.contains("may_ship")) {
    DRAGOMAN_ASSIGN_OR_RETURN(pair.may_ship, GetBool(object, "may_ship", "sample"));
  }
  return pair;
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  DRAGOMAN_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, kMaxTextBytes));
  if (!absl::EndsWith(path, ".xz")) return bytes;
  return DecompressXz(path, bytes);
}

absl::StatusOr<std::vector<std::string>> ReadLines(const std::string& path) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  std::vector<std::string> lines;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    size_t length = end - begin;
    if (length > 0 && text[begin + length - 1] == '\r') --length;
    lines.push_back(text.substr(begin, length));
    begin = end + 1;
  }
  return lines;
}

absl::Status ReadPairs(const std::string& path, const std::string& default_source,
                       const std::function<void(SentencePair)>& visit) {
  const std::string name(absl::StripSuffix(path, ".xz"));
  const bool json = absl::EndsWith(name, ".jsonl");
  if (!json && !absl::EndsWith(name, ".tsv")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": unknown kind; use .tsv, .jsonl, .tsv.xz or .jsonl.xz"));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::vector<std::string> lines, ReadLines(path));
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    if (!IsValidUtf8(lines[i])) {
      return absl::InvalidArgumentError(absl::StrCat(path, ", line ", i + 1, ": not UTF-8"));
    }
    absl::StatusOr<SentencePair> pair =
        json ? ParseJsonLine(lines[i]) : ParseTsv(lines[i], default_source);
    if (!pair.ok()) return AddContext(pair.status(), absl::StrCat(path, ", line ", i + 1));
    visit(std::move(*pair));
  }
  return absl::OkStatus();
}

}  // namespace dragoman::model
