// What node vectors are made of: lanes of float32, read from float32 or bfloat16.

#ifndef LLMGNN_JAX_GRAPH_NATIVE_VALUES_H_
#define LLMGNN_JAX_GRAPH_NATIVE_VALUES_H_

#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace llmgnn {

constexpr int kLanes = 16;

// Read and written through pointers to these, not by memcpy: a compiler that is tuned to
// copy 32 bytes at a time would take a detour over the stack, at ten times the time.
using Lanes = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
using Words = uint32_t __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
using Halves = uint16_t __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));

inline float Widen(float value) { return value; }
inline float Widen(uint16_t value) {
  uint32_t bits = static_cast<uint32_t>(value) << 16;
  float wide;
  std::memcpy(&wide, &bits, 4);
  return wide;
}
inline Lanes Load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }
inline Lanes Load(const uint16_t* from) {
#ifdef __AVX512F__  // Compilers take this conversion apart into narrower ones.
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
#else
  Halves halves = *reinterpret_cast<const Halves*>(from);
  Words words = __builtin_convertvector(halves, Words) << 16;
  return reinterpret_cast<Lanes>(words);
#endif
}
inline void Store(float* to, Lanes lanes) { *reinterpret_cast<Lanes*>(to) = lanes; }
inline void Store(uint16_t* to, Lanes lanes) {
  Words words = reinterpret_cast<Words>(lanes);
  Words rounded = (words + 0x7fffu + ((words >> 16) & 1u)) >> 16;  // to nearest even
  // A NaN whose payload is all in the low half would round to infinity.
  Words is_nan = reinterpret_cast<Words>(lanes != lanes);
  rounded |= is_nan & 0x7fc0u;
#ifdef __AVX512F__
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(rounded)));
#else
  *reinterpret_cast<Halves*>(to) = __builtin_convertvector(rounded, Halves);
#endif
}
inline void Store(float* to, float value) { *to = value; }
inline void Store(uint16_t* to, float value) {
  uint16_t halves[kLanes];
  Store(halves, Lanes{value});
  *to = halves[0];
}
// The sum of all lanes, halves added to halves.
inline float Total(Lanes lanes) {
#ifdef __AVX512F__
  return _mm512_reduce_add_ps(lanes);
#else
  float halves[kLanes];
  Store(halves, lanes);
  for (int half = kLanes / 2; half; half /= 2)
    for (int i = 0; i < half; ++i) halves[i] += halves[i + half];
  return halves[0];
#endif
}

// The totals of four at once, in half the steps of one by one.
inline void Totals(const Lanes* four, float* to) {
#ifdef __AVX512F__
  auto halved = [](__m512 a, __m512 b) {  // a0+a2 b0+b2 a1+a3 b1+b3 of each quarter
    return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  };
  __m512 first = halved(four[0], four[1]), last = halved(four[2], four[3]);
  __m512 quarters = _mm512_add_ps(
      _mm512_shuffle_ps(first, last, _MM_SHUFFLE(1, 0, 1, 0)),
      _mm512_shuffle_ps(first, last, _MM_SHUFFLE(3, 2, 3, 2)));
  __m256 half = _mm256_add_ps(
      _mm512_castps512_ps256(quarters),
      _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(quarters), 1)));
  _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(half),
                               _mm256_extractf128_ps(half, 1)));
#else
  for (int i = 0; i < 4; ++i) to[i] = Total(four[i]);
#endif
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_GRAPH_NATIVE_VALUES_H_
