// Golden models and small byte-level vocabularies for the tests of this room.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/strings.h"
#include "model/tokenizer/bpe_tokenizer.h"
#include "model/tokenizer/sentencepiece_tokenizer.h"

namespace dragoman::model {

inline constexpr const char* kGoldenModels[] = {"unigram_nfkc.model", "bpe_identity.model"};

inline std::string GoldenPath(const std::string& name) {
  return std::string(DRAGOMAN_SOURCE_DIR) + "/tests/golden/tokenizer/" + name;
}

inline std::unique_ptr<SentencePieceTokenizer> LoadGoldenModel(const std::string& name) {
  return SentencePieceTokenizer::Create(ReadFile(GoldenPath(name)).value()).value();
}

// The entry of cases.json for one model.
inline Json GoldenCases(const std::string& name) {
  const Json all = ReadJsonFile(GoldenPath("cases.json")).value();
  for (const Json& model : all["models"]) {
    if (model["model"].get<std::string>() == name) return model;
  }
  return {};
}

// Byte-level form of plain bytes, as pieces are written in tokenizer.json.
inline std::string ByteLevelPiece(std::string_view bytes) {
  std::string piece;
  for (const char c : bytes) AppendUtf8(ByteLevelCharacter(static_cast<unsigned char>(c)), &piece);
  return piece;
}

// A byte-level tokenizer.json: ids 0..255 are the bytes, then the merges (given as plain bytes),
// then the special tokens <|im_start|> and <|im_end|> and the plain added token <think>.
inline Json ByteLevelJson(const std::vector<std::pair<std::string, std::string>>& merges,
                          const std::string& regex) {
  Json vocabulary = Json::object();
  int id = 0;
  for (; id < 256; ++id) vocabulary[ByteLevelPiece(std::string(1, static_cast<char>(id)))] = id;
  Json merge_list = Json::array();
  for (const auto& [left, right] : merges) {
    vocabulary[ByteLevelPiece(left + right)] = id++;
    // Both spellings of a merge are in use.
    if (id % 2 == 0) {
      merge_list.push_back(ByteLevelPiece(left) + " " + ByteLevelPiece(right));
    } else {
      merge_list.push_back(Json::array({ByteLevelPiece(left), ByteLevelPiece(right)}));
    }
  }
  Json root = Json::object();
  root["added_tokens"] = Json::array();
  for (const char* content : {"<|im_start|>", "<|im_end|>", "<think>"}) {
    Json token = Json::object();
    token["id"] = id++;
    token["content"] = content;
    token["special"] = std::string_view(content) != "<think>";
    root["added_tokens"].push_back(token);
  }
  root["normalizer"] = nullptr;
  Json byte_level = Json::object();
  byte_level["type"] = "ByteLevel";
  byte_level["add_prefix_space"] = false;
  byte_level["use_regex"] = regex.empty();
  if (regex.empty()) {
    root["pre_tokenizer"] = byte_level;
  } else {
    Json split = Json::object();
    split["type"] = "Split";
    split["pattern"]["Regex"] = regex;
    split["behavior"] = "Isolated";
    split["invert"] = false;
    root["pre_tokenizer"]["type"] = "Sequence";
    root["pre_tokenizer"]["pretokenizers"] = Json::array({split, byte_level});
  }
  root["model"]["type"] = "BPE";
  root["model"]["vocab"] = vocabulary;
  root["model"]["merges"] = merge_list;
  return root;
}

inline constexpr const char* kQwen2Regex =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
inline constexpr const char* kLlama3Regex =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

// Text of characters from many scripts, white space, marks and emoji; well-formed.
inline std::string RandomText(RandomStream* random, size_t characters) {
  static constexpr uint32_t kAlphabet[] = {
      'a',     'b',     'e',      'T',    'S',    '\'',   's',    'l',    'l',    ' ',
      ' ',     ' ',     '\n',     '\r',   '\t',   '.',    ',',    '1',    '2',    '3',
      '4',     '-',     '<',      '|',    '>',    0xDF,   0xE9,   0x308,  0x301,  0xA0,
      0x17F,   0x2028,  0x3000,   0x4E2D, 0x3002, 0x200B, 0x200D, 0xFEFF, 0xFFFD, 0x2581,
      0x1F44D, 0x1F3FD, 0x10FFFF, 0,      1,      0x7F,   0x85};
  std::string text;
  for (size_t i = 0; i < characters; ++i) {
    AppendUtf8(kAlphabet[random->NextBelow(std::size(kAlphabet))], &text);
  }
  return text;
}

}  // namespace dragoman::model
