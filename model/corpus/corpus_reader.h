// Reads parallel text: tab-separated lines (language, source, target, corpus, may_ship, ...) or
// JSON lines {"src","tgt","src_lang","tgt_lang"}; either plain or xz-compressed. One thread only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/corpus/sentence_pair.h"

namespace dragoman::model {

// Whole content of a file, decompressed when the name ends in ".xz".
// Errors: those of ReadFile(); DataLoss for a damaged archive or more than 4 GiB of text.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

// Calls `visit` for every pair of the file. The kind follows the name: ".tsv[.xz]" or
// ".jsonl[.xz]". Lines of a wrong form are an error that names file and line.
// `default_source` is the source language of tab-separated files.
absl::Status ReadPairs(const std::string& path, const std::string& default_source,
                       const std::function<void(SentencePair)>& visit);

// Lines of a text file without their ends; a last line without end counts.
absl::StatusOr<std::vector<std::string>> ReadLines(const std::string& path);

}  // namespace dragoman::model
