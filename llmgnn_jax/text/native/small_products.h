// Products of matrices as small as a head's of one text, by one thread, in cache.

#ifndef LLMGNN_JAX_TEXT_NATIVE_SMALL_PRODUCTS_H_
#define LLMGNN_JAX_TEXT_NATIVE_SMALL_PRODUCTS_H_

#include <algorithm>
#include <cstdint>

#include "lanes.h"
#include "matmul.h"
#include "threads.h"
#include "tiles.h"

namespace llmgnn {

// c = a b (+ c): a(i, k) at a[i * row + k * column]; b and c row by row, `width` columns,
// a multiple of kWidth.
template <int R, int C>
void SmallTile(const float* a, int64_t row, int64_t column, const float* b, int64_t b_row,
               int64_t depth, float* c, int64_t c_row, bool add) {
  Lane sums[R][C] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Lane right[C];
    for (int j = 0; j < C; ++j) right[j] = Load(b + k * b_row + j * kWidth);
#pragma GCC unroll 12
    for (int i = 0; i < R; ++i) {
      const Lane factor = Fill(a[i * row + k * column]);
      for (int j = 0; j < C; ++j) sums[i][j] += factor * right[j];
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < R; ++i)
    for (int j = 0; j < C; ++j) {
      float* to = c + i * c_row + j * kWidth;
      Save(to, add ? Load(to) + sums[i][j] : sums[i][j]);
    }
}

template <int C>
void SmallColumns(const float* a, int64_t row, int64_t column, const float* b,
                  int64_t b_row, int64_t depth, float* c, int64_t c_row, int64_t rows,
                  bool add) {
  constexpr int kMost = C == 4 ? 6 : 12;
  int64_t i = 0;
  for (; i + kMost <= rows; i += kMost)
    SmallTile<kMost, C>(a + i * row, row, column, b, b_row, depth, c + i * c_row, c_row, add);
  for (; i + 4 <= rows; i += 4)
    SmallTile<4, C>(a + i * row, row, column, b, b_row, depth, c + i * c_row, c_row, add);
  for (; i < rows; ++i)
    SmallTile<1, C>(a + i * row, row, column, b, b_row, depth, c + i * c_row, c_row, add);
}

void SmallProduct(const float* a, int64_t row, int64_t column, const float* b,
                  int64_t b_row, int64_t depth, float* c, int64_t c_row, int64_t rows,
                  int64_t width, bool add) {
  int64_t j = 0;
  for (; j + 4 * kWidth <= width; j += 4 * kWidth)
    SmallColumns<4>(a, row, column, b + j, b_row, depth, c + j, c_row, rows, add);
  for (; j + 2 * kWidth <= width; j += 2 * kWidth)
    SmallColumns<2>(a, row, column, b + j, b_row, depth, c + j, c_row, rows, add);
  for (; j < width; j += kWidth)
    SmallColumns<1>(a, row, column, b + j, b_row, depth, c + j, c_row, rows, add);
}

// Products in float32.
struct FloatProducts {
  struct Session {};

  static void Multiply(const float* a, int64_t row, int64_t column, const float* b,
                       int64_t b_row, int64_t depth, float* c, int64_t c_row,
                       int64_t rows, int64_t width, bool add) {
    SmallProduct(a, row, column, b, b_row, depth, c, c_row, rows, width, add);
  }
};

#ifdef LLMGNN_MATRIX_TILES

// The same with operands rounded to bfloat16, in the matrix registers. Of few rows and
// columns in float32: to copy them into tiles would take longer than to multiply them.
struct MatrixProducts {
  using Session = MatrixTiles::Session;
  using Tiles = MatrixTilesOf<1>;
  static constexpr int64_t kFewest = 8192;  // multiplications

  static void Multiply(const float* a, int64_t row, int64_t column, const float* b,
                       int64_t b_row, int64_t depth, float* c, int64_t c_row,
                       int64_t rows, int64_t width, bool add) {
    if (rows * width * depth < kFewest)
      return SmallProduct(a, row, column, b, b_row, depth, c, c_row, rows, width, add);
    static thread_local Scratch memory;
    constexpr int64_t kRows = Tiles::kRows, kColumns = Tiles::kColumns;
    const int64_t panels = (width + kColumns - 1) / kColumns;
    const int64_t tile_size = Tiles::PartOfA(depth), panel_size = Tiles::PartOfB(depth);
    uint16_t* tile = memory.Get<uint16_t>(tile_size + panels * panel_size);
    uint16_t* panel = tile + tile_size;
    const Operand right{b, b_row, false, false};
    const Operand left{a, column == 1 ? row : column, column != 1, false};
    for (int64_t p = 0; p < panels; ++p)
      Tiles::PackB(right, 0, 0, depth, p * kColumns,
                   std::min(kColumns, width - p * kColumns), panel + p * panel_size);
    for (int64_t i = 0; i < rows; i += kRows) {
      const int64_t here = std::min(kRows, rows - i);
      Tiles::PackA(left, i, here, 0, 0, depth, tile);
      for (int64_t p = 0; p < panels; ++p)
        Tiles::Tile(tile, panel + p * panel_size, depth, c + i * c_row + p * kColumns,
                    c_row, here, std::min(kColumns, width - p * kColumns), add);
    }
  }
};

#endif

// body(products), an object of the kind that this precision takes here.
template <typename Body>
auto WithProducts(bool bfloat16, const Body& body) {
#ifdef LLMGNN_MATRIX_TILES
  if (bfloat16 && MatrixTiles::Usable()) return body(MatrixProducts());
#endif
  return body(FloatProducts());
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_TEXT_NATIVE_SMALL_PRODUCTS_H_
