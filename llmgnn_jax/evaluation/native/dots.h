// Inner products of bytes, the codes of a panel with those of a few users: which are
// large enough.

#ifndef LLMGNN_JAX_EVALUATION_NATIVE_DOTS_H_
#define LLMGNN_JAX_EVALUATION_NATIVE_DOTS_H_

#include <cstdint>
#include <cstring>

#if defined(__AVX512BW__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#include "sketch.h"

namespace llmgnn {

// Users whose sums fit the registers beside a panel's codes.
#ifdef __AVX512BW__
constexpr int kUsers = 6;
#else
constexpr int kUsers = 2;
#endif

// The largest code of a user: without VNNI two products are added up in 16 bits.
#ifdef __AVX512VNNI__
constexpr int kLevels = 127;
#else
constexpr int kLevels = 63;
#endif

#ifdef __AVX512BW__
constexpr int kParts = kPanel / 16;

// of_user[u]: the sums of user u with the items of a panel, see `AtLeast`.
template <int U>
inline void SumsInRegisters(const uint8_t* codes, const int32_t* const* words,
                            int64_t num_groups, __m512i (&of_user)[U][kParts]) {
  for (auto& parts : of_user)
    for (auto& part : parts) part = _mm512_setzero_si512();
#ifndef __AVX512VNNI__
  const __m512i ones = _mm512_set1_epi16(1);
#endif
  for (int64_t g = 0; g < num_groups; ++g, codes += kPanel * kGroup) {
    __m512i items[kParts];
    for (int p = 0; p < kParts; ++p) items[p] = _mm512_loadu_si512(codes + 64 * p);
    for (int u = 0; u < U; ++u) {
      const __m512i word = _mm512_set1_epi32(words[u][g]);
      for (int p = 0; p < kParts; ++p)
#ifdef __AVX512VNNI__
        of_user[u][p] = _mm512_dpbusd_epi32(of_user[u][p], items[p], word);
#else
        of_user[u][p] = _mm512_add_epi32(
            of_user[u][p],
            _mm512_madd_epi16(_mm512_maddubs_epi16(items[p], word), ones));
#endif
    }
  }
}
#endif

// sums[u][i] = codes of item i . codes of user u.
template <int U>
void Sums(const uint8_t* codes, const int32_t* const* words, int64_t num_groups,
          int32_t (*sums)[kPanel]) {
#ifdef __AVX512BW__
  __m512i of_user[U][kParts];
  SumsInRegisters<U>(codes, words, num_groups, of_user);
  for (int u = 0; u < U; ++u)
    for (int p = 0; p < kParts; ++p)
      _mm512_storeu_si512(sums[u] + 16 * p, of_user[u][p]);
#else
  std::memset(sums, 0, sizeof(int32_t) * U * kPanel);
  for (int64_t g = 0; g < num_groups; ++g, codes += kPanel * kGroup)
    for (int u = 0; u < U; ++u) {
      int8_t user[kGroup];
      std::memcpy(user, words[u] + g, kGroup);
      for (int i = 0; i < kPanel; ++i)
        for (int c = 0; c < kGroup; ++c)
          sums[u][i] += static_cast<int32_t>(codes[kGroup * i + c]) * user[c];
    }
#endif
}

// found[u]: one bit for each item of a panel whose sum with user u, codes of the item .
// codes of the user, is at least least[u]. U users of at most kUsers; a user's word is
// four columns of it. The sums do not leave the registers.
template <int U>
void AtLeast(const uint8_t* codes, const int32_t* const* words, int64_t num_groups,
             const int32_t* least, uint64_t* found) {
#ifdef __AVX512BW__
  __m512i of_user[U][kParts];
  SumsInRegisters<U>(codes, words, num_groups, of_user);
  for (int u = 0; u < U; ++u) {
    const __m512i all = _mm512_set1_epi32(least[u]);
    found[u] = 0;
    for (int p = 0; p < kParts; ++p)
      found[u] |= static_cast<uint64_t>(_mm512_cmpge_epi32_mask(of_user[u][p], all))
                  << 16 * p;
  }
#elif defined(__AVX2__)
  constexpr int kHalf = 4;  // registers of 8 items: half a panel at a time
  const __m256i ones = _mm256_set1_epi16(1);
  for (int u = 0; u < U; ++u) found[u] = 0;
  for (int half = 0; half < 2; ++half) {
    __m256i of_user[U][kHalf];
    for (auto& parts : of_user)
      for (auto& part : parts) part = _mm256_setzero_si256();
    const uint8_t* from = codes + 128 * half;
    for (int64_t g = 0; g < num_groups; ++g, from += kPanel * kGroup) {
      for (int p = 0; p < kHalf; ++p) {
        const __m256i items =
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + p);
        for (int u = 0; u < U; ++u) {
          const __m256i pairs =
              _mm256_maddubs_epi16(items, _mm256_set1_epi32(words[u][g]));
          of_user[u][p] =
              _mm256_add_epi32(of_user[u][p], _mm256_madd_epi16(pairs, ones));
        }
      }
    }
    for (int u = 0; u < U; ++u) {
      const __m256i all = _mm256_set1_epi32(least[u]);
      for (int p = 0; p < kHalf; ++p) {
        const int less = _mm256_movemask_ps(
            _mm256_castsi256_ps(_mm256_cmpgt_epi32(all, of_user[u][p])));
        found[u] |= static_cast<uint64_t>(~less & 0xFF) << (32 * half + 8 * p);
      }
    }
  }
#else
  int32_t sums[U][kPanel];
  Sums<U>(codes, words, num_groups, sums);
  for (int u = 0; u < U; ++u) {
    found[u] = 0;
    for (int i = 0; i < kPanel; ++i)
      found[u] |= static_cast<uint64_t>(sums[u][i] >= least[u]) << i;
  }
#endif
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_EVALUATION_NATIVE_DOTS_H_
