#include "model/tokenizer/tokenizer_json.h"

#include <unordered_map>

#include "base/status_macros.h"
#include "base/strings.h"

namespace dragoman::model {
namespace {

constexpr int64_t kMaxIds = int64_t{1} << 21;
constexpr size_t kMaxPieceBytes = 4096;

using PieceIds = std::unordered_map<std::string, int32_t>;

absl::Status NotBuiltIn(const std::string& field, const std::string& what) {
  return absl::FailedPreconditionError(
      absl::StrFormat("%s \"%s\" is not built in", field, what.substr(0, 200)));
}

const Json* Find(const Json& object, const char* field) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(field);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

absl::StatusOr<bool> BoolOr(const Json& object, const char* field, bool fallback) {
  const Json* value = Find(object, field);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    return absl::DataLossError(absl::StrFormat("%s is no boolean", field));
  }
  return value->get<bool>();
}

absl::StatusOr<std::string> TypeOf(const Json& object, const std::string& where) {
  const Json* type = Find(object, "type");
  if (type == nullptr || !type->is_string()) {
    return absl::DataLossError(where + ".type is missing or no string");
  }
  return type->get<std::string>();
}

absl::StatusOr<int32_t> ReadId(const Json& value, const std::string& what) {
  // A fraction is no integer for the parser, and neither is a number beyond 64 bits.
  if (!value.is_number_integer()) {
    return absl::DataLossError(absl::StrFormat("the id of %s is no integer", what));
  }
  if (value.is_number_unsigned() ? value.get<uint64_t>() >= static_cast<uint64_t>(kMaxIds)
                                 : value.get<int64_t>() < 0 || value.get<int64_t>() >= kMaxIds) {
    return absl::DataLossError(absl::StrFormat("the id of %s is not 0 to %d", what, kMaxIds - 1));
  }
  return static_cast<int32_t>(value.get<int64_t>());
}

absl::Status PlacePiece(int32_t id, const std::string& text, BpeFile* file) {
  const auto index = static_cast<size_t>(id);
  if (file->pieces.size() <= index) file->pieces.resize(index + 1);
  if (!file->pieces[index].empty()) {
    return absl::DataLossError(
        absl::StrFormat("id %d is both \"%s\" and \"%s\"", id, file->pieces[index], text));
  }
  file->pieces[index] = text;
  return absl::OkStatus();
}

absl::Status ReadVocabulary(const Json& model, BpeFile* file, PieceIds* ids) {
  const Json* vocabulary = Find(model, "vocab");
  if (vocabulary == nullptr || !vocabulary->is_object() || vocabulary->empty()) {
    return absl::DataLossError("model.vocab is missing, empty or no object");
  }
  ids->reserve(vocabulary->size());
  for (const auto& [text, value] : vocabulary->items()) {
    if (text.empty()) return absl::DataLossError("model.vocab has an empty piece");
    if (text.size() > kMaxPieceBytes) {
      return absl::DataLossError(absl::StrFormat("a piece of model.vocab has %d bytes, limit %d",
                                                 text.size(), kMaxPieceBytes));
    }
    DRAGOMAN_ASSIGN_OR_RETURN(const int32_t id, ReadId(value, "\"" + text + "\""));
    DRAGOMAN_RETURN_IF_ERROR(PlacePiece(id, text, file));
    ids->emplace(text, id);
  }
  return absl::OkStatus();
}

absl::Status ReadMerges(const Json& model, const PieceIds& ids, BpeFile* file) {
  const Json* merges = Find(model, "merges");
  if (merges == nullptr || !merges->is_array()) {
    return absl::DataLossError("model.merges is missing or no array");
  }
  file->merges.reserve(merges->size());
  for (size_t rank = 0; rank < merges->size(); ++rank) {
    const Json& item = (*merges)[rank];
    std::string left;
    std::string right;
    if (item.is_string()) {
      const auto text = item.get<std::string>();
      const size_t blank = text.find(' ');
      if (blank == std::string::npos || text.find(' ', blank + 1) != std::string::npos) {
        return absl::DataLossError(
            absl::StrFormat("model.merges[%d] \"%s\" has not two parts", rank, text));
      }
      left = text.substr(0, blank);
      right = text.substr(blank + 1);
    } else if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      left = item[0].get<std::string>();
      right = item[1].get<std::string>();
    } else {
      return absl::DataLossError(absl::StrFormat("model.merges[%d] has not two parts", rank));
    }
    const auto left_id = ids.find(left);
    const auto right_id = ids.find(right);
    const auto result_id = ids.find(left + right);
    if (left_id == ids.end() || right_id == ids.end() || result_id == ids.end()) {
      return absl::DataLossError(absl::StrFormat(
          "model.merges[%d] \"%s\" + \"%s\": a part or the result is not in model.vocab", rank,
          left, right));
    }
    file->merges.push_back({left_id->second, right_id->second, result_id->second});
  }
  return absl::OkStatus();
}

absl::Status ReadModel(const Json& model, BpeFile* file, PieceIds* ids) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string type, TypeOf(model, "model"));
  if (type != "BPE") return NotBuiltIn("model.type", type);
  const Json* dropout = Find(model, "dropout");
  if (dropout != nullptr && !(dropout->is_number() && dropout->get<double>() == 0)) {
    return NotBuiltIn("model.dropout", DumpJson(*dropout));
  }
  for (const char* field : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* affix = Find(model, field);
    if (affix != nullptr && *affix != "") {
      return NotBuiltIn(std::string("model.") + field, DumpJson(*affix));
    }
  }
  DRAGOMAN_RETURN_IF_ERROR(ReadVocabulary(model, file, ids));
  DRAGOMAN_RETURN_IF_ERROR(ReadMerges(model, *ids, file));
  DRAGOMAN_ASSIGN_OR_RETURN(file->byte_fallback, BoolOr(model, "byte_fallback", false));
  DRAGOMAN_ASSIGN_OR_RETURN(file->fuse_unknown, BoolOr(model, "fuse_unk", false));
  DRAGOMAN_ASSIGN_OR_RETURN(file->ignore_merges, BoolOr(model, "ignore_merges", false));
  const Json* unknown = Find(model, "unk_token");
  if (unknown != nullptr) {
    const auto id = unknown->is_string() ? ids->find(unknown->get<std::string>()) : ids->end();
    if (id == ids->end()) return absl::DataLossError("model.unk_token is not in model.vocab");
    file->unknown_id = id->second;
  }
  return absl::OkStatus();
}

absl::Status ReadAddedTokens(const Json& root, const PieceIds& ids, BpeFile* file) {
  const Json* tokens = Find(root, "added_tokens");
  if (tokens == nullptr) return absl::OkStatus();
  if (!tokens->is_array()) return absl::DataLossError("added_tokens is no array");
  for (const Json& item : *tokens) {
    const Json* content = Find(item, "content");
    const Json* number = Find(item, "id");
    if (content == nullptr || !content->is_string() || number == nullptr) {
      return absl::DataLossError("an entry of added_tokens lacks content or id");
    }
    BpeFile::AddedToken token;
    token.content = content->get<std::string>();
    if (token.content.empty() || token.content.size() > kMaxPieceBytes) {
      return absl::DataLossError("the content of an added token is empty or too long");
    }
    DRAGOMAN_ASSIGN_OR_RETURN(token.id, ReadId(*number, "added token \"" + token.content + "\""));
    DRAGOMAN_ASSIGN_OR_RETURN(token.special, BoolOr(item, "special", false));
    const auto known = ids.find(token.content);
    if (known == ids.end()) {
      DRAGOMAN_RETURN_IF_ERROR(PlacePiece(token.id, token.content, file));
    } else if (known->second != token.id) {
      return absl::DataLossError(
          absl::StrFormat("added token \"%s\" has id %d, but id %d in "
                          "model.vocab",
                          token.content, token.id, known->second));
    }
    file->added_tokens.push_back(std::move(token));
  }
  return absl::OkStatus();
}

absl::Status ReadNormalizer(const Json* normalizer, BpeFile* file) {
  if (normalizer == nullptr) return absl::OkStatus();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string type, TypeOf(*normalizer, "normalizer"));
  if (type == "NFC") {
    file->normalize_nfc = true;
    return absl::OkStatus();
  }
  // LLaMA 2: a blank in front, then "▁" for every blank.
  if (type == "Sequence") {
    static const Json kEscape = Json::parse(
        "[{\"type\":\"Prepend\",\"prepend\":\"\xE2\x96\x81\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}]",
        nullptr, /*allow_exceptions=*/false);
    const Json* parts = Find(*normalizer, "normalizers");
    if (parts != nullptr && *parts == kEscape) {
      file->escape_blanks = true;
      return absl::OkStatus();
    }
    if (parts != nullptr && parts->is_array() && parts->empty()) return absl::OkStatus();
  }
  return NotBuiltIn("normalizer", DumpJson(*normalizer));
}

absl::Status ReadByteLevel(const Json& part, bool after_split, BpeFile* file) {
  file->kind = BpeFile::Kind::kByteLevel;
  DRAGOMAN_ASSIGN_OR_RETURN(file->add_prefix_space, BoolOr(part, "add_prefix_space", true));
  DRAGOMAN_ASSIGN_OR_RETURN(const bool use_regex, BoolOr(part, "use_regex", true));
  if (after_split && (file->add_prefix_space || use_regex)) {
    return NotBuiltIn("pre_tokenizer", "ByteLevel with its own pattern or blank after Split");
  }
  if (use_regex) file->split = SplitPattern::kGpt2;
  return absl::OkStatus();
}

absl::Status ReadSplit(const Json& part, BpeFile* file) {
  const Json* pattern = Find(part, "pattern");
  const Json* regex = pattern == nullptr ? nullptr : Find(*pattern, "Regex");
  if (regex == nullptr || !regex->is_string()) {
    return NotBuiltIn("pre_tokenizer Split pattern",
                      pattern == nullptr ? "null" : DumpJson(*pattern));
  }
  file->split = FindSplitPattern(regex->get<std::string>());
  if (!file->split.has_value()) {
    return NotBuiltIn("pre_tokenizer Split pattern", regex->get<std::string>());
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const bool invert, BoolOr(part, "invert", false));
  const Json* behavior = Find(part, "behavior");
  // Every character is part of a match, so "Removed" with `invert` cuts alike.
  const bool isolated = behavior != nullptr && *behavior == "Isolated" && !invert;
  const bool removed = behavior != nullptr && *behavior == "Removed" && invert;
  if (!isolated && !removed) {
    return NotBuiltIn("pre_tokenizer Split behavior",
                      behavior == nullptr ? "null" : DumpJson(*behavior));
  }
  return absl::OkStatus();
}

absl::Status ReadPreTokenizer(const Json* pre_tokenizer, BpeFile* file) {
  if (pre_tokenizer == nullptr) return absl::OkStatus();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string type, TypeOf(*pre_tokenizer, "pre_tokenizer"));
  if (type == "ByteLevel") return ReadByteLevel(*pre_tokenizer, /*after_split=*/false, file);
  // A split without byte level is in no model family that is built in.
  if (type == "Split") {
    DRAGOMAN_RETURN_IF_ERROR(ReadSplit(*pre_tokenizer, file));
    return NotBuiltIn("pre_tokenizer", "Split without ByteLevel");
  }
  const Json* parts = Find(*pre_tokenizer, "pretokenizers");
  if (type != "Sequence" || parts == nullptr || !parts->is_array() || parts->size() != 2) {
    return NotBuiltIn("pre_tokenizer", DumpJson(*pre_tokenizer));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string first, TypeOf((*parts)[0], "pretokenizers[0]"));
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string second, TypeOf((*parts)[1], "pretokenizers[1]"));
  if (first != "Split" || second != "ByteLevel") {
    return NotBuiltIn("pre_tokenizer", first + ", " + second);
  }
  DRAGOMAN_RETURN_IF_ERROR(ReadSplit((*parts)[0], file));
  return ReadByteLevel((*parts)[1], /*after_split=*/true, file);
}

absl::Status CheckBytes(const PieceIds& ids, const BpeFile& file) {
  for (int byte = 0; byte < 256; ++byte) {
    std::string piece;
    if (file.kind == BpeFile::Kind::kByteLevel) {
      AppendUtf8(ByteLevelCharacter(static_cast<unsigned char>(byte)), &piece);
    } else if (file.byte_fallback) {
      piece = absl::StrFormat("<0x%02X>", byte);
    } else {
      return absl::OkStatus();
    }
    if (ids.count(piece) == 0) {
      return absl::DataLossError(
          absl::StrFormat("model.vocab has no piece \"%s\" for byte 0x%02X", piece, byte));
    }
  }
  return absl::OkStatus();
}

}  // namespace

uint32_t ByteLevelCharacter(unsigned char byte) {
  // Printable characters of Latin-1 stand for themselves, the rest lies from U+0100 on, in order.
  const auto printable = [](uint32_t c) {
    return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || c >= 0xAE;
  };
  if (printable(byte)) return byte;
  uint32_t character = 0x100;
  for (uint32_t c = 0; c < byte; ++c) {
    if (!printable(c)) ++character;
  }
  return character;
}

std::string DecodeByteLevelPiece(std::string_view piece) {
  static const std::unordered_map<uint32_t, char> kBytes = [] {
    std::unordered_map<uint32_t, char> bytes;
    for (int byte = 0; byte < 256; ++byte) {
      bytes[ByteLevelCharacter(static_cast<unsigned char>(byte))] = static_cast<char>(byte);
    }
    return bytes;
  }();
  std::string result;
  for (std::string_view rest = piece; !rest.empty();) {
    const size_t length = Utf8SequenceLength(rest);
    const auto byte = length == 0 ? kBytes.end() : kBytes.find(DecodeUtf8(rest, length));
    if (byte == kBytes.end()) return std::string(piece);
    result.push_back(byte->second);
    rest.remove_prefix(length);
  }
  return result;
}

absl::StatusOr<BpeFile> ParseTokenizerJson(const Json& root) {
  if (!root.is_object()) return absl::DataLossError("the document is no object");
  BpeFile file;
  PieceIds ids;
  const Json* model = Find(root, "model");
  if (model == nullptr) return absl::DataLossError("model is missing");
  DRAGOMAN_RETURN_IF_ERROR(ReadPreTokenizer(Find(root, "pre_tokenizer"), &file));
  DRAGOMAN_RETURN_IF_ERROR(ReadNormalizer(Find(root, "normalizer"), &file));
  DRAGOMAN_RETURN_IF_ERROR(ReadModel(*model, &file, &ids));
  DRAGOMAN_RETURN_IF_ERROR(ReadAddedTokens(root, ids, &file));
  DRAGOMAN_RETURN_IF_ERROR(CheckBytes(ids, file));
  return file;
}

}  // namespace dragoman::model
