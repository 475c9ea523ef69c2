// Lanes of float32 as wide as the processor's registers, and functions of them.

#ifndef LLMGNN_JAX_TEXT_NATIVE_LANES_H_
#define LLMGNN_JAX_TEXT_NATIVE_LANES_H_

#include <cstdint>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace llmgnn {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

// Read and written through pointers to these, not by memcpy, see graph/native/values.h.
using Lane = float __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));
using Bits = int32_t __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));

inline Lane Load(const float* from) { return *reinterpret_cast<const Lane*>(from); }
inline void Save(float* to, Lane lanes) { *reinterpret_cast<Lane*>(to) = lanes; }
// Past the caches, where it can be: for what is not read again soon, whose old content
// would be read from memory first otherwise.
inline void SavePast(float* to, Lane lanes) {
#ifdef __AVX512F__
  if (reinterpret_cast<uintptr_t>(to) % sizeof(Lane) == 0)
    return _mm512_stream_ps(to, lanes);
#endif
  Save(to, lanes);
}
inline Lane Fill(float value) { return value - Lane{}; }

inline Lane Larger(Lane a, Lane b) {
#ifdef __AVX512F__
  return _mm512_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
inline Lane Smaller(Lane a, Lane b) {
#ifdef __AVX512F__
  return _mm512_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}

// By halves.
inline float Total(Lane lanes) {
  float parts[kWidth];
  Save(parts, lanes);
  for (int half = kWidth / 2; half; half /= 2)
    for (int i = 0; i < half; ++i) parts[i] += parts[i + half];
  return parts[0];
}
inline float Largest(Lane lanes) {
#ifdef __AVX512F__
  return _mm512_reduce_max_ps(lanes);
#else
  float parts[kWidth];
  Save(parts, lanes);
  float largest = parts[0];
  for (int i = 1; i < kWidth; ++i) largest = parts[i] > largest ? parts[i] : largest;
  return largest;
#endif
}

// 1 / x to a unit in the last place, for x from 1 to 2^60.
inline Lane Inverse(Lane x) {
#ifdef __AVX512F__
  const Lane rough = _mm512_rcp14_ps(x);  // division takes ten times as long
  return rough * (2.0f - x * rough);
#else
  return 1.0f / x;
#endif
}

// e^x to two units in the last place; 1e-38 below -87.3, largest at 88.3.
inline Lane Exp(Lane x) {
  x = Smaller(Larger(x, Fill(-87.33654f)), Fill(88.3f));
  const Lane magic = Fill(12582912.0f);  // 1.5 * 2^23: rounds to a whole number
  Lane whole = x * 1.44269504f + magic;
  Bits power = reinterpret_cast<Bits>(whole) << 23;
  whole -= magic;
  Lane r = x - whole * 0.693359375f;
  r = r + whole * 2.12194440e-4f;
  // e^r = 1 + r + r^2 p(r) on +-ln(2) / 2.
  Lane p = Fill(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  Lane value = p * (r * r) + r + 1.0f;
  return reinterpret_cast<Lane>(reinterpret_cast<Bits>(value) + power);
}

// The normal distribution's density and its integral, to 2e-7: Abramowitz and Stegun,
// Handbook of Mathematical Functions, 7.1.26.
struct Normal {
  Lane density, below;
};
inline Normal NormalOf(Lane x) {
  const Lane size = Larger(x, -x);
  const Lane bell = Exp(x * x * -0.5f);
  const Lane t = Inverse(1.0f + size * (0.3275911f * 0.70710678f));
  Lane p = Fill(1.061405429f);
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const Lane above = p * t * bell * 0.5f;  // 1 - Phi(|x|)
#ifdef __AVX512F__
  const Lane below = _mm512_mask_sub_ps(
      above, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ), Fill(1.0f), above);
#else
  const Lane below = x >= 0.0f ? 1.0f - above : above;
#endif
  return {bell * 0.39894228f, below};
}

inline Lane Gelu(Lane x) { return x * NormalOf(x).below; }
inline Lane GeluGradient(Lane x) {
  const Normal normal = NormalOf(x);
  return normal.below + x * normal.density;
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_TEXT_NATIVE_LANES_H_
