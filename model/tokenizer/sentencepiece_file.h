// The content of a SentencePiece model file (sentencepiece_model.proto, ModelProto), as far as
// encoding and decoding need it, with every rule of the format checked. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace dragoman::model {

struct SentencePieceFile {
  enum class PieceType {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  struct Piece {
    std::string text;
    float score = 0;
    PieceType type = PieceType::kNormal;
  };
  enum class Algorithm { kUnigram, kBpe };

  std::vector<Piece> pieces;  // the index is the id
  Algorithm algorithm = Algorithm::kUnigram;
  bool byte_fallback = false;
  std::string unknown_surface = " \xE2\x81\x87 ";
  int32_t unknown_id = 0;
  std::array<int32_t, 256> byte_ids{};  // -1 without byte fallback

  std::string character_map;  // precompiled_charsmap, empty for identity
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// Errors: DataLoss (not a model file, a field out of its range, an empty or repeated piece, no or
// two unknown pieces, byte pieces that do not fit byte_fallback); FailedPrecondition (word and char
// models, white space as suffix, a denormaliser, which word-wise streaming cannot use).
absl::StatusOr<SentencePieceFile> ParseSentencePieceFile(std::string_view content);

}  // namespace dragoman::model
