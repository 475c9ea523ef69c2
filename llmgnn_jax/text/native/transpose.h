// Blocks of 16 x 16 words turned over their diagonal, in registers where there are any.

#ifndef LLMGNN_JAX_TEXT_NATIVE_TRANSPOSE_H_
#define LLMGNN_JAX_TEXT_NATIVE_TRANSPOSE_H_

#include <algorithm>
#include <cstdint>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace llmgnn {

#ifdef __AVX512F__
inline __mmask16 FirstLanes(int64_t count) {
  return count >= 16 ? 0xffff : static_cast<__mmask16>((1u << std::max<int64_t>(count, 0)) - 1);
}

inline void TransposeWords(__m512i rows[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    rows[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    rows[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}
#endif

// to[j * to_stride + i] = from[i * stride + j] for i < rows, j < columns, both at most
// 16; 0 for rows <= i < written.
inline void TransposeBlock(const float* from, int64_t stride, int64_t rows,
                           int64_t columns, float* to, int64_t to_stride,
                           int64_t written = 16) {
#ifdef __AVX512F__
  __m512i block[16];
  const __mmask16 mask = FirstLanes(columns);
  for (int64_t i = 0; i < 16; ++i)
    block[i] = i < rows ? _mm512_maskz_loadu_epi32(mask, from + i * stride)
                        : _mm512_setzero_si512();
  TransposeWords(block);
  const __mmask16 all = FirstLanes(written);
  for (int64_t j = 0; j < columns; ++j)
    _mm512_mask_storeu_epi32(to + j * to_stride, all, block[j]);
#else
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < written; ++i)
      to[j * to_stride + i] = i < rows ? from[i * stride + j] : 0.0f;
#endif
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_TEXT_NATIVE_TRANSPOSE_H_
