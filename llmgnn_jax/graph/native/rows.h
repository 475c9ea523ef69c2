// Rows of edges, and how they are shared out among XLA's threads.
//
// Rows are compressed (CSR): the edges of node v are indptr[v]:indptr[v + 1], `others`
// names the node at their other end, `edges` their places in the graph's list of edges
// (empty: the same order). A row is reduced by one thread from its first edge to its
// last, so a result does not depend on how many threads there are.

#ifndef LLMGNN_JAX_GRAPH_NATIVE_ROWS_H_
#define LLMGNN_JAX_GRAPH_NATIVE_ROWS_H_

#include <algorithm>
#include <cstdint>

#include "threads.h"
#include "xla/ffi/api/ffi.h"

namespace llmgnn {

constexpr int kPrefetch = 24;  // edges ahead: hides a cache miss, found by measurement
constexpr int kTasksPerThread = 8;

struct Rows {
  const int32_t* indptr;
  const int32_t* others;   // null: an edge's own place (`edges`, or its number)
  const int32_t* edges;    // null: the rows' own order
  int64_t num_edges;
  const int32_t* slots = nullptr;  // the row of a node, < 0 for one that holds 0

  int64_t place(int64_t e) const { return edges ? edges[e] : e; }
  int64_t other(int64_t e) const { return others ? others[e] : place(e); }
};

// Asks for the cache lines of what is read soon.
template <int kBytes>
inline void Prefetch(const void* ahead) {
  for (int byte = 0; byte < kBytes; byte += 64)
    __builtin_prefetch(static_cast<const char*>(ahead) + byte);
}

// ---- threads ------------------------------------------------------------------------

// body(first row, last row) over ranges with about as many edges each.
template <typename Body>
void ForRows(ffi::ThreadPool& pool, const int32_t* indptr, int64_t num_rows,
             const Body& body) {
  int64_t edges = indptr[num_rows];
  int64_t tasks = std::max<int64_t>(1, pool.num_threads()) * kTasksPerThread;
  tasks = std::min(tasks, std::max<int64_t>(1, (edges + num_rows) / 4096));
  auto cut = [&](int64_t task) {
    // Rows without edges cost something too: a row counts as an edge.
    int64_t wanted = (edges + num_rows) * task / tasks;
    int64_t low = 0, high = num_rows;
    while (low < high) {
      int64_t middle = (low + high) / 2;
      if (indptr[middle] + middle < wanted) low = middle + 1; else high = middle;
    }
    return low;
  };
  ParallelFor(pool, tasks, [&](int64_t task) {
    int64_t last = task + 1 == tasks ? num_rows : cut(task + 1);
    body(cut(task), last);
  });
}

// ---- arguments ----------------------------------------------------------------------

inline const int32_t* OrNull(ffi::Buffer<ffi::S32>& buffer) {
  return buffer.element_count() ? buffer.typed_data() : nullptr;
}

inline const float* OrNull(ffi::Buffer<ffi::F32>& buffer) {
  return buffer.element_count() ? buffer.typed_data() : nullptr;
}

// Whether all lie in [0, count): what is not in a plan was never looked at before.
inline bool InRange(const int32_t* numbers, int64_t how_many, int64_t count) {
  bool known = true;
  for (int64_t i = 0; i < how_many; ++i)
    known &= 0 <= numbers[i] && numbers[i] < count;
  return known;
}
inline bool InRange(ffi::Buffer<ffi::S32>& nodes, int64_t count) {
  return InRange(nodes.typed_data(), nodes.element_count(), count);
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_GRAPH_NATIVE_ROWS_H_
