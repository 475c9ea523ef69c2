// Weighted sums of rows of a table that are named by number, and their transpose: what a
// sampled tree reads, and what reaches the table from it.

#include <algorithm>

#include "rows.h"
#include "values.h"

namespace llmgnn {
namespace {

struct Slots {
  const int32_t* ids;
  const float* weights;
  const bool* mask;
  int64_t each;   // of a sum
  int64_t count;  // of all sums
};

// Columns [column, column + 16 C) of the sums [first, last).
template <typename T, int C>
void SumSlots(const Slots& slots, const T* table, int64_t width, int64_t column,
              int64_t first, int64_t last, float* out) {
  for (int64_t w = first; w < last; ++w) {
    Lanes sums[C] = {};
    for (int64_t s = w * slots.each; s < (w + 1) * slots.each; ++s) {
      if (s + kPrefetch < slots.count)
        Prefetch<kLanes * C * sizeof(T)>(table + slots.ids[s + kPrefetch] * width +
                                         column);
      // What an empty slot names need not be finite.
      if (!slots.mask[s]) continue;
      const T* from = table + slots.ids[s] * width + column;
      for (int c = 0; c < C; ++c) sums[c] += Load(from + kLanes * c) * slots.weights[s];
    }
    for (int c = 0; c < C; ++c) Store(out + w * width + column + kLanes * c, sums[c]);
  }
}

// The columns from `column` on, fewer than 16.
template <typename T>
void SumFew(const Slots& slots, const T* table, int64_t width, int64_t column,
            int64_t first, int64_t last, float* out) {
  for (int64_t w = first; w < last; ++w) {
    float* to = out + w * width;
    std::fill(to + column, to + width, 0.0f);
    for (int64_t s = w * slots.each; s < (w + 1) * slots.each; ++s) {
      if (!slots.mask[s]) continue;
      const T* from = table + slots.ids[s] * width;
      for (int64_t c = column; c < width; ++c) to[c] += Widen(from[c]) * slots.weights[s];
    }
  }
}

template <typename T>
void SumTable(ffi::ThreadPool& pool, const Slots& slots, const T* table, int64_t width,
              int64_t num_sums, float* out) {
  ForRanges(pool, num_sums, 128, [&](int64_t first, int64_t last) {
    int64_t column = 0;
    for (; width - column >= 8 * kLanes; column += 8 * kLanes)
      SumSlots<T, 8>(slots, table, width, column, first, last, out);
    for (; width - column >= 4 * kLanes; column += 4 * kLanes)
      SumSlots<T, 4>(slots, table, width, column, first, last, out);
    for (; width - column >= kLanes; column += kLanes)
      SumSlots<T, 1>(slots, table, width, column, first, last, out);
    if (column < width) SumFew<T>(slots, table, width, column, first, last, out);
  });
}

// `table` (N, D) float32 or bfloat16; `ids`, `weights` and `mask` (W, K); out (W, D).
ffi::Error GatheredSums(ffi::ThreadPool pool, ffi::AnyBuffer table,
                        ffi::Buffer<ffi::S32> ids, ffi::Buffer<ffi::F32> weights,
                        ffi::Buffer<ffi::PRED> mask,
                        ffi::ResultBuffer<ffi::F32> out) {
  int64_t num_sums = ids.dimensions()[0], width = table.dimensions()[1];
  if (num_sums == 0 || width == 0) return ffi::Error::Success();
  if (!InRange(ids, table.dimensions()[0]))
    return ffi::Error::InvalidArgument("ids: expected numbers of rows of the table");
  Slots slots{ids.typed_data(), weights.typed_data(), mask.typed_data(),
              ids.dimensions()[1], static_cast<int64_t>(ids.element_count())};
  OnHugePages(out->typed_data(), out->size_bytes());
  if (table.element_type() == ffi::F32) {
    SumTable(pool, slots, table.typed_data<float>(), width, num_sums, out->typed_data());
  } else if (table.element_type() == ffi::BF16) {
    SumTable(pool, slots, static_cast<const uint16_t*>(table.untyped_data()), width,
             num_sums, out->typed_data());
  } else {
    return ffi::Error::InvalidArgument("table: expected float32 or bfloat16");
  }
  return ffi::Error::Success();
}

// Numbers of rows of a table, each with a row of a gradient and a weight.
struct Entries {
  const int32_t* ids;
  const int32_t* owners;
  const float* weights;
  int64_t count;
};

// What belongs to one row of the table.
struct Term {
  int32_t owner;
  float weight;
};

// Columns [column, column + 16 C) of the rows [first, last); `ends[v - first]` is where
// the terms of row v begin, the next one where they end.
template <int C>
void AddTerms(const Term* terms, const int32_t* ends, const float* gradient,
              int64_t width, int64_t column, int64_t first, int64_t last, float* out) {
  for (int64_t v = first; v < last; ++v) {
    Lanes sums[C] = {};
    for (int32_t t = ends[v - first]; t < ends[v - first + 1]; ++t) {
      const float* from = gradient + terms[t].owner * width + column;
      for (int c = 0; c < C; ++c) sums[c] += Load(from + kLanes * c) * terms[t].weight;
    }
    for (int c = 0; c < C; ++c) Store(out + v * width + column + kLanes * c, sums[c]);
  }
}

// Rows [first, last) of the table's gradient: the entries that name them are sorted by
// row first, in their own order within it.
void ScatterRange(const Entries& entries, const float* gradient, int64_t width,
                  int64_t first, int64_t last, float* out) {
  thread_local Scratch of_ends, of_terms;
  int32_t* ends = of_ends.Get<int32_t>(last - first + 2);
  std::fill_n(ends, last - first + 2, 0);
  auto here = [&](int64_t e) {
    return entries.ids[e] >= first && entries.ids[e] < last && entries.weights[e] != 0;
  };
  int32_t count = 0;
  for (int64_t e = 0; e < entries.count; ++e) {
    if (!here(e)) continue;
    ++ends[entries.ids[e] - first + 2];
    ++count;
  }
  for (int64_t v = 2; v < last - first + 2; ++v) ends[v] += ends[v - 1];
  Term* terms = of_terms.Get<Term>(count);
  for (int64_t e = 0; e < entries.count; ++e) {
    if (!here(e)) continue;
    terms[ends[entries.ids[e] - first + 1]++] = {entries.owners[e], entries.weights[e]};
  }
  int64_t column = 0;
  for (; width - column >= 8 * kLanes; column += 8 * kLanes)
    AddTerms<8>(terms, ends, gradient, width, column, first, last, out);
  for (; width - column >= 4 * kLanes; column += 4 * kLanes)
    AddTerms<4>(terms, ends, gradient, width, column, first, last, out);
  for (; width - column >= kLanes; column += kLanes)
    AddTerms<1>(terms, ends, gradient, width, column, first, last, out);
  for (int64_t v = first; v < last && column < width; ++v) {
    float* to = out + v * width;
    std::fill(to + column, to + width, 0.0f);
    for (int32_t t = ends[v - first]; t < ends[v - first + 1]; ++t)
      for (int64_t c = column; c < width; ++c)
        to[c] += gradient[terms[t].owner * width + c] * terms[t].weight;
  }
}

// `ids`, `owners` and `weights` (E); `gradient` (S, D); out (N, D): of each row the sum
// of weight x gradient[owner] over the entries that name it.
ffi::Error ScatteredSums(ffi::ThreadPool pool, ffi::Buffer<ffi::S32> ids,
                         ffi::Buffer<ffi::S32> owners, ffi::Buffer<ffi::F32> weights,
                         ffi::Buffer<ffi::F32> gradient,
                         ffi::ResultBuffer<ffi::F32> out) {
  const int64_t num_rows = out->dimensions()[0], width = out->dimensions()[1];
  if (num_rows == 0 || width == 0) return ffi::Error::Success();
  if (!InRange(ids, num_rows))
    return ffi::Error::InvalidArgument("ids: expected numbers of rows of the table");
  if (!InRange(owners, gradient.dimensions()[0]))
    return ffi::Error::InvalidArgument("owners: expected rows of the gradient");
  const Entries entries{ids.typed_data(), owners.typed_data(), weights.typed_data(),
                        static_cast<int64_t>(ids.element_count())};
  OnHugePages(out->typed_data(), out->size_bytes());
  // Every task looks through all entries, so there are few.
  const int64_t tasks = 2 * std::max<int64_t>(1, pool.num_threads());
  ForRanges(pool, num_rows, (num_rows + tasks - 1) / tasks,
            [&](int64_t first, int64_t last) {
              ScatterRange(entries, gradient.typed_data(), width, first, last,
                           out->typed_data());
            });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnGatheredSums,
                              llmgnn::Safe<llmgnn::GatheredSums>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::PRED>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnScatteredSums,
                              llmgnn::Safe<llmgnn::ScatteredSums>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
