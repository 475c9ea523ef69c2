// `FloatTiles`: tiles of C in vector registers, by fused multiply-adds.

#ifndef LLMGNN_JAX_TEXT_NATIVE_PANELS_H_
#define LLMGNN_JAX_TEXT_NATIVE_PANELS_H_

#include <algorithm>
#include <cstring>

#include "lanes.h"
#include "matmul.h"
#include "transpose.h"

namespace llmgnn {

struct FloatTiles {
  using Packed = float;
  struct Session {};
#ifdef __AVX512F__
  static constexpr int64_t kRows = 14;  // with 2 columns of lanes: 28 of 32 registers
#else
  static constexpr int64_t kRows = 6;
#endif
  static constexpr int64_t kColumns = 2 * kWidth;

  // How much so many values of K take.
  static int64_t PartOfA(int64_t depth) { return kRows * depth; }
  static int64_t PartOfB(int64_t depth) { return kColumns * depth; }

  // Values first..last of K beyond `start`, to where they are in the tile.
  static void PackA(const Operand& a, int64_t row, int64_t rows, int64_t start,
                    int64_t first, int64_t last, float* to) {
    const int64_t depth = last - first;
    start += first;
    to += first * kRows;
    if (a.transposed) {
      PackStraight(a.data + start * a.stride + row, a.stride, rows, depth, to, kRows);
      if (a.gelu) ToGelu(to, kRows * depth);
    } else {
      PackTurned(a.data + row * a.stride + start, a.stride, rows, depth, to, kRows);
    }
  }

  static void PackB(const Operand& b, int64_t start, int64_t first, int64_t last,
                    int64_t column, int64_t columns, float* to) {
    const int64_t depth = last - first;
    start += first;
    to += first * kColumns;
    if (b.transposed)
      PackTurned(b.data + column * b.stride + start, b.stride, columns, depth, to,
                 kColumns);
    else
      PackStraight(b.data + start * b.stride + column, b.stride, columns, depth, to,
                   kColumns);
  }

  static void Tile(const float* a, const float* b, int64_t depth, float* c,
                   int64_t stride, int64_t rows, int64_t columns, bool add) {
    Lane sums[kRows][2] = {};
    for (int64_t k = 0; k < depth; ++k, a += kRows, b += kColumns) {
      const Lane left = Load(b), right = Load(b + kWidth);
#pragma GCC unroll 14
      for (int i = 0; i < kRows; ++i) {
        const Lane factor = Fill(a[i]);
        sums[i][0] += factor * left;
        sums[i][1] += factor * right;
      }
    }
    if (rows == kRows && columns == kColumns) {
#pragma GCC unroll 14
      for (int i = 0; i < kRows; ++i) {
        float* to = c + i * stride;
        if (add) {
          sums[i][0] += Load(to);
          sums[i][1] += Load(to + kWidth);
        }
        Save(to, sums[i][0]);
        Save(to + kWidth, sums[i][1]);
      }
      return;
    }
    alignas(64) float whole[kRows * kColumns];
#pragma GCC unroll 14
    for (int i = 0; i < kRows; ++i) {
      Save(whole + i * kColumns, sums[i][0]);
      Save(whole + i * kColumns + kWidth, sums[i][1]);
    }
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        float sum = whole[i * kColumns + j];
        c[i * stride + j] = add ? c[i * stride + j] + sum : sum;
      }
  }

 private:
  static void ToGelu(float* to, int64_t count) {
    int64_t i = 0;
    for (; i + kWidth <= count; i += kWidth) Save(to + i, Gelu(Load(to + i)));
    for (; i < count; ++i) to[i] = Gelu(Fill(to[i]))[0];
  }

  // to[k * size + i] = from[k * stride + i], 0 for i >= count.
  static void PackStraight(const float* from, int64_t stride, int64_t count,
                           int64_t depth, float* to, int64_t size) {
    for (int64_t k = 0; k < depth; ++k, from += stride, to += size) {
      if (count == size) {
        std::memcpy(to, from, sizeof(float) * size);
      } else {
        std::memcpy(to, from, sizeof(float) * count);
        std::fill(to + count, to + size, 0.0f);
      }
    }
  }

  // to[k * size + i] = from[i * stride + k], 0 for i >= count.
  static void PackTurned(const float* from, int64_t stride, int64_t count,
                         int64_t depth, float* to, int64_t size) {
    for (int64_t i = 0; i < size; i += 16)
      for (int64_t k = 0; k < depth; k += 16)
        TransposeBlock(from + i * stride + k, stride, count - i,
                       std::min<int64_t>(16, depth - k), to + k * size + i, size,
                       std::min<int64_t>(16, size - i));
  }
};

}  // namespace llmgnn

#endif  // LLMGNN_JAX_TEXT_NATIVE_PANELS_H_
