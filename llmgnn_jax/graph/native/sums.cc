// Weighted sums over rows of edges.

#include <type_traits>

#include "rows.h"
#include "values.h"

namespace llmgnn {
namespace {

constexpr int64_t kPart = 256;  // edges summed at a time: a hub keeps its precision

// How edges are weighed: all alike, one number an edge, or one a head.
enum class Weighing { kNone, kEdge, kHeads };

// Adds columns [0, 16 C) of the edges lo:hi into `sums`, `width` values a row.
template <typename T, int C, Weighing kWeighing>
inline void AddEdges(const Rows& rows, const float* weights, int64_t heads,
                     const int64_t* head_of, const T* values, int64_t width,
                     int64_t column, int64_t lo, int64_t hi, Lanes* sums) {
  for (int64_t e = lo; e < hi; ++e) {
    int64_t row = rows.other(e);
    if (rows.slots) {  // Few rows: they lie in the cache.
      row = rows.slots[row];
      if (row < 0) continue;
    } else if (e + kPrefetch < rows.num_edges) {
      Prefetch<kLanes * C * sizeof(T)>(values + rows.other(e + kPrefetch) * width +
                                       column);
      if (kWeighing != Weighing::kNone && rows.edges)
        Prefetch<4>(weights + rows.edges[e + kPrefetch] * heads);
    }
    const T* from = values + row * width + column;
    if constexpr (kWeighing == Weighing::kNone) {
      for (int c = 0; c < C; ++c) sums[c] += Load(from + kLanes * c);
    } else if constexpr (kWeighing == Weighing::kEdge) {
      float weight = weights[rows.place(e)];
      for (int c = 0; c < C; ++c) sums[c] += Load(from + kLanes * c) * weight;
    } else {
      const float* of_head = weights + rows.place(e) * heads;
      for (int c = 0; c < C; ++c)
        sums[c] += Load(from + kLanes * c) * of_head[head_of[c]];
    }
  }
}

template <typename T, int C, Weighing kWeighing>
void SumColumns(const Rows& rows, const float* weights, int64_t heads,
                int64_t head_width, const T* values, int64_t width, int64_t column,
                const float* start, const int32_t* slots, const int32_t* chosen,
                int64_t first, int64_t last, T* out) {
  int64_t head_of[C];
  for (int c = 0; c < C; ++c) head_of[c] = (column + kLanes * c) / head_width;
  for (int64_t r = first; r < last; ++r) {
    int64_t v = chosen ? chosen[r] : r;
    Lanes sums[C];
    int64_t slot = slots ? slots[v] : -1;
    for (int c = 0; c < C; ++c)
      sums[c] = slot < 0 ? Lanes{} : Load(start + slot * width + column + kLanes * c);
    int64_t lo = rows.indptr[v], hi = rows.indptr[v + 1];
    if (hi - lo <= kPart) {
      AddEdges<T, C, kWeighing>(rows, weights, heads, head_of, values, width, column,
                                lo, hi, sums);
    } else {
      for (; lo < hi; lo += kPart) {
        Lanes part[C] = {};
        AddEdges<T, C, kWeighing>(rows, weights, heads, head_of, values, width, column,
                                  lo, std::min(lo + kPart, hi), part);
        for (int c = 0; c < C; ++c) sums[c] += part[c];
      }
    }
    for (int c = 0; c < C; ++c) Store(out + r * width + column + kLanes * c, sums[c]);
  }
}

// N columns that fill no lanes, or whose heads are narrower than lanes.
template <typename T, int N>
void SumFew(const Rows& rows, const float* weights, int64_t heads, int64_t head_width,
            const T* values, int64_t width, int64_t column, const float* start,
            const int32_t* slots, const int32_t* chosen, int64_t first, int64_t last,
            T* out) {
  int64_t head_of[N];
  for (int c = 0; c < N; ++c) head_of[c] = (column + c) / head_width;
  for (int64_t r = first; r < last; ++r) {
    int64_t v = chosen ? chosen[r] : r;
    int64_t slot = slots ? slots[v] : -1;
    double sums[N];
    for (int c = 0; c < N; ++c)
      sums[c] = slot < 0 ? 0.0 : start[slot * width + column + c];
    for (int64_t e = rows.indptr[v]; e < rows.indptr[v + 1]; ++e) {
      int64_t row = rows.other(e);
      if (rows.slots) {
        if ((row = rows.slots[row]) < 0) continue;
      } else if (e + kPrefetch < rows.num_edges) {
        Prefetch<4>(values + rows.other(e + kPrefetch) * width + column);
      }
      const T* from = values + row * width + column;
      if (weights == nullptr) {
        for (int c = 0; c < N; ++c) sums[c] += Widen(from[c]);
      } else {
        const float* of_head = weights + rows.place(e) * heads;
        for (int c = 0; c < N; ++c) sums[c] += of_head[head_of[c]] * Widen(from[c]);
      }
    }
    for (int c = 0; c < N; ++c)
      Store(out + r * width + column + c, static_cast<float>(sums[c]));
  }
}

// out[r] = [start[slots[v]]] + sum over the edges of v = chosen[r] of weight x values.
template <typename T>
void SumRows(ffi::ThreadPool& pool, const Rows& rows, const float* weights,
             int64_t heads, const T* values, int64_t width, const float* start,
             const int32_t* slots, const int32_t* chosen, int64_t num_rows, T* out) {
  OnHugePages(out, num_rows * width * sizeof(T));
  int64_t head_width = width / std::max<int64_t>(heads, 1);
  bool lanes = heads == 1 || head_width % kLanes == 0;
  auto range = [&](int64_t first, int64_t last) {
    int64_t column = 0;
    auto columns = [&](auto sum, int64_t wide) {
      for (; width - column >= wide; column += wide)
        sum(rows, weights, heads, head_width, values, width, column, start, slots,
            chosen, first, last, out);
    };
    auto by_lanes = [&](auto weighing) {
      constexpr Weighing kWeighing = decltype(weighing)::value;
      columns(SumColumns<T, 8, kWeighing>, 8 * kLanes);
      columns(SumColumns<T, 4, kWeighing>, 4 * kLanes);
      columns(SumColumns<T, 2, kWeighing>, 2 * kLanes);
      columns(SumColumns<T, 1, kWeighing>, kLanes);
    };
    if (lanes && weights == nullptr) {
      by_lanes(std::integral_constant<Weighing, Weighing::kNone>{});
    } else if (lanes && heads == 1) {
      by_lanes(std::integral_constant<Weighing, Weighing::kEdge>{});
    } else if (lanes) {
      by_lanes(std::integral_constant<Weighing, Weighing::kHeads>{});
    }
    columns(SumFew<T, 8>, 8);
    columns(SumFew<T, 4>, 4);
    columns(SumFew<T, 2>, 2);
    columns(SumFew<T, 1>, 1);
  };
  if (chosen) {
    ForRanges(pool, num_rows, 64, range);
  } else {
    ForRows(pool, rows.indptr, num_rows, range);
  }
}

// `values` (M, W) and the result float32 or bfloat16; `weights` (E, H), or (0,) for ones; `others`,
// `edges` and `chosen` (0,) for none; `start` (R, W) rows that sums begin with, where
// slots[v] >= 0; if `sparse`, `values` are compact too: node u is row slots[u] of them,
// or holds 0.
ffi::Error WeightedRowSums(ffi::ThreadPool pool, ffi::Buffer<ffi::S32> indptr,
                           ffi::Buffer<ffi::S32> others, ffi::Buffer<ffi::S32> edges,
                           ffi::Buffer<ffi::F32> weights, ffi::AnyBuffer values,
                           ffi::Buffer<ffi::F32> start, ffi::Buffer<ffi::S32> slots,
                           ffi::Buffer<ffi::S32> chosen, int64_t heads,
                           int64_t num_edges, bool sparse,
                           ffi::Result<ffi::AnyBuffer> out) {
  int64_t width = values.dimensions()[1];
  int64_t num_rows = out->dimensions()[0];
  if (num_rows == 0 || width == 0) return ffi::Error::Success();
  if (!InRange(chosen, indptr.element_count() - 1))
    return ffi::Error::InvalidArgument("chosen: expected numbers of nodes");
  Rows rows{indptr.typed_data(), OrNull(others), OrNull(edges), num_edges,
            sparse ? OrNull(slots) : nullptr};
  if (values.element_type() == ffi::F32) {
    SumRows(pool, rows, OrNull(weights), heads, values.typed_data<float>(), width,
            OrNull(start), OrNull(slots), OrNull(chosen), num_rows,
            out->typed_data<float>());
  } else if (values.element_type() == ffi::BF16) {
    SumRows(pool, rows, OrNull(weights), heads,
            static_cast<const uint16_t*>(values.untyped_data()), width, OrNull(start),
            OrNull(slots), OrNull(chosen), num_rows,
            static_cast<uint16_t*>(out->untyped_data()));
  } else {
    return ffi::Error::InvalidArgument("values: expected float32 or bfloat16");
  }
  return ffi::Error::Success();
}

// Rows that may repeat, gathered into one slot a node: slots (N,) and sums (R, W).
ffi::Error CompactRows(ffi::Buffer<ffi::S32> nodes, ffi::Buffer<ffi::F32> values,
                       ffi::ResultBuffer<ffi::S32> slots,
                       ffi::ResultBuffer<ffi::F32> sums) {
  int64_t num_rows = nodes.element_count();
  int64_t width = values.dimensions()[1];
  if (!InRange(nodes, slots->element_count()))
    return ffi::Error::InvalidArgument("chosen: expected numbers of nodes");
  int32_t* slots_ = slots->typed_data();
  float* sums_ = sums->typed_data();
  std::fill(slots_, slots_ + slots->element_count(), -1);
  int32_t used = 0;
  for (int64_t r = 0; r < num_rows; ++r) {
    int32_t& slot = slots_[nodes.typed_data()[r]];
    const float* from = values.typed_data() + r * width;
    if (slot < 0) {
      slot = used++;
      std::memcpy(sums_ + slot * width, from, 4 * width);
    } else {
      float* to = sums_ + slot * width;
      for (int64_t c = 0; c < width; ++c) to[c] += from[c];
    }
  }
  std::memset(sums_ + used * width, 0, 4 * width * (num_rows - used));
  return ffi::Error::Success();
}
}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnWeightedRowSums,
                              llmgnn::Safe<llmgnn::WeightedRowSums>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Attr<int64_t>("heads")
                                  .Attr<int64_t>("num_edges")
                                  .Attr<bool>("sparse")
                                  .Ret<ffi::AnyBuffer>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnCompactRows, llmgnn::Safe<llmgnn::CompactRows>::Call,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
