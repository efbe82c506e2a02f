#include "model/package/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <utility>

#include "base/status_macros.h"
#include "base/strings.h"
#include "model/package/package_json.h"
#include "model/package/plain_name.h"

namespace dragoman::model {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // limit of the format
constexpr size_t kLengthBytes = 8;
constexpr char kMetadataKey[] = "__metadata__";

struct DTypeFacts {
  DType dtype;
  const char* name;
  size_t bytes;
};
constexpr std::array<DTypeFacts, 10> kDTypes = {{{DType::kF64, "F64", 8},
                                                 {DType::kF32, "F32", 4},
                                                 {DType::kF16, "F16", 2},
                                                 {DType::kBF16, "BF16", 2},
                                                 {DType::kI64, "I64", 8},
                                                 {DType::kI32, "I32", 4},
                                                 {DType::kI16, "I16", 2},
                                                 {DType::kI8, "I8", 1},
                                                 {DType::kU8, "U8", 1},
                                                 {DType::kBool, "BOOL", 1}}};
// Element types that the format knows and that no weight of ours can have.
constexpr std::array<const char*, 5> kForeignDTypes = {"U64", "U32", "U16", "F8_E4M3", "F8_E5M2"};

const DTypeFacts& Facts(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

absl::StatusOr<DType> ParseDType(const std::string& name) {
  for (const DTypeFacts& facts : kDTypes) {
    if (name == facts.name) return facts.dtype;
  }
  for (const char* foreign : kForeignDTypes) {
    if (name == foreign) {
      return absl::UnimplementedError(absl::StrCat("dtype ", name, " is not supported"));
    }
  }
  return absl::DataLossError(absl::StrCat("unknown dtype ", QuotedName(name)));
}

// A header integer: not negative, not a float, at most INT64_MAX.
absl::StatusOr<int64_t> ParseCount(const Json& value, const char* what) {
  if (!value.is_number_integer() || (!value.is_number_unsigned() && value.get<int64_t>() < 0) ||
      (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))) {
    return absl::DataLossError(absl::StrCat(what, " is ", DumpJson(value).substr(0, 40),
                                            ", must be an integer of 0 to 2^63-1"));
  }
  return value.get<int64_t>();
}

// Bytes of a tensor, or DataLoss when the product does not fit.
absl::StatusOr<int64_t> CheckedBytes(const std::vector<int64_t>& shape, DType dtype) {
  int64_t bytes = 1;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) {
      return absl::DataLossError("the product of the shape overflows");
    }
  }
  if (__builtin_mul_overflow(bytes, static_cast<int64_t>(DTypeBytes(dtype)), &bytes)) {
    return absl::DataLossError("the byte count of the shape overflows");
  }
  return bytes;
}

struct Entry {
  std::string name;
  TensorView view;
  int64_t begin = 0;
  int64_t end = 0;
};

absl::StatusOr<Entry> ParseEntry(const std::string& name, const Json& value) {
  Entry entry;
  entry.name = name;
  if (!value.is_object()) return absl::DataLossError("entry is not an object");
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    if (!value.contains(field)) {
      return absl::DataLossError(absl::StrCat("field \"", field, "\" is missing"));
    }
  }
  const Json& dtype = value.at("dtype");
  if (!dtype.is_string()) return absl::DataLossError("dtype is not a string");
  DRAGOMAN_ASSIGN_OR_RETURN(entry.view.dtype, ParseDType(dtype.get<std::string>()));
  const Json& shape = value.at("shape");
  if (!shape.is_array()) return absl::DataLossError("shape is not an array");
  for (const Json& size : shape) {
    DRAGOMAN_ASSIGN_OR_RETURN(const int64_t count, ParseCount(size, "a shape entry"));
    entry.view.shape.push_back(count);
  }
  const Json& offsets = value.at("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) {
    return absl::DataLossError("data_offsets is not an array of two");
  }
  DRAGOMAN_ASSIGN_OR_RETURN(entry.begin, ParseCount(offsets[0], "data_offsets begin"));
  DRAGOMAN_ASSIGN_OR_RETURN(entry.end, ParseCount(offsets[1], "data_offsets end"));
  if (entry.begin > entry.end) return absl::DataLossError("data_offsets end before begin");
  DRAGOMAN_ASSIGN_OR_RETURN(const int64_t bytes, CheckedBytes(entry.view.shape, entry.view.dtype));
  if (bytes != entry.end - entry.begin) {
    return absl::DataLossError(absl::StrCat("shape and dtype need ", bytes, " bytes, offsets give ",
                                            entry.end - entry.begin));
  }
  return entry;
}

absl::StatusOr<std::map<std::string, std::string>> ParseMetadata(const Json& value) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) return absl::DataLossError("__metadata__ is not an object");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      return absl::DataLossError(
          absl::StrCat("__metadata__ entry ", QuotedName(key), " is not a string"));
    }
    metadata.emplace(key, text.get<std::string>());
  }
  return metadata;
}

// The tensors must cover the data without gap or overlap.
absl::Status CheckCoverage(std::vector<Entry>* entries, size_t data_bytes) {
  std::stable_sort(entries->begin(), entries->end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t covered = 0;
  for (const Entry& entry : *entries) {
    if (entry.begin != covered) {
      return absl::DataLossError(absl::StrCat("tensor ", QuotedName(entry.name), " begins at ",
                                              entry.begin, ", the one before ends at ", covered,
                                              entry.begin < covered ? ": overlap" : ": gap"));
    }
    covered = entry.end;
  }
  if (static_cast<uint64_t>(covered) != data_bytes) {
    return absl::DataLossError(absl::StrCat("tensors need ", covered, " bytes, the file has ",
                                            data_bytes, " after the header"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> HeaderOf(std::string_view bytes, uint64_t max_bytes) {
  if (bytes.size() < kLengthBytes) {
    return absl::DataLossError(absl::StrCat("file of ", bytes.size(), " bytes has no header"));
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  if (length > max_bytes) {
    return absl::DataLossError(absl::StrCat("header length ", length, ", limit ", max_bytes));
  }
  if (length > bytes.size() - kLengthBytes) {
    return absl::DataLossError(
        absl::StrCat("header length ", length, ", file has ", bytes.size(), " bytes"));
  }
  const std::string_view header = bytes.substr(kLengthBytes, length);
  if (header.empty() || header[0] != '{') {
    return absl::DataLossError("header does not begin with {");
  }
  return header;
}

}  // namespace

size_t DTypeBytes(DType dtype) { return Facts(dtype).bytes; }
const char* DTypeName(DType dtype) { return Facts(dtype).name; }

int64_t TensorView::num_elements() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::string& path,
                                                                       uint64_t max_header_bytes) {
  absl::StatusOr<std::unique_ptr<MappedFile>> mapped = MappedFile::Open(path);
  if (!mapped.ok()) {
    // A folder or device in place of the file is as good as no file.
    if (mapped.status().code() != absl::StatusCode::kInvalidArgument) return mapped.status();
    return absl::NotFoundError(std::string(mapped.status().message()));
  }
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile());
  file->file_ = *std::move(mapped);
  const absl::Status status = file->Parse(std::min(max_header_bytes, kMaxHeaderBytes));
  if (!status.ok()) return AddContext(status, path);
  return file;
}

absl::Status SafetensorsFile::Parse(uint64_t max_header_bytes) {
  const std::string_view bytes = file_->bytes();
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string_view header, HeaderOf(bytes, max_header_bytes));
  const absl::StatusOr<Json> json =
      ParsePackageJson(header, {.max_bytes = kMaxHeaderBytes, .max_depth = 8});
  if (!json.ok()) return AddContext(json.status(), "header");
  const std::string_view data = bytes.substr(kLengthBytes + header.size());
  std::vector<Entry> entries;
  for (const auto& [name, value] : json->items()) {
    if (name == kMetadataKey) {
      DRAGOMAN_ASSIGN_OR_RETURN(metadata_, ParseMetadata(value));
      continue;
    }
    absl::StatusOr<Entry> entry = ParseEntry(name, value);
    if (!entry.ok()) {
      return AddContext(entry.status(), absl::StrCat("tensor ", QuotedName(name)));
    }
    entries.push_back(*std::move(entry));
  }
  DRAGOMAN_RETURN_IF_ERROR(CheckCoverage(&entries, data.size()));
  for (Entry& entry : entries) {
    entry.view.bytes = data.substr(entry.begin, entry.end - entry.begin);
    tensors_.emplace(std::move(entry.name), std::move(entry.view));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SerializeSafetensors(
    const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::set<std::string_view> names;
  int64_t end = 0;
  for (const NamedTensor& tensor : tensors) {
    const TensorView& view = tensor.view;
    if (tensor.name == kMetadataKey || !names.insert(tensor.name).second ||
        !IsValidUtf8(tensor.name)) {
      return absl::InvalidArgumentError(absl::StrCat("tensor name ", QuotedName(tensor.name),
                                                     " is reserved, double or not UTF-8"));
    }
    for (const int64_t size : view.shape) {
      if (size < 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("tensor ", QuotedName(tensor.name), " has a negative size"));
      }
    }
    const absl::StatusOr<int64_t> bytes = CheckedBytes(view.shape, view.dtype);
    if (!bytes.ok() || static_cast<uint64_t>(*bytes) != view.bytes.size()) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", QuotedName(tensor.name), " has ",
                                                     view.bytes.size(),
                                                     " bytes, which its shape contradicts"));
    }
    header[tensor.name] = {{"dtype", DTypeName(view.dtype)},
                           {"shape", view.shape},
                           {"data_offsets", {end, end + *bytes}}};
    end += *bytes;
  }
  std::string text = DumpJson(header);
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("header of ", text.size(), " bytes, limit ", kMaxHeaderBytes));
  }
  std::string file;
  file.reserve(kLengthBytes + text.size() + end);
  for (size_t i = 0; i < kLengthBytes; ++i) {
    file.push_back(static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * i)));
  }
  file.append(text);
  for (const NamedTensor& tensor : tensors) file.append(tensor.view.bytes);
  return file;
}

}  // namespace dragoman::model
