// Further training pairs made from a pair: what a small corpus hardly shows and what a live source
// is full of. A word that stands on both sides unchanged, mostly a name, becomes another name, a
// link, an address, a number or a word of a script that the corpus does not have, the same on both
// sides, so that the model learns to copy; numbers become other numbers; an emoji is added to both
// sides; the source is written as a speech recogniser writes it, in lower case and without marks.
// Pure and deterministic.
#pragma once

#include <optional>
#include <string>

#include "base/random.h"
#include "model/corpus/sentence_pair.h"

namespace dragoman::model {

// One variant of the pair, its kind drawn from `random`; nothing where the kind does not fit it.
std::optional<SentencePair> Augment(const SentencePair& pair, RandomStream* random);

}  // namespace dragoman::model
