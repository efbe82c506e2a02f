#include "model/tokenizer/piece_trie.h"

#include <algorithm>

namespace dragoman::model {

PieceTrie PieceTrie::Build(std::vector<std::pair<std::string_view, int32_t>> entries) {
  std::sort(entries.begin(), entries.end());
  struct Range {
    size_t begin;
    size_t end;
    size_t depth;
  };
  PieceTrie trie;
  std::vector<Range> ranges = {{0, entries.size(), 0}};  // of node i: the keys below it
  for (size_t n = 0; n < ranges.size(); ++n) {
    auto [begin, end, depth] = ranges[n];
    // The key that ends here sorts before all that go on.
    if (begin < end && entries[begin].first.size() == depth) {
      trie.nodes_[n].value = entries[begin].second;
      ++begin;
    }
    trie.nodes_[n].first_child = static_cast<uint32_t>(ranges.size());
    while (begin < end) {
      const char label = entries[begin].first[depth];
      size_t next = begin;
      while (next < end && entries[next].first[depth] == label) ++next;
      Node child;
      child.label = static_cast<unsigned char>(label);
      if (n == kRoot) trie.root_children_[child.label] = static_cast<uint32_t>(ranges.size());
      trie.nodes_.push_back(child);
      ranges.push_back({begin, next, depth + 1});
      ++trie.nodes_[n].children;
      begin = next;
    }
  }
  return trie;
}

uint32_t PieceTrie::Step(uint32_t node, unsigned char byte) const {
  if (node == kRoot) return root_children_[byte];
  const Node& parent = nodes_[node];
  const auto first = nodes_.begin() + parent.first_child;
  const auto last = first + parent.children;
  const auto found = std::lower_bound(
      first, last, byte, [](const Node& child, unsigned char b) { return child.label < b; });
  if (found == last || found->label != byte) return kNoNode;
  return static_cast<uint32_t>(found - nodes_.begin());
}

int32_t PieceTrie::Find(std::string_view key) const {
  uint32_t node = kRoot;
  for (const char c : key) {
    node = Step(node, static_cast<unsigned char>(c));
    if (node == kNoNode) return kNoValue;
  }
  return nodes_[node].value;
}

size_t PieceTrie::LongestPrefix(std::string_view text) const {
  size_t longest = 0;
  uint32_t node = kRoot;
  for (size_t i = 0; i < text.size(); ++i) {
    node = Step(node, static_cast<unsigned char>(text[i]));
    if (node == kNoNode) break;
    if (nodes_[node].value != kNoValue) longest = i + 1;
  }
  return longest;
}

}  // namespace dragoman::model
