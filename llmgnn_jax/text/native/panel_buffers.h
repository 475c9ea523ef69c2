// Matrices in panels as they come from XLA.

#ifndef LLMGNN_JAX_TEXT_NATIVE_PANEL_BUFFERS_H_
#define LLMGNN_JAX_TEXT_NATIVE_PANEL_BUFFERS_H_

#include "few_rows.h"
#include "xla/ffi/api/ffi.h"

namespace llmgnn {

namespace ffi = xla::ffi;

// The matrices (depth, columns) of some layers.
struct PanelStack {
  const char* data;
  bool half;
  int64_t layers, depth, columns;

  ColumnPanels at(int64_t layer) const {
    const int64_t panels = (columns + kPanel - 1) / kPanel;
    const int64_t bytes = panels * depth * kPanel * (half ? 2 : 4);
    return {data + layer * bytes, half, depth, columns};
  }
};

// (layers, ceil(columns / 32), depth, 32), or of one layer without the first.
inline ffi::Error ReadPanels(ffi::AnyBuffer buffer, int64_t depth, int64_t columns,
                             PanelStack* stack) {
  auto shape = buffer.dimensions();
  const size_t rank = shape.size();
  const bool half = buffer.element_type() == ffi::BF16;
  if ((!half && buffer.element_type() != ffi::F32) || rank < 3 || rank > 4 ||
      shape[rank - 3] != (columns + kPanel - 1) / kPanel || shape[rank - 2] != depth ||
      shape[rank - 1] != kPanel)
    return ffi::Error::InvalidArgument("panels: expected (layers, N / 32, K, 32)");
  *stack = {static_cast<const char*>(buffer.untyped_data()), half,
            rank == 4 ? shape[0] : 1, depth, columns};
  return ffi::Error::Success();
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_TEXT_NATIVE_PANEL_BUFFERS_H_
