// What edges hold: maxima and softmax over rows, dot products, gathers.

#include <atomic>
#include <cstring>
#include <limits>
#include <type_traits>

#include "rows.h"
#include "values.h"

namespace llmgnn {
namespace {

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
          const T* ahead = others + rows.others[e + kPrefetch] * width;
          for (int64_t c = 0; c < width; c += 64 / sizeof(T)) Prefetch<4>(ahead + c);
        }
        const T* right = others + rows.others[e] * width;
        int64_t h = 0;
        if (head_width == kLanes) {
          for (; h + 4 <= heads; h += 4) {
            Lanes products[4];
            for (int i = 0; i < 4; ++i)
              products[i] = Load(left + (h + i) * kLanes) *
                            Load(right + (h + i) * kLanes);
            Totals(products, out + e * heads + h);
          }
        }
        for (; h < heads; ++h) {
          Lanes sums{};
          int64_t c = h * head_width, end = c + head_width;
          for (; c + kLanes <= end; c += kLanes)
            sums += Load(left + c) * Load(right + c);
          float sum = 0.0f;
          for (; c < end; ++c) sum += Widen(left[c]) * Widen(right[c]);
          out[e * heads + h] = sum + Total(sums);
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
  OnHugePages(out->typed_data(), out->size_bytes());
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

// The edges of one row, H heads side by side: all heads go through the edges together.
// H = 0: any number of heads, one after another.
template <int H>
void SoftmaxRow(const float* logits, int64_t edges, int64_t heads, float* out) {
  int64_t size = edges * heads;
  if constexpr (H > 0) {
    float highest[H];
    std::fill(highest, highest + H, -std::numeric_limits<float>::infinity());
    for (int64_t i = 0; i < size; i += H)
      for (int h = 0; h < H; ++h)
        highest[h] = logits[i + h] > highest[h] ? logits[i + h] : highest[h];
    for (int64_t i = 0; i < size; i += H)
      for (int h = 0; h < H; ++h) out[i + h] = logits[i + h] - highest[h];
    for (int64_t i = 0; i < size; ++i) out[i] = Exp(out[i]);
    double sums[H] = {};
    for (int64_t i = 0; i < size; i += H)
      for (int h = 0; h < H; ++h) sums[h] += out[i + h];
    float scales[H];
    for (int h = 0; h < H; ++h) scales[h] = static_cast<float>(1.0 / sums[h]);
    for (int64_t i = 0; i < size; i += H)
      for (int h = 0; h < H; ++h) out[i + h] *= scales[h];
  } else {
    for (int64_t h = 0; h < heads; ++h) {
      float highest = -std::numeric_limits<float>::infinity();
      for (int64_t i = h; i < size; i += heads)
        highest = logits[i] > highest ? logits[i] : highest;
      for (int64_t i = h; i < size; i += heads) out[i] = logits[i] - highest;
    }
    for (int64_t i = 0; i < size; ++i) out[i] = Exp(out[i]);
    for (int64_t h = 0; h < heads; ++h) {
      double sum = 0.0;
      for (int64_t i = h; i < size; i += heads) sum += out[i];
      float scale = static_cast<float>(1.0 / sum);
      for (int64_t i = h; i < size; i += heads) out[i] *= scale;
    }
  }
}

template <int H>
void SoftmaxRowBackward(const float* shares, const float* gradient, int64_t edges,
                        int64_t heads, float* out) {
  int64_t size = edges * heads;
  if constexpr (H > 0) {
    double sums[H] = {};
    for (int64_t i = 0; i < size; i += H)
      for (int h = 0; h < H; ++h) sums[h] += shares[i + h] * gradient[i + h];
    for (int64_t i = 0; i < size; i += H)
      for (int h = 0; h < H; ++h)
        out[i + h] = shares[i + h] * (gradient[i + h] - static_cast<float>(sums[h]));
  } else {
    for (int64_t h = 0; h < heads; ++h) {
      double sum = 0.0;
      for (int64_t i = h; i < size; i += heads) sum += shares[i] * gradient[i];
      float flow = static_cast<float>(sum);
      for (int64_t i = h; i < size; i += heads)
        out[i] = shares[i] * (gradient[i] - flow);
    }
  }
}

// body(std::integral_constant<int, H>), with H the number of heads if that is usual.
template <typename Body>
void ForHeads(int64_t heads, const Body& body) {
  if (heads == 1) return body(std::integral_constant<int, 1>{});
  if (heads == 2) return body(std::integral_constant<int, 2>{});
  if (heads == 4) return body(std::integral_constant<int, 4>{});
  if (heads == 8) return body(std::integral_constant<int, 8>{});
  body(std::integral_constant<int, 0>{});
}

// `logits` (E, H) in the order of the rows.
ffi::Error SoftmaxForward(ffi::ThreadPool pool, ffi::Buffer<ffi::S32> indptr,
                          ffi::Buffer<ffi::F32> logits,
                          ffi::ResultBuffer<ffi::F32> out) {
  int64_t heads = logits.dimensions()[1];
  const int32_t* starts = indptr.typed_data();
  OnHugePages(out->typed_data(), out->size_bytes());
  ForHeads(heads, [&](auto known) {
    ForRows(pool, starts, indptr.element_count() - 1, [&](int64_t first, int64_t last) {
      for (int64_t v = first; v < last; ++v) {
        int64_t lo = starts[v] * heads;
        SoftmaxRow<decltype(known)::value>(logits.typed_data() + lo,
                                           starts[v + 1] - starts[v], heads,
                                           out->typed_data() + lo);
      }
    });
  });
  return ffi::Error::Success();
}

ffi::Error SoftmaxBackward(ffi::ThreadPool pool, ffi::Buffer<ffi::S32> indptr,
                           ffi::Buffer<ffi::F32> shares, ffi::Buffer<ffi::F32> gradient,
                           ffi::ResultBuffer<ffi::F32> out) {
  int64_t heads = shares.dimensions()[1];
  const int32_t* starts = indptr.typed_data();
  OnHugePages(out->typed_data(), out->size_bytes());
  ForHeads(heads, [&](auto known) {
    ForRows(pool, starts, indptr.element_count() - 1, [&](int64_t first, int64_t last) {
      for (int64_t v = first; v < last; ++v) {
        int64_t lo = starts[v] * heads;
        SoftmaxRowBackward<decltype(known)::value>(
            shares.typed_data() + lo, gradient.typed_data() + lo,
            starts[v + 1] - starts[v], heads, out->typed_data() + lo);
      }
    });
  });
  return ffi::Error::Success();
}

// ---- gathers ------------------------------------------------------------------------

// Rows of `kBytes` bytes (0: of any size).
template <int kBytes>
void CopyRows(const char* from, int64_t bytes, const int32_t* numbers, int64_t first,
              int64_t last, char* to) {
  if constexpr (kBytes > 0) bytes = kBytes;
  for (int64_t e = first; e < last; ++e) {
    // Not past `last`: what lies there was not looked at.
    if (e + kPrefetch < last) Prefetch<4>(from + numbers[e + kPrefetch] * bytes);
    std::memcpy(to + e * bytes, from + numbers[e] * bytes, bytes);
  }
}

// out[e] = nodes[numbers[e]].
ffi::Error GatherRows(ffi::ThreadPool pool, ffi::AnyBuffer nodes,
                      ffi::Buffer<ffi::S32> numbers, ffi::Result<ffi::AnyBuffer> out) {
  int64_t count = numbers.element_count();
  if (count == 0 || out->size_bytes() == 0) return ffi::Error::Success();
  int64_t bytes = static_cast<int64_t>(out->size_bytes()) / count;
  const char* from = static_cast<const char*>(nodes.untyped_data());
  char* to = static_cast<char*>(out->untyped_data());
  int64_t num_nodes = nodes.dimensions()[0];
  std::atomic<bool> known{true};
  OnHugePages(to, out->size_bytes());
  ForRanges(pool, count, 16384, [&](int64_t first, int64_t last) {
    if (!InRange(numbers.typed_data() + first, last - first, num_nodes)) {
      known = false;
      return;
    }
    auto copy = [&](auto rows) {
      rows(from, bytes, numbers.typed_data(), first, last, to);
    };
    if (bytes == 4) return copy(CopyRows<4>);
    if (bytes == 8) return copy(CopyRows<8>);
    if (bytes == 16) return copy(CopyRows<16>);
    if (bytes == 32) return copy(CopyRows<32>);
    copy(CopyRows<0>);
  });
  if (!known)
    return ffi::Error::InvalidArgument("numbers: expected numbers of nodes");
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnRowMaxima, llmgnn::Safe<llmgnn::RowMaxima>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnEdgeDots, llmgnn::Safe<llmgnn::EdgeDots>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnSoftmaxForward,
                              llmgnn::Safe<llmgnn::SoftmaxForward>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnSoftmaxBackward,
                              llmgnn::Safe<llmgnn::SoftmaxBackward>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnGatherRows, llmgnn::Safe<llmgnn::GatherRows>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::AnyBuffer>());
