// Kernels over rows of edges for CPUs, called by XLA's foreign function interface.
//
// Rows are compressed (CSR): the edges of node v are indptr[v]:indptr[v + 1], `others`
// names the node at their other end, `edges` their places in the graph's list of edges
// (empty: the same order). A row is reduced by one thread from its first edge to its
// last, so a result does not depend on how many threads there are.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>

#ifdef __AVX512F__
#include <immintrin.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

constexpr int kLanes = 16;
constexpr int kPrefetch = 24;  // edges ahead: hides a cache miss, found by measurement
constexpr int kTasksPerThread = 8;
constexpr int64_t kPart = 256;  // edges summed at a time: a hub keeps its precision

// Read and written through pointers to these, not by memcpy: a compiler that is tuned to
// copy 32 bytes at a time would take a detour over the stack, at ten times the time.
using Lanes = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
using Words = uint32_t __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
using Halves = uint16_t __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));

// ---- values: float32, or bfloat16 that is widened on the way in -------------------

inline float Widen(float value) { return value; }
inline float Widen(uint16_t value) {
  uint32_t bits = static_cast<uint32_t>(value) << 16;
  float wide;
  std::memcpy(&wide, &bits, 4);
  return wide;
}
inline Lanes Load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }
inline Lanes Load(const uint16_t* from) {
#ifdef __AVX512F__  // Compilers take this conversion apart into narrower ones.
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
#else
  Halves halves = *reinterpret_cast<const Halves*>(from);
  Words words = __builtin_convertvector(halves, Words) << 16;
  return reinterpret_cast<Lanes>(words);
#endif
}
inline void Store(float* to, Lanes lanes) { *reinterpret_cast<Lanes*>(to) = lanes; }
inline void Store(uint16_t* to, Lanes lanes) {
  Words words = reinterpret_cast<Words>(lanes);
  Words rounded = (words + 0x7fffu + ((words >> 16) & 1u)) >> 16;  // to nearest even
  // A NaN whose payload is all in the low half would round to infinity.
  Words is_nan = reinterpret_cast<Words>(lanes != lanes);
  rounded |= is_nan & 0x7fc0u;
#ifdef __AVX512F__
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(rounded)));
#else
  *reinterpret_cast<Halves*>(to) = __builtin_convertvector(rounded, Halves);
#endif
}
inline void Store(float* to, float value) { *to = value; }
inline void Store(uint16_t* to, float value) {
  uint16_t halves[kLanes];
  Store(halves, Lanes{value});
  *to = halves[0];
}

// ---- memory ---------------------------------------------------------------------------

// Asks for huge pages under what is about to be written, where Linux gives them to those
// who ask. Rows of a large table that are read at random miss the cache of page numbers
// otherwise, and memory that is new faults once every 4 kB.
inline void OnHugePages(void* start, size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kPage = 2 << 20;
  uintptr_t from = (reinterpret_cast<uintptr_t>(start) + kPage - 1) & ~(kPage - 1);
  uintptr_t to = (reinterpret_cast<uintptr_t>(start) + bytes) & ~(kPage - 1);
  if (to > from) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
}

// ---- threads ------------------------------------------------------------------------

// Runs body(0..count) on XLA's own threads. The caller works too and waits only for
// what has begun, so a pool whose threads are all busy cannot block it for ever.
template <typename Body>
void ParallelFor(ffi::ThreadPool& pool, int64_t count, const Body& body) {
  int64_t helpers = std::min<int64_t>(pool.num_threads(), count) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  struct Shared {
    std::atomic<int64_t> next{0};
    std::mutex mutex;
    std::condition_variable idle;
    int64_t working = 0;
    bool closed = false;
  };
  auto shared = std::make_shared<Shared>();
  const Body* work = &body;
  for (int64_t h = 0; h < helpers; ++h) {
    pool.Schedule([shared, work, count] {
      {
        std::lock_guard<std::mutex> lock(shared->mutex);
        if (shared->closed) return;  // `work` may be gone.
        ++shared->working;
      }
      for (int64_t i; (i = shared->next.fetch_add(1)) < count;) (*work)(i);
      std::lock_guard<std::mutex> lock(shared->mutex);
      if (--shared->working == 0) shared->idle.notify_one();
    });
  }
  for (int64_t i; (i = shared->next.fetch_add(1)) < count;) body(i);
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->closed = true;
  shared->idle.wait(lock, [&] { return shared->working == 0; });
}

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

// ---- weighted sums ------------------------------------------------------------------

struct Rows {
  const int32_t* indptr;
  const int32_t* others;   // null: an edge's own place (`edges`, or its number)
  const int32_t* edges;    // null: the rows' own order
  int64_t num_edges;
  const int32_t* slots = nullptr;  // the row of a node, < 0 for one that holds 0

  int64_t place(int64_t e) const { return edges ? edges[e] : e; }
  int64_t other(int64_t e) const { return others ? others[e] : place(e); }
};

// Adds columns [0, 16 C) of the edges lo:hi into `sums`, W values a row of `values`.
template <typename T, int C>
inline void AddEdges(const Rows& rows, const float* weights, int64_t heads,
                     const int64_t* head_of, const T* values, int64_t width,
                     int64_t column, int64_t lo, int64_t hi, Lanes* sums) {
  for (int64_t e = lo; e < hi; ++e) {
    int64_t row = rows.other(e);
    if (rows.slots) {  // Few rows: they lie in the cache.
      row = rows.slots[row];
      if (row < 0) continue;
    } else if (e + kPrefetch < rows.num_edges) {
      const T* ahead = values + rows.other(e + kPrefetch) * width + column;
      constexpr int kBytes = kLanes * C * sizeof(T);
      for (int c = 0; c < kBytes; c += 64)
        __builtin_prefetch(reinterpret_cast<const char*>(ahead) + c);
    }
    const T* from = values + row * width + column;
    if (weights == nullptr) {
      for (int c = 0; c < C; ++c) sums[c] += Load(from + kLanes * c);
    } else if (heads == 1) {
      float weight = weights[rows.place(e)];
      for (int c = 0; c < C; ++c) sums[c] += Load(from + kLanes * c) * weight;
    } else {
      const float* of_head = weights + rows.place(e) * heads;
      for (int c = 0; c < C; ++c)
        sums[c] += Load(from + kLanes * c) * of_head[head_of[c]];
    }
  }
}

template <typename T, int C>
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
      AddEdges<T, C>(rows, weights, heads, head_of, values, width, column, lo, hi,
                     sums);
    } else {
      for (; lo < hi; lo += kPart) {
        Lanes part[C] = {};
        AddEdges<T, C>(rows, weights, heads, head_of, values, width, column, lo,
                       std::min(lo + kPart, hi), part);
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
      if (rows.slots && (row = rows.slots[row]) < 0) continue;
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
    if (lanes) {
      columns(SumColumns<T, 8>, 8 * kLanes);
      columns(SumColumns<T, 4>, 4 * kLanes);
      columns(SumColumns<T, 2>, 2 * kLanes);
      columns(SumColumns<T, 1>, kLanes);
    }
    columns(SumFew<T, 8>, 8);
    columns(SumFew<T, 4>, 4);
    columns(SumFew<T, 2>, 2);
    columns(SumFew<T, 1>, 1);
  };
  if (chosen) {
    constexpr int64_t kStep = 64;
    ParallelFor(pool, (num_rows + kStep - 1) / kStep, [&](int64_t task) {
      range(task * kStep, std::min(num_rows, (task + 1) * kStep));
    });
  } else {
    ForRows(pool, rows.indptr, num_rows, range);
  }
}

const int32_t* OrNull(ffi::Buffer<ffi::S32>& buffer) {
  return buffer.element_count() ? buffer.typed_data() : nullptr;
}

const float* OrNull(ffi::Buffer<ffi::F32>& buffer) {
  return buffer.element_count() ? buffer.typed_data() : nullptr;
}

// Whether all lie in [0, count): what is not in a plan was never looked at before.
bool InRange(ffi::Buffer<ffi::S32>& nodes, int64_t count) {
  const int32_t* numbers = nodes.typed_data();
  return std::all_of(numbers, numbers + nodes.element_count(),
                     [&](int32_t node) { return 0 <= node && node < count; });
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

// ---- maxima, dot products, softmax --------------------------------------------------

ffi::Error RowMaxima(ffi::ThreadPool pool, ffi::Buffer<ffi::S32> indptr,
                     ffi::Buffer<ffi::S32> others, ffi::Buffer<ffi::F32> values,
                     ffi::ResultBuffer<ffi::F32> out) {
  int64_t width = values.dimensions()[1];
  const int32_t* starts = indptr.typed_data();
  const int32_t* others_ = OrNull(others);
  const float* values_ = values.typed_data();
  float* out_ = out->typed_data();
  ForRows(pool, starts, out->dimensions()[0], [&](int64_t first, int64_t last) {
    for (int64_t v = first; v < last; ++v) {
      float* highest = out_ + v * width;
      std::fill(highest, highest + width, -std::numeric_limits<float>::infinity());
      for (int64_t e = starts[v]; e < starts[v + 1]; ++e) {
        const float* from = values_ + (others_ ? others_[e] : e) * width;
        for (int64_t c = 0; c < width; ++c)
          // NaN is kept, as XLA keeps it: what diverged must be seen.
          highest[c] =
              (from[c] > highest[c]) | (from[c] != from[c]) ? from[c] : highest[c];
      }
    }
  });
  return ffi::Error::Success();
}

template <typename T>
void DotRows(ffi::ThreadPool& pool, const Rows& rows, const T* own, const T* others,
             int64_t heads, int64_t width, int64_t num_rows, float* out) {
  int64_t head_width = width / heads;
  ForRows(pool, rows.indptr, num_rows, [&](int64_t first, int64_t last) {
    for (int64_t v = first; v < last; ++v) {
      const T* left = own + v * width;
      for (int64_t e = rows.indptr[v]; e < rows.indptr[v + 1]; ++e) {
        if (e + kPrefetch < rows.num_edges) {
          const char* ahead = reinterpret_cast<const char*>(
              others + rows.others[e + kPrefetch] * width);
          for (int64_t c = 0; c < width * static_cast<int64_t>(sizeof(T)); c += 64)
            __builtin_prefetch(ahead + c);
        }
        const T* right = others + rows.others[e] * width;
        for (int64_t h = 0; h < heads; ++h) {
          Lanes sums{};
          int64_t c = h * head_width, end = c + head_width;
          for (; c + kLanes <= end; c += kLanes)
            sums += Load(left + c) * Load(right + c);
          float sum = 0.0f;
          for (; c < end; ++c) sum += Widen(left[c]) * Widen(right[c]);
          float halves[kLanes];
          Store(halves, sums);
          for (int half = kLanes / 2; half; half /= 2)
            for (int i = 0; i < half; ++i) halves[i] += halves[i + half];
          out[e * heads + h] = sum + halves[0];
        }
      }
    }
  });
}

ffi::Error EdgeDots(ffi::ThreadPool pool, ffi::Buffer<ffi::S32> indptr,
                    ffi::Buffer<ffi::S32> others, ffi::AnyBuffer own,
                    ffi::AnyBuffer other_nodes, ffi::ResultBuffer<ffi::F32> out) {
  int64_t width = own.dimensions()[1];
  int64_t heads = out->dimensions()[1];
  int64_t num_rows = indptr.element_count() - 1;
  int64_t num_edges = others.element_count();
  if (heads == 0) return ffi::Error::Success();
  Rows rows{indptr.typed_data(), others.typed_data(), nullptr, num_edges, nullptr};
  if (own.element_type() == ffi::F32) {
    DotRows(pool, rows, own.typed_data<float>(), other_nodes.typed_data<float>(),
            heads, width, num_rows, out->typed_data());
  } else if (own.element_type() == ffi::BF16) {
    DotRows(pool, rows, static_cast<const uint16_t*>(own.untyped_data()),
            static_cast<const uint16_t*>(other_nodes.untyped_data()), heads, width,
            num_rows, out->typed_data());
  } else {
    return ffi::Error::InvalidArgument("nodes: expected float32 or bfloat16");
  }
  return ffi::Error::Success();
}

// exp(x) for x <= 0 to 2 units in the last place, without a branch: 2^n times a
// polynomial of the rest (Cephes' coefficients).
inline float Exp(float given) {
  float x = given > -87.0f ? given : -87.0f;
  float n = __builtin_floorf(x * 1.44269504f + 0.5f);
  x = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * x + 1.3981999507e-3f;
  p = p * x + 8.3334519073e-3f;
  p = p * x + 4.1665795894e-2f;
  p = p * x + 1.6666665459e-1f;
  p = p * x + 5.0000001201e-1f;
  p = p * x * x + x + 1.0f;
  int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, 4);
  float result = given < -87.0f ? 0.0f : p * power;
  return given != given ? given : result;
}

// `logits` (E, H) in the order of the rows.
ffi::Error SoftmaxForward(ffi::ThreadPool pool, ffi::Buffer<ffi::S32> indptr,
                          ffi::Buffer<ffi::F32> logits,
                          ffi::ResultBuffer<ffi::F32> out) {
  int64_t heads = logits.dimensions()[1];
  const int32_t* starts = indptr.typed_data();
  const float* logits_ = logits.typed_data();
  float* out_ = out->typed_data();
  ForRows(pool, starts, indptr.element_count() - 1, [&](int64_t first, int64_t last) {
    for (int64_t v = first; v < last; ++v) {
      int64_t lo = starts[v] * heads, hi = starts[v + 1] * heads;
      for (int64_t h = 0; h < heads; ++h) {
        float highest = -std::numeric_limits<float>::infinity();
        for (int64_t i = lo + h; i < hi; i += heads)
          highest = logits_[i] > highest ? logits_[i] : highest;
        for (int64_t i = lo + h; i < hi; i += heads) out_[i] = logits_[i] - highest;
      }
      for (int64_t i = lo; i < hi; ++i) out_[i] = Exp(out_[i]);
      for (int64_t h = 0; h < heads; ++h) {
        double sum = 0.0;
        for (int64_t i = lo + h; i < hi; i += heads) sum += out_[i];
        float scale = static_cast<float>(1.0 / sum);
        for (int64_t i = lo + h; i < hi; i += heads) out_[i] *= scale;
      }
    }
  });
  return ffi::Error::Success();
}

ffi::Error SoftmaxBackward(ffi::ThreadPool pool, ffi::Buffer<ffi::S32> indptr,
                           ffi::Buffer<ffi::F32> shares, ffi::Buffer<ffi::F32> gradient,
                           ffi::ResultBuffer<ffi::F32> out) {
  int64_t heads = shares.dimensions()[1];
  const int32_t* starts = indptr.typed_data();
  const float* shares_ = shares.typed_data();
  const float* gradient_ = gradient.typed_data();
  float* out_ = out->typed_data();
  ForRows(pool, starts, indptr.element_count() - 1, [&](int64_t first, int64_t last) {
    for (int64_t v = first; v < last; ++v) {
      int64_t lo = starts[v] * heads, hi = starts[v + 1] * heads;
      for (int64_t h = 0; h < heads; ++h) {
        double sum = 0.0;
        for (int64_t i = lo + h; i < hi; i += heads) sum += shares_[i] * gradient_[i];
        float flow = static_cast<float>(sum);
        for (int64_t i = lo + h; i < hi; i += heads)
          out_[i] = shares_[i] * (gradient_[i] - flow);
      }
    }
  });
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnWeightedRowSums, WeightedRowSums,
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
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnCompactRows, CompactRows,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnRowMaxima, RowMaxima,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnEdgeDots, EdgeDots,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnSoftmaxForward, SoftmaxForward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnSoftmaxBackward, SoftmaxBackward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
