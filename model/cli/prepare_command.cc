#include <cstdio>
#include <memory>

#include "model/cli/commands.h"
#include "model/corpus/prepare.h"

namespace dragoman::model {
namespace {

absl::Status RunPrepare(PrepareOptions options) {
  options.progress = [](const std::string& text) {
    std::fprintf(stderr, "prepare: %s\n", text.c_str());
  };
  const absl::StatusOr<ShardManifest> manifest = Prepare(options);
  if (!manifest.ok()) return manifest.status();
  std::printf("%s: %llu samples of %llu pairs, %llu source and %llu target tokens\n",
              options.output.c_str(), static_cast<unsigned long long>(manifest->samples),
              static_cast<unsigned long long>(manifest->pairs_read),
              static_cast<unsigned long long>(manifest->source_tokens),
              static_cast<unsigned long long>(manifest->target_tokens));
  for (const auto& [reason, count] : manifest->drops) {
    std::printf("  dropped %-15s %llu\n", reason.c_str(), static_cast<unsigned long long>(count));
  }
  return absl::OkStatus();
}

}  // namespace

void AddPrepareCommand(CLI::App* app, CommandBody* body) {
  auto options = std::make_shared<PrepareOptions>();
  CLI::App* command = app->add_subcommand(
      "prepare", "Filter parallel text, train or take a vocabulary, write binary shards");
  command
      ->add_option("--input", options->inputs,
                   "Parallel text: .tsv (language, source, target, corpus, may_ship) or .jsonl, "
                   "also .xz")
      ->required();
  command->add_option("--output", options->output, "Folder for shards and vocabulary")->required();
  command
      ->add_option("--source-language", options->source_language,
                   "Source language of tab-separated files")
      ->capture_default_str();
  command->add_flag("--may-ship-only", options->filter.may_ship_only,
                    "Leave out text whose licence forbids distributing a model trained on it");
  command->add_option("--languages", options->filter.languages, "Target languages to keep");
  command->add_option("--max-words", options->filter.max_words, "Longest side, in words")
      ->capture_default_str();
  command->add_option("--exclude", options->exclude,
                      "Files whose source sentences, and those one word away, are left out");
  command->add_option("--tokenizer", options->tokenizer_folder,
                      "Folder with a tokenizer to use instead of training one");
  command->add_flag("--augment", options->augment,
                    "Add variants with other names, links, numbers, scripts and emoji to copy, and "
                    "sources as speech recognisers write them");
  command->add_option("--vocab-size", options->vocabulary.vocab_size, "Pieces of a new vocabulary")
      ->capture_default_str()
      ->check(CLI::Range(300, 1000000));
  command->add_option("--vocab-type", options->vocabulary.model_type, "unigram or bpe")
      ->capture_default_str()
      ->check(CLI::IsMember({"unigram", "bpe"}));
  command->callback([options, body] { *body = [options] { return RunPrepare(*options); }; });
}

}  // namespace dragoman::model
