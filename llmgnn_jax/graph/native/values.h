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

}  // namespace llmgnn

#endif  // LLMGNN_JAX_GRAPH_NATIVE_VALUES_H_
