// Byte trie over the pieces of a vocabulary. Nodes lie breadth first, so that the children of a
// node are neighbours. Immutable after Build, therefore thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace dragoman::model {

class PieceTrie {
 public:
  static constexpr uint32_t kRoot = 0;
  static constexpr uint32_t kNoNode = UINT32_MAX;
  static constexpr int32_t kNoValue = -1;

  // `entries`: distinct, non-empty keys with values >= 0. The keys are not kept.
  static PieceTrie Build(std::vector<std::pair<std::string_view, int32_t>> entries);

  // Child of `node` along `byte`, or kNoNode.
  uint32_t Step(uint32_t node, unsigned char byte) const;
  int32_t value(uint32_t node) const { return nodes_[node].value; }
  // Value of exactly `key`, or kNoValue.
  int32_t Find(std::string_view key) const;
  // Length of the longest key that `text` begins with, or 0.
  size_t LongestPrefix(std::string_view text) const;

 private:
  struct Node {
    uint32_t first_child = 0;
    int32_t value = kNoValue;
    uint16_t children = 0;
    unsigned char label = 0;
  };
  std::vector<Node> nodes_ = {Node{}};
  std::array<uint32_t, 256> root_children_ = [] {
    std::array<uint32_t, 256> none{};
    none.fill(kNoNode);
    return none;
  }();
};

}  // namespace dragoman::model
