// A table of vectors in bytes, with how far off its inner products can be.
//
// Vectors are ordered by length, longest first, and cut into panels of 64: those of a
// panel are about equally long, so that one scale and one bound serve them all.

#ifndef LLMGNN_JAX_EVALUATION_NATIVE_SKETCH_H_
#define LLMGNN_JAX_EVALUATION_NATIVE_SKETCH_H_

#include <cstdint>

namespace llmgnn {

constexpr int kPanel = 64;  // vectors of a panel, whose codes lie beside one another
constexpr int kGroup = 4;   // columns of which one instruction adds up the products
constexpr float kSmallest = 1e-15f, kLargest = 1e15f;  // lengths that the bounds hold for

// N panels of vectors of width D, in G = ceil(D / 4) groups of columns. A number is near
// scale * (code - 128).
struct Sketch {
  const uint8_t* codes;    // (N, G, 64, 4); 128 where there is no vector or column
  const int32_t* numbers;  // (64 N) which vector it is, -1 where there is none
  const float* scales;     // (N)
  const float* reaches;    // (N) no vector of codes is longer
  const float* errors;     // (N) no vector is further from its codes, rounding included
  const float* lengths;    // (N) no vector of this panel or of later ones is longer
  int64_t num_panels;
  int64_t num_groups;
};

}  // namespace llmgnn

#endif  // LLMGNN_JAX_EVALUATION_NATIVE_SKETCH_H_
