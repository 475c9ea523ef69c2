// Products of few rows with a large matrix, which take as long as it takes to read it.
//
// The matrix (K, N) lies in panels of 32 columns, each (K, 32) in one piece, so that a
// thread reads what it multiplies in one stream and once for all rows, whose sums stay in
// registers. In bfloat16 a word of 32 bits holds columns c (the lower half) and c + 16,
// since a float32 is those 16 bits and 16 zeros: sums and rows are float32.

#ifndef LLMGNN_JAX_TEXT_NATIVE_FEW_ROWS_H_
#define LLMGNN_JAX_TEXT_NATIVE_FEW_ROWS_H_

#include <algorithm>
#include <cstdint>

#include "lanes.h"
#include "transpose.h"

namespace llmgnn {

constexpr int64_t kPanel = 32;
constexpr int kPanelLanes = kPanel / kWidth;
// As many rows as the registers have room for beside a panel's row and a factor.
constexpr int64_t kFewRows = kPanelLanes == 2 ? 14 : kPanelLanes == 4 ? 2 : 1;
// Bytes ahead of what is multiplied: within its stream, as panels follow one another.
constexpr int64_t kAhead = 2048;

struct FloatPanel {
  using Stored = float;
  static void Get(const float* from, Lane (&lanes)[kPanelLanes]) {
    for (int j = 0; j < kPanelLanes; ++j) lanes[j] = Load(from + j * kWidth);
  }
};

struct HalfPanel {
  using Stored = uint16_t;
  static void Get(const uint16_t* from, Lane (&lanes)[kPanelLanes]) {
    constexpr int kHalf = kPanelLanes / 2;
    for (int j = 0; j < kHalf; ++j) {
      const Bits words = reinterpret_cast<const Bits*>(from)[j];
      lanes[j] = reinterpret_cast<Lane>(words << 16);
      lanes[j + kHalf] = reinterpret_cast<Lane>(words & ~0xffff);
    }
  }
};

// to (R, 32) = a (R, depth) panel (depth, 32); a(i, k) at a[k * R + i].
template <typename Panel, int R>
void MultiplyPanel(const float* a, const typename Panel::Stored* panel, int64_t depth,
                   float* to) {
  Lane sums[R][kPanelLanes] = {};
  for (int64_t k = 0; k < depth; ++k, a += R, panel += kPanel) {
    const char* ahead = reinterpret_cast<const char*>(panel) + kAhead;
    for (size_t line = 0; line < kPanel * sizeof(*panel); line += 64)
      __builtin_prefetch(ahead + line);
    Lane row[kPanelLanes];
    Panel::Get(panel, row);
#pragma GCC unroll 14
    for (int i = 0; i < R; ++i) {
      const Lane factor = Fill(a[i]);
      for (int j = 0; j < kPanelLanes; ++j) sums[i][j] += factor * row[j];
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < R; ++i)
    for (int j = 0; j < kPanelLanes; ++j) Save(to + i * kPanel + j * kWidth, sums[i][j]);
}

template <typename Panel, int R = kFewRows>
void MultiplyRows(int64_t rows, const float* a, const typename Panel::Stored* panel,
                  int64_t depth, float* to) {
  if constexpr (R > 1) {
    if (rows < R) return MultiplyRows<Panel, R - 1>(rows, a, panel, depth, to);
  }
  MultiplyPanel<Panel, R>(a, panel, depth, to);
}

// Rows in blocks of at most kFewRows, as even as can be.
struct RowBlocks {
  int64_t rows;
  int64_t count() const { return (rows + kFewRows - 1) / kFewRows; }
  int64_t start(int64_t block) const { return rows * block / count(); }
  int64_t size(int64_t block) const { return start(block + 1) - start(block); }
};

// A block of rows (R, depth) as `MultiplyPanel` reads it.
inline void PackRows(const float* from, int64_t stride, int64_t rows, int64_t depth,
                     float* to) {
  if (rows == 1) {
    std::copy_n(from, depth, to);
    return;
  }
  for (int64_t k = 0; k < depth; k += 16)
    TransposeBlock(from + k, stride, rows, std::min<int64_t>(16, depth - k), to + k * rows,
                   rows, rows);
}

// A matrix of `columns` in panels of either kind.
struct ColumnPanels {
  const void* data;
  bool half;
  int64_t depth;
  int64_t columns;

  int64_t count() const { return (columns + kPanel - 1) / kPanel; }

  // done(row, first column, columns, sums): what rows, packed block by block at
  // row * depth, make of panels first..last.
  template <typename Done>
  void Multiply(const RowBlocks& blocks, const float* packed, int64_t first, int64_t last,
                const Done& done) const {
    alignas(64) float sums[kFewRows * kPanel];
    for (int64_t p = first; p < last; ++p) {
      const int64_t size = depth * kPanel, here = std::min(kPanel, columns - p * kPanel);
      for (int64_t b = 0; b < blocks.count(); ++b) {
        const int64_t start = blocks.start(b), rows = blocks.size(b);
        const float* a = packed + start * depth;
        if (half)
          MultiplyRows<HalfPanel>(rows, a, static_cast<const uint16_t*>(data) + p * size,
                                  depth, sums);
        else
          MultiplyRows<FloatPanel>(rows, a, static_cast<const float*>(data) + p * size,
                                   depth, sums);
        for (int64_t i = 0; i < rows; ++i) done(start + i, p * kPanel, here, sums + i * kPanel);
      }
    }
  }
};

}  // namespace llmgnn

#endif  // LLMGNN_JAX_TEXT_NATIVE_FEW_ROWS_H_
