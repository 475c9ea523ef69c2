// The squared norm of each row of a table.

#include <cstdint>

#include "threads.h"

namespace llmgnn {
namespace {

constexpr int64_t kRowsOfTask = 2048;
constexpr int kParts = 16;  // sums that a compiler keeps in one register, or in a few

ffi::Error RowSquares(ffi::ThreadPool pool, ffi::Buffer<ffi::F32> table,
                      ffi::ResultBuffer<ffi::F32> squares) {
  const int64_t rows = squares->element_count();
  if (rows == 0) return ffi::Error::Success();
  const int64_t width = static_cast<int64_t>(table.element_count()) / rows;
  ForRanges(pool, rows, kRowsOfTask, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const float* from = table.typed_data() + row * width;
      float parts[kParts] = {};
      int64_t d = 0;
      for (; d + kParts <= width; d += kParts)
        for (int i = 0; i < kParts; ++i) parts[i] += from[d + i] * from[d + i];
      for (; d < width; ++d) parts[0] += from[d] * from[d];
      for (int half = kParts / 2; half; half /= 2)
        for (int i = 0; i < half; ++i) parts[i] += parts[i + half];
      squares->typed_data()[row] = parts[0];
    }
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnRowSquares,
                              llmgnn::Safe<llmgnn::RowSquares>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
