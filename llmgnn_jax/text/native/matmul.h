// Products of dense matrices: C = A B, tile by tile, with what follows them done while a
// tile is in cache.
//
// A and B are float32 in memory, each row by row or transposed. They are copied once into
// panels that the innermost loops read from one end to the other; C is cut into tasks of
// some rows and columns, and a task into tiles that stay in registers.
//
// An element of C is one chain of sums along K whatever stands in the rows and columns
// beside it, so a row's result depends neither on its place nor on how many threads
// there are.

#ifndef LLMGNN_JAX_TEXT_NATIVE_MATMUL_H_
#define LLMGNN_JAX_TEXT_NATIVE_MATMUL_H_

#include <cstdint>

#include "xla/ffi/api/ffi.h"

namespace llmgnn {

// How an operand's element (row, column) lies in memory.
struct Operand {
  const float* data;
  int64_t stride;   // of rows; of columns where it is transposed
  bool transposed;
  bool gelu;        // gelu(element) instead; of a transposed A alone
};

// What is done to a tile of C when its sums are whole.
enum class After : int64_t {
  kNothing = 0,
  kBias = 1,          // C + bias
  kGeluGradient = 2,  // C * gelu'(inner)
};

struct Product {
  int64_t rows, columns, depth;  // M, N, K
  Operand a, b;
  float* c;  // row by row
  After after = After::kNothing;
  const float* bias = nullptr;  // of each column
  const float* inner = nullptr;  // as C
};

// Whether operands are rounded to bfloat16 on their way into the panels; sums are float32
// either way.
enum class Precision : int64_t { kFloat32 = 0, kBFloat16 = 1 };

void Multiply(xla::ffi::ThreadPool& pool, const Product& product, Precision precision);

}  // namespace llmgnn

#endif  // LLMGNN_JAX_TEXT_NATIVE_MATMUL_H_
