#include "model/tokenizer/sentencepiece_file.h"

#include <bit>
#include <cmath>
#include <unordered_set>

#include "base/status_macros.h"
#include "base/strings.h"
#include "model/tokenizer/wire_reader.h"

namespace dragoman::model {
namespace {

using PieceType = SentencePieceFile::PieceType;

// Far above any published vocabulary; keeps tables of a damaged file small.
constexpr size_t kMaxPieces = size_t{1} << 21;
constexpr size_t kMaxPieceBytes = 4096;

absl::Status WrongType(const char* message, const WireField& field) {
  return absl::DataLossError(
      absl::StrFormat("%s field %d has another wire type than the format", message, field.number));
}

absl::Status Expect(const char* message, const WireField& field, WireField::Type type) {
  return field.type == type ? absl::OkStatus() : WrongType(message, field);
}

absl::StatusOr<SentencePieceFile::Piece> ParsePiece(std::string_view bytes) {
  SentencePieceFile::Piece piece;
  WireReader reader(bytes);
  while (!reader.AtEnd()) {
    DRAGOMAN_ASSIGN_OR_RETURN(const WireField field, reader.Next());
    switch (field.number) {
      case 1:
        DRAGOMAN_RETURN_IF_ERROR(Expect("piece", field, WireField::Type::kBytes));
        piece.text = std::string(field.bytes);
        break;
      case 2:
        DRAGOMAN_RETURN_IF_ERROR(Expect("piece", field, WireField::Type::kFixed32));
        piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
        break;
      case 3:
        DRAGOMAN_RETURN_IF_ERROR(Expect("piece", field, WireField::Type::kVarint));
        if (field.value < 1 || field.value > 6) {
          return absl::DataLossError(absl::StrFormat("type %d is not 1 to 6", field.value));
        }
        piece.type = static_cast<PieceType>(field.value);
        break;
      default:
        break;  // extensions
    }
  }
  if (piece.text.empty()) return absl::DataLossError("the piece is empty");
  if (piece.text.size() > kMaxPieceBytes) {
    return absl::DataLossError(
        absl::StrFormat("the piece has %d bytes, limit %d", piece.text.size(), kMaxPieceBytes));
  }
  if (!IsValidUtf8(piece.text)) return absl::DataLossError("the piece is not UTF-8");
  if (!std::isfinite(piece.score)) return absl::DataLossError("the score is not finite");
  return piece;
}

absl::Status ParseTrainerSpec(std::string_view bytes, SentencePieceFile* file) {
  WireReader reader(bytes);
  while (!reader.AtEnd()) {
    DRAGOMAN_ASSIGN_OR_RETURN(const WireField field, reader.Next());
    switch (field.number) {
      case 3:
        DRAGOMAN_RETURN_IF_ERROR(Expect("trainer_spec", field, WireField::Type::kVarint));
        if (field.value == 1) {
          file->algorithm = SentencePieceFile::Algorithm::kUnigram;
        } else if (field.value == 2) {
          file->algorithm = SentencePieceFile::Algorithm::kBpe;
        } else if (field.value == 3 || field.value == 4) {
          return absl::FailedPreconditionError(
              "trainer_spec.model_type is word or char; unigram and bpe are built in");
        } else {
          return absl::DataLossError(
              absl::StrFormat("trainer_spec.model_type %d does not exist", field.value));
        }
        break;
      case 24:
        DRAGOMAN_RETURN_IF_ERROR(Expect("trainer_spec", field, WireField::Type::kVarint));
        if (field.value != 0) {
          return absl::FailedPreconditionError(
              "trainer_spec.treat_whitespace_as_suffix is set; word-wise streaming needs the blank "
              "in front of a word");
        }
        break;
      case 35:
        DRAGOMAN_RETURN_IF_ERROR(Expect("trainer_spec", field, WireField::Type::kVarint));
        file->byte_fallback = field.value != 0;
        break;
      case 44:
        DRAGOMAN_RETURN_IF_ERROR(Expect("trainer_spec", field, WireField::Type::kBytes));
        if (field.bytes.size() > kMaxPieceBytes || !IsValidUtf8(field.bytes)) {
          return absl::DataLossError("trainer_spec.unk_surface is not short UTF-8 text");
        }
        file->unknown_surface = std::string(field.bytes);
        break;
      default:
        break;  // how the model was trained
    }
  }
  return absl::OkStatus();
}

absl::Status ParseNormalizerSpec(std::string_view bytes, SentencePieceFile* file) {
  WireReader reader(bytes);
  while (!reader.AtEnd()) {
    DRAGOMAN_ASSIGN_OR_RETURN(const WireField field, reader.Next());
    bool* flag = nullptr;
    switch (field.number) {
      case 2:
        DRAGOMAN_RETURN_IF_ERROR(Expect("normalizer_spec", field, WireField::Type::kBytes));
        file->character_map = std::string(field.bytes);
        break;
      case 3:
        flag = &file->add_dummy_prefix;
        break;
      case 4:
        flag = &file->remove_extra_whitespaces;
        break;
      case 5:
        flag = &file->escape_whitespaces;
        break;
      default:
        break;  // name and source rules
    }
    if (flag != nullptr) {
      DRAGOMAN_RETURN_IF_ERROR(Expect("normalizer_spec", field, WireField::Type::kVarint));
      *flag = field.value != 0;
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNoDenormalizer(std::string_view bytes) {
  WireReader reader(bytes);
  while (!reader.AtEnd()) {
    DRAGOMAN_ASSIGN_OR_RETURN(const WireField field, reader.Next());
    if (field.number == 2 && field.type == WireField::Type::kBytes && !field.bytes.empty()) {
      return absl::FailedPreconditionError(
          "denormalizer_spec is set; it needs the whole text at once");
    }
  }
  return absl::OkStatus();
}

// Value of "<0xNN>", or -1.
int ParseBytePiece(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    if (c >= '0' && c <= '9') {
      value = value * 16 + (c - '0');
    } else if (c >= 'A' && c <= 'F') {
      value = value * 16 + (c - 'A' + 10);
    } else {
      return -1;
    }
  }
  return value;
}

absl::Status CheckPieces(SentencePieceFile* file) {
  std::unordered_set<std::string_view> seen;
  seen.reserve(file->pieces.size());
  file->byte_ids.fill(-1);
  int32_t unknown = -1;
  int byte_pieces = 0;
  for (size_t i = 0; i < file->pieces.size(); ++i) {
    const SentencePieceFile::Piece& piece = file->pieces[i];
    const auto id = static_cast<int32_t>(i);
    if (!seen.insert(piece.text).second) {
      return absl::DataLossError(absl::StrFormat("piece %d \"%s\" occurs twice", id, piece.text));
    }
    if (piece.type == PieceType::kUnknown) {
      if (unknown >= 0) {
        return absl::DataLossError(
            absl::StrFormat("pieces %d and %d are both the unknown piece", unknown, id));
      }
      unknown = id;
    }
    if (piece.type == PieceType::kByte) {
      const int value = ParseBytePiece(piece.text);
      if (value < 0) {
        return absl::DataLossError(
            absl::StrFormat("byte piece %d \"%s\" is not <0x00> to <0xFF>", id, piece.text));
      }
      file->byte_ids[static_cast<size_t>(value)] = id;  // text is unique, so is the value
      ++byte_pieces;
    }
  }
  if (unknown < 0) return absl::DataLossError("there is no unknown piece");
  file->unknown_id = unknown;
  if (byte_pieces != (file->byte_fallback ? 256 : 0)) {
    return absl::DataLossError(
        absl::StrFormat("%d byte pieces, but byte_fallback is %s and asks for %d", byte_pieces,
                        file->byte_fallback ? "on" : "off", file->byte_fallback ? 256 : 0));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SentencePieceFile> ParseSentencePieceFile(std::string_view content) {
  SentencePieceFile file;
  if (content.empty()) return absl::DataLossError("the file is empty");
  bool has_trainer = false;
  bool has_normalizer = false;
  WireReader reader(content);
  while (!reader.AtEnd()) {
    DRAGOMAN_ASSIGN_OR_RETURN(const WireField field, reader.Next());
    if (field.number < 1 || field.number > 5) continue;  // extensions
    DRAGOMAN_RETURN_IF_ERROR(Expect("model", field, WireField::Type::kBytes));
    switch (field.number) {
      case 1: {
        if (file.pieces.size() == kMaxPieces) {
          return absl::DataLossError(absl::StrFormat("more than %d pieces", kMaxPieces));
        }
        auto piece = ParsePiece(field.bytes);
        if (!piece.ok()) {
          return AddContext(piece.status(), absl::StrFormat("piece %d", file.pieces.size()));
        }
        file.pieces.push_back(*std::move(piece));
        break;
      }
      case 2:
        has_trainer = true;
        DRAGOMAN_RETURN_IF_ERROR(ParseTrainerSpec(field.bytes, &file));
        break;
      case 3:
        has_normalizer = true;
        DRAGOMAN_RETURN_IF_ERROR(ParseNormalizerSpec(field.bytes, &file));
        break;
      case 5:
        DRAGOMAN_RETURN_IF_ERROR(CheckNoDenormalizer(field.bytes));
        break;
      default:
        break;  // self test samples
    }
  }
  if (file.pieces.empty()) return absl::DataLossError("the file has no pieces");
  // Every trainer writes both, behind the pieces: without them the file was cut short.
  if (!has_trainer || !has_normalizer) {
    return absl::DataLossError("trainer_spec or normalizer_spec is missing");
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckPieces(&file));
  return file;
}

}  // namespace dragoman::model
