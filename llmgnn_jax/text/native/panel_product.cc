// Products with matrices in panels of columns, see few_rows.h, of any number of rows.

#include <algorithm>

#include "few_rows.h"
#include "panel_buffers.h"
#include "threads.h"

namespace llmgnn {
namespace {

// y (T, N) = x (T, K) W + b; panels (n, ceil(N / 32), K, 32) or without n; bias (n, N).
ffi::Error PanelProduct(ffi::ThreadPool pool, ffi::Buffer<ffi::F32> x,
                        ffi::AnyBuffer panels, ffi::Buffer<ffi::F32> bias,
                        ffi::ResultBuffer<ffi::F32> y, int64_t layer) {
  const int64_t rows = x.dimensions()[0], depth = x.dimensions()[1];
  const int64_t columns = y->dimensions()[1];
  PanelStack stack;
  if (ffi::Error error = ReadPanels(panels, depth, columns, &stack); error.failure())
    return error;
  if (layer >= stack.layers || y->dimensions()[0] != rows ||
      static_cast<int64_t>(bias.element_count()) != stack.layers * columns)
    return ffi::Error::InvalidArgument("bias: expected a number for each column");
  if (rows == 0) return ffi::Error::Success();
  const ColumnPanels matrix = stack.at(layer);
  const float* offset = bias.typed_data() + layer * columns;
  static thread_local Scratch memory;
  float* packed = memory.Get<float>(rows * depth);
  const RowBlocks blocks{rows};
  const float* from = x.typed_data();
  ParallelFor(pool, blocks.count(), [&](int64_t b) {
    PackRows(from + blocks.start(b) * depth, depth, blocks.size(b), depth,
             packed + blocks.start(b) * depth);
  });
  float* to = y->typed_data();
  ParallelFor(pool, matrix.count(), [&](int64_t p) {
    matrix.Multiply(blocks, packed, p, p + 1,
                    [&](int64_t row, int64_t first, int64_t count, const float* sums) {
                      for (int64_t c = 0; c < count; ++c)
                        to[row * columns + first + c] = sums[c] + offset[first + c];
                    });
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnPanelProduct,
                              llmgnn::Safe<llmgnn::PanelProduct>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<int64_t>("layer"));
