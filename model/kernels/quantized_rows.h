// Activations in int8: a row in groups of inputs, each with its own scale (its largest entry is
// 127). Dynamic: scales come from the row itself, so a row has the same bits in any batch.
#pragma once

#include <cstdint>
#include <vector>

namespace dragoman::model {

// Rows quantised for a product with weights of the same group size. Inputs are filled up with zeros
// to whole groups.
struct QuantizedRows {
  const int8_t* values = nullptr;  // [rows, groups * group]
  const float* scales = nullptr;   // [rows, groups]
  const int32_t* sums = nullptr;   // [rows, groups]: sums of the values
  int64_t groups = 0;
  int64_t group = 0;

  QuantizedRows From(int64_t row) const {
    return {values + row * groups * group, scales + row * groups, sums + row * groups, groups,
            group};
  }
};

// Memory for quantised rows. Thread-compatible; different rows may be filled at once.
class QuantizedBuffer {
 public:
  // Room for `rows` rows of `inputs`; keeps its memory from call to call.
  void Resize(int64_t rows, int64_t inputs, int64_t group);
  // Quantises x[0, inputs) into a row.
  void Fill(int64_t row, const float* x);
  // Copies a row of a buffer with the same inputs and group.
  void CopyRow(int64_t row, const QuantizedBuffer& from, int64_t from_row);
  QuantizedRows rows() const {
    return {values_.data(), scales_.data(), sums_.data(), groups_, group_};
  }

 private:
  int64_t inputs_ = 0, groups_ = 0, group_ = 0;
  std::vector<int8_t> values_;
  std::vector<float> scales_;
  std::vector<int32_t> sums_;
};

// One row: `values` [groups * group], `scales` and `sums` [groups]. Entries that are not finite
// give scales that are not finite.
void QuantizeRow(const float* x, int64_t inputs, int64_t group, int8_t* values, float* scales,
                 int32_t* sums);
void QuantizeRowReference(const float* x, int64_t inputs, int64_t group, int8_t* values,
                          float* scales, int32_t* sums);

}  // namespace dragoman::model
