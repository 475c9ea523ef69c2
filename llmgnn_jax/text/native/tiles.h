// Tiles of C from operands in bfloat16: AMX's matrix registers (`MatrixTilesOf`), or
// dot products of pairs in vector registers (`PairTiles`).
//
// With three planes an operand is the sum of three bfloat16, 24 bits together, which is
// all that float32 holds. The six products of planes that matter are added up, from
//     (a1 + a2 + a3)(b1 + b2 + b3)
// those of an order up to 2^-18; what is left out is below 2^-26 of a product, less than
// float32 rounds by. Infinities become NaN on this way, and values below 1e-33 lose digits:
// AMX takes what bfloat16 holds as denormal for 0.

#ifndef LLMGNN_JAX_TEXT_NATIVE_TILES_H_
#define LLMGNN_JAX_TEXT_NATIVE_TILES_H_

#include "matmul.h"

#if defined(__AVX512F__) && defined(__AVX512BF16__) && defined(__AVX512BW__)
#define LLMGNN_PAIR_TILES

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "lanes.h"
#include "transpose.h"

namespace llmgnn {

constexpr int64_t kStep = 32;  // values of K that a tile holds

// 32 float32 as P planes of 32 bfloat16.
template <int P>
struct Split {
  __m512i planes[P];

  Split(__m512 low, __m512 high) {
    for (int p = 0; p < P; ++p) {
      planes[p] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
      if (p + 1 == P) break;
      low = _mm512_sub_ps(low, Widened(_mm512_castsi512_si256(planes[p])));
      high = _mm512_sub_ps(high, Widened(_mm512_extracti64x4_epi64(planes[p], 1)));
    }
  }
  static __m512 Widened(__m256i halves) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
};

// Values 0..15 beside values 16..31: pairs 0 16, 1 17 and so on.
inline __m512i PairsOf(__m512i halves) {
  const __m512i interleave = _mm512_set_epi16(
      31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5,
      20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(interleave, halves);
}

inline int64_t Padded(int64_t depth) { return (depth + kStep - 1) / kStep * kStep; }

// An operand's rows of 32 values of K, each P planes: `give(i, split)` for i < count.
template <int P, typename Give>
void RowsOf(const Operand& a, int64_t row, int64_t count, int64_t k, int64_t depth,
            const Give& give) {
  const int64_t low = std::min<int64_t>(depth, 16), high = depth - low;
  if (!a.transposed) {
    const __mmask16 first = FirstLanes(low), second = FirstLanes(high);
    for (int64_t i = 0; i < count; ++i) {
      const float* from = a.data + (row + i) * a.stride + k;
      give(i, Split<P>(_mm512_maskz_loadu_ps(first, from),
                       _mm512_maskz_loadu_ps(second, from + 16)));
    }
    return;
  }
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = FirstLanes(count - i);
    __m512i halves[2][16];
    for (int half = 0; half < 2; ++half) {
      for (int64_t j = 0; j < 16; ++j) {
        const bool inside = half * 16 + j < depth;
        const float* from = a.data + (k + half * 16 + j) * a.stride + row + i;
        __m512 values = inside ? _mm512_maskz_loadu_ps(mask, from) : _mm512_setzero_ps();
        if (a.gelu) values = Gelu(values);  // of 0 it is 0
        halves[half][j] = _mm512_castps_si512(values);
      }
      TransposeWords(halves[half]);
    }
    for (int64_t j = 0; j < std::min<int64_t>(16, count - i); ++j)
      give(i + j, Split<P>(_mm512_castsi512_ps(halves[0][j]),
                           _mm512_castsi512_ps(halves[1][j])));
  }
}

// B in blocks of 32 values of K and 16 columns: pairs of K side by side, column by
// column, then pair by pair; two blocks make a panel's 32 columns.
template <int P>
struct PairPanels {
  static constexpr int64_t kBlock = 512;  // bfloat16 of a block

  static int64_t Size(int64_t depth) { return P * 2 * kBlock * (Padded(depth) / kStep); }

  static uint16_t* Block(uint16_t* panel, int64_t step, int plane, int half) {
    return panel + ((step * P + plane) * 2 + half) * kBlock;
  }

  // Values first..last of K beyond `start`; `first` a multiple of kStep.
  static void Pack(const Operand& b, int64_t start, int64_t first, int64_t last,
                   int64_t column, int64_t columns, uint16_t* to) {
    for (int64_t k = first; k < last; k += kStep)
      for (int half = 0; half < 2; ++half)
        PackBlock(b, start + k, std::min(kStep, last - k), column + 16 * half,
                  columns - 16 * half, to, k / kStep, half);
  }

 private:
  static void PackBlock(const Operand& b, int64_t k, int64_t depth, int64_t column,
                        int64_t columns, uint16_t* to, int64_t step, int half) {
    const __mmask16 mask = FirstLanes(columns);
    if (b.transposed) {
      __m512i words[P][16];
      for (int p = 0; p < P; ++p)
        for (int j = 0; j < 16; ++j) words[p][j] = _mm512_setzero_si512();
      const Operand rows{b.data, b.stride, false, false};
      RowsOf<P>(rows, column, std::clamp<int64_t>(columns, 0, 16), k, depth,
                [&](int64_t j, const Split<P>& split) {
                  for (int p = 0; p < P; ++p) words[p][j] = split.planes[p];
                });
      for (int p = 0; p < P; ++p) {
        TransposeWords(words[p]);
        uint16_t* block = Block(to, step, p, half);
        for (int r = 0; r < 16; ++r) _mm512_store_si512(block + 32 * r, words[p][r]);
      }
      return;
    }
    for (int64_t r = 0; r < 16; ++r) {
      const float* from = b.data + (k + 2 * r) * b.stride + column;
      const __m512 zero = _mm512_setzero_ps();
      const __m512 even = 2 * r < depth ? _mm512_maskz_loadu_ps(mask, from) : zero;
      const __m512 odd =
          2 * r + 1 < depth ? _mm512_maskz_loadu_ps(mask, from + b.stride) : zero;
      const Split<P> split(even, odd);
      for (int p = 0; p < P; ++p)
        _mm512_store_si512(Block(to, step, p, half) + 32 * r,
                           PairsOf(split.planes[p]));
    }
  }
};

struct PairTiles {
  using Packed = uint16_t;
  struct Session {};
  static constexpr int64_t kRows = 14, kColumns = 32;

  static int64_t PartOfA(int64_t depth) { return kRows * Padded(depth); }
  static int64_t PartOfB(int64_t depth) { return PairPanels<1>::Size(depth); }

  // Pairs of K, row by row, then pair by pair.
  static void PackA(const Operand& a, int64_t row, int64_t rows, int64_t start,
                    int64_t first, int64_t last, uint16_t* to) {
    uint32_t* pairs = reinterpret_cast<uint32_t*>(to) + kRows * first / 2;
    const __mmask16 all = FirstLanes(kRows);
    if (a.transposed) {
      const __mmask16 mask = FirstLanes(rows);
      const float* from = a.data + (start + first) * a.stride + row;
      for (int64_t k = first; k < first + Padded(last - first);
           k += 2, from += 2 * a.stride, pairs += kRows) {
        const __m512 zero = _mm512_setzero_ps();
        __m512 even = k < last ? _mm512_maskz_loadu_ps(mask, from) : zero;
        __m512 odd = k + 1 < last ? _mm512_maskz_loadu_ps(mask, from + a.stride) : zero;
        if (a.gelu) even = Gelu(even), odd = Gelu(odd);  // of 0 it is 0
        _mm512_mask_storeu_epi32(pairs, all, PairsOf(Split<1>(even, odd).planes[0]));
      }
      return;
    }
    for (int64_t k = first; k < last; k += kStep, pairs += 16 * kRows) {
      __m512i words[16];
      for (int64_t i = rows; i < 16; ++i) words[i] = _mm512_setzero_si512();
      RowsOf<1>(a, row, rows, start + k, std::min(kStep, last - k),
                [&](int64_t i, const Split<1>& split) { words[i] = split.planes[0]; });
      TransposeWords(words);
      for (int64_t r = 0; r < 16; ++r)
        _mm512_mask_storeu_epi32(pairs + r * kRows, all, words[r]);
    }
  }

  static void PackB(const Operand& b, int64_t start, int64_t first, int64_t last,
                    int64_t column, int64_t columns, uint16_t* to) {
    PairPanels<1>::Pack(b, start, first, last, column, columns, to);
  }

  static void Tile(const uint16_t* a, const uint16_t* b, int64_t depth, float* c,
                   int64_t stride, int64_t rows, int64_t columns, bool add) {
    const uint32_t* pairs = reinterpret_cast<const uint32_t*>(a);
    __m512 sums[kRows][2];
#pragma GCC unroll 14
    for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = _mm512_setzero_ps();
    for (int64_t k = 0; k < Padded(depth); k += kStep, b += 2 * PairPanels<1>::kBlock)
      for (int r = 0; r < 16; ++r, pairs += kRows) {
        const __m512bh left = reinterpret_cast<__m512bh>(_mm512_load_si512(b + 32 * r));
        const __m512bh right = reinterpret_cast<__m512bh>(
            _mm512_load_si512(b + PairPanels<1>::kBlock + 32 * r));
#pragma GCC unroll 14
        for (int i = 0; i < kRows; ++i) {
          const __m512bh pair = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pairs[i]));
          sums[i][0] = _mm512_dpbf16_ps(sums[i][0], pair, left);
          sums[i][1] = _mm512_dpbf16_ps(sums[i][1], pair, right);
        }
      }
    const __mmask16 first = FirstLanes(columns), second = FirstLanes(columns - 16);
#pragma GCC unroll 14
    for (int i = 0; i < kRows; ++i) {
      if (i >= rows) break;
      float* to = c + i * stride;
      if (add) {
        sums[i][0] = _mm512_add_ps(sums[i][0], _mm512_maskz_loadu_ps(first, to));
        sums[i][1] = _mm512_add_ps(sums[i][1], _mm512_maskz_loadu_ps(second, to + 16));
      }
      _mm512_mask_storeu_ps(to, first, sums[i][0]);
      _mm512_mask_storeu_ps(to + 16, second, sums[i][1]);
    }
  }
};

#if defined(__AMX_BF16__) && defined(__AMX_TILE__) && defined(__linux__)
#define LLMGNN_MATRIX_TILES

struct MatrixTiles {
  // Whether the system lets this process have the matrix registers.
  static bool Usable();

  // The registers' shape, for as long as a task runs.
  struct Session {
    Session() {
      struct alignas(64) {
        uint8_t palette = 1, start_row = 0, reserved[14] = {};
        uint16_t bytes[16] = {};
        uint8_t rows[16] = {};
      } config;
      for (int i = 0; i < 8; ++i) config.bytes[i] = 64, config.rows[i] = 16;
      // The intrinsics do not tell compilers what they read and write.
      asm volatile("" : : "r"(&config) : "memory");
      _tile_loadconfig(&config);
    }
    ~Session() { _tile_release(); }
  };
};

template <int P>
struct MatrixTilesOf {
  using Packed = uint16_t;
  using Session = MatrixTiles::Session;
  static constexpr int64_t kRows = 32, kColumns = 32;
  static constexpr int64_t kBlock = 1024;  // bfloat16 of 32 rows and 32 values of K

  static int64_t PartOfA(int64_t depth) { return P * kBlock * (Padded(depth) / kStep); }
  static int64_t PartOfB(int64_t depth) { return PairPanels<P>::Size(depth); }

  static void PackA(const Operand& a, int64_t row, int64_t rows, int64_t start,
                    int64_t first, int64_t last, uint16_t* to) {
    to += first / kStep * P * kBlock;
    if (rows < kRows) std::fill_n(to, PartOfA(last - first), 0);
    for (int64_t k = first; k < last; k += kStep, to += P * kBlock)
      RowsOf<P>(a, row, rows, start + k, std::min(kStep, last - k),
                [&](int64_t i, const Split<P>& split) {
                  for (int p = 0; p < P; ++p)
                    _mm512_store_si512(to + p * kBlock + kStep * i, split.planes[p]);
                });
  }

  static void PackB(const Operand& b, int64_t start, int64_t first, int64_t last,
                    int64_t column, int64_t columns, uint16_t* to) {
    PairPanels<P>::Pack(b, start, first, last, column, columns, to);
  }

  static void Tile(const uint16_t* a, const uint16_t* b, int64_t depth, float* c,
                   int64_t stride, int64_t rows, int64_t columns, bool add) {
    if (rows == kRows && columns == kColumns)
      return Sums(a, b, depth, c, stride, add);
    alignas(64) float whole[kRows * kColumns];
    if (add)
      for (int64_t i = 0; i < rows; ++i)
        std::memcpy(whole + i * kColumns, c + i * stride, sizeof(float) * columns);
    Sums(a, b, depth, whole, kColumns, add);
    for (int64_t i = 0; i < rows; ++i)
      std::memcpy(c + i * stride, whole + i * kColumns, sizeof(float) * columns);
  }

 private:
  static constexpr int64_t kHalf = kBlock / 2;  // bfloat16 of a tile

  // The four products of the tiles of A in 4 and 5 and those of B in 6 and 7. What comes
  // next is loaded into a tile when it is used for the last time, so that the products
  // that are left hide the load.
  static void MultiplyThenA(const uint16_t* next) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(4, next, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(5, next + kHalf, 64);
  }
  static void MultiplyThenB(const uint16_t* next) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    _tile_loadd(6, next, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(7, next + kHalf, 64);
  }
  static void MultiplyThenBoth(const uint16_t* next_a, const uint16_t* next_b) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(4, next_a, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_loadd(6, next_b, 64);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(5, next_a + kHalf, 64);
    _tile_loadd(7, next_b + kHalf, 64);
  }

  static void Sums(const uint16_t* a, const uint16_t* b, int64_t depth, float* c,
                   int64_t stride, bool add) {
    const int64_t bytes = stride * sizeof(float);
    asm volatile("" : : : "memory");  // see Session
    if (add) {
      _tile_loadd(0, c, bytes);
      _tile_loadd(1, c + 16, bytes);
      _tile_loadd(2, c + 16 * stride, bytes);
      _tile_loadd(3, c + 16 * stride + 16, bytes);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    constexpr int64_t kFirst = P == 3 ? kBlock : 0;  // the plane that is begun with
    _tile_loadd(4, a + kFirst, 64);
    _tile_loadd(5, a + kFirst + kHalf, 64);
    _tile_loadd(6, b + kFirst, 64);
    _tile_loadd(7, b + kFirst + kHalf, 64);
    for (int64_t k = 0; k < depth; k += kStep) {
      // After the last step there is none: it loads its own tiles once more.
      const int64_t ahead = k + kStep < depth ? P * kBlock : 0;
      if constexpr (P == 3) {
        // Planes of A and B, so that one of them stays from product to product.
        MultiplyThenA(a);                 // 2 2
        MultiplyThenB(b + 2 * kBlock);    // 1 2
        MultiplyThenB(b);                 // 1 3
        MultiplyThenA(a + kBlock);        // 1 1
        MultiplyThenA(a + 2 * kBlock);    // 2 1
      }
      MultiplyThenBoth(a + ahead + kFirst, b + ahead + kFirst);  // 3 1, or 1 1 of one
      a += ahead;
      b += ahead;
    }
    _tile_stored(0, c, bytes);
    _tile_stored(1, c + 16, bytes);
    _tile_stored(2, c + 16 * stride, bytes);
    _tile_stored(3, c + 16 * stride + 16, bytes);
    asm volatile("" : : : "memory");
  }
};

#endif  // AMX
}  // namespace llmgnn

#endif  // AVX512_BF16
#endif  // LLMGNN_JAX_TEXT_NATIVE_TILES_H_
