// The kinds of tiles there are, and which of them a product takes here.

#ifndef LLMGNN_JAX_TEXT_NATIVE_KINDS_H_
#define LLMGNN_JAX_TEXT_NATIVE_KINDS_H_

#include "panels.h"
#include "tiles.h"

namespace llmgnn {

// Of K, how much panels hold at a time (C is gone through once for each), and how much of
// that is packed at a time: multiples of kStep.
constexpr int64_t kDepth = 1024;
constexpr int64_t kChunk = 64;

// body(tiles), an object of the kind that is fastest on this processor.
template <typename Body>
void WithTiles(Precision precision, const Body& body) {
#ifdef LLMGNN_MATRIX_TILES
  if (MatrixTiles::Usable()) {
    if (precision == Precision::kBFloat16) return body(MatrixTilesOf<1>());
    return body(MatrixTilesOf<3>());
  }
#endif
#ifdef LLMGNN_PAIR_TILES
  if (precision == Precision::kBFloat16) return body(PairTiles());
#endif
  // Elsewhere nothing is rounded to bfloat16: that would cost time and gain none.
  body(FloatTiles());
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_TEXT_NATIVE_KINDS_H_
