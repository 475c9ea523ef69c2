// Attention of each text's tokens to one another, a text and a head at a time: scores
// are never in memory as a whole, and neither padding nor other texts are computed.

#include <cmath>
#include <limits>
#include <vector>

#include "lanes.h"
#include "small_products.h"
#include "threads.h"
#include "transpose.h"

namespace llmgnn {
namespace {

constexpr int64_t kQueries = 32;  // at a time: their scores stay in cache

int64_t Up(int64_t count) { return (count + 15) / 16 * 16; }

// Tokens of one text: `count` of them from token `first` of all rows on, which is token
// `place` of row `batch`. Or of padding.
struct Text {
  int64_t first, count, batch, place;
  bool padding;
};

// Runs of equal numbers in a row; negative ones are padding.
std::vector<Text> TextsOf(const int32_t* segments, int64_t batch, int64_t length) {
  std::vector<Text> texts;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t start = 0; start < length;) {
      const int32_t* row = segments + b * length;
      int64_t end = start + 1;
      while (end < length && row[end] == row[start]) ++end;
      texts.push_back({b * length + start, end - start, b, start, row[start] < 0});
      start = end;
    }
  return texts;
}

// Each token has H queries, then G keys, then G values, K wide each.
struct Shape {
  int64_t batch, length, heads, groups, width;
  int64_t padded() const { return Up(width); }
  int64_t each() const { return heads / groups; }
  int64_t stride() const { return (heads + 2 * groups) * width; }
  int64_t out_stride() const { return heads * width; }
  int64_t key(int64_t group) const { return (heads + group) * width; }
  int64_t value(int64_t group) const { return (heads + groups + group) * width; }
};

// body(text, first group, last group): whole texts where there are enough of them, whose
// memory a thread then has to itself; else groups of heads.
template <typename Body>
void ForTexts(ffi::ThreadPool& pool, const Shape& shape, const std::vector<Text>& texts,
              const Body& body) {
  const int64_t count = texts.size();
  if (count >= 8 * static_cast<int64_t>(pool.num_threads()))
    return ParallelFor(pool, count, [&](int64_t t) { body(texts[t], 0, shape.groups); });
  ParallelFor(pool, count * shape.groups, [&](int64_t task) {
    const int64_t group = task % shape.groups;
    body(texts[task / shape.groups], group, group + 1);
  });
}

// to[i][0..padded) = from's row i, 0 beyond the width.
void CopyRows(const float* from, int64_t stride, int64_t rows, int64_t width, float* to,
              int64_t padded) {
  for (int64_t i = 0; i < rows; ++i) {
    std::copy_n(from + i * stride, width, to + i * padded);
    std::fill(to + i * padded + width, to + (i + 1) * padded, 0.0f);
  }
}

// to[k][0..columns) = from's column k times `scale`; `columns` a multiple of 16.
void Turn(const float* from, int64_t stride, int64_t rows, int64_t width, float scale,
          float* to, int64_t columns) {
  for (int64_t i = 0; i < columns; i += 16)
    for (int64_t k = 0; k < width; k += 16)
      TransposeBlock(from + i * stride + k, stride, rows - i,
                     std::min<int64_t>(16, width - k), to + k * columns + i, columns);
  if (scale != 1.0f)
    for (int64_t i = 0; i < width * columns; i += kWidth) Save(to + i, Load(to + i) * scale);
}

// Brings a text's part of an array near, along its rows, to be read or written: heads go
// across them, which no processor foresees.
template <int Write>
void Fetch(const float* from, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(from + i, Write, 2);
}

// What a query may look at: the first of these many tokens of its text.
int64_t Seen(const Text& text, int64_t query, bool causal) {
  return causal ? query + 1 : text.count;
}

float Dot(const float* a, const float* b, int64_t count) {
  Lane sums{};
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) sums += Load(a + i) * Load(b + i);
  float sum = Total(sums);
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// Scores to e^(score - largest), 0 from `seen` on; the sum and the largest.
struct Softmax {
  float total, largest;
};
Softmax Weigh(float* scores, int64_t seen, int64_t columns) {
  // NaN where a score is none or infinite: maxima would pass over it.
  Lane odd{};
  for (int64_t j = 0; j < columns; j += kWidth) odd += Load(scores + j) * 0.0f;
  std::fill(scores + seen, scores + columns, -std::numeric_limits<float>::infinity());
  Lane most = Load(scores);
  for (int64_t j = kWidth; j < columns; j += kWidth) most = Larger(most, Load(scores + j));
  const float largest = Largest(most);
  for (int64_t j = 0; j < columns; j += kWidth)
    Save(scores + j, Exp(Load(scores + j) - largest));
  std::fill(scores + seen, scores + columns, 0.0f);  // e^-87 so far
  Lane total{};
  for (int64_t j = 0; j < columns; j += kWidth) total += Load(scores + j);
  return {Total(total) + Total(odd), largest};
}

using Matrix = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;

// What is wrong with the arguments' shapes; null for nothing.
const char* ShapeOf(Matrix& joined, ffi::Buffer<ffi::S32>& segments, int64_t heads,
                    int64_t groups, Shape* shape) {
  auto sizes = joined.dimensions();
  if (heads <= 0 || groups <= 0 || heads % groups || sizes.size() != 3 ||
      sizes[2] % (heads + 2 * groups))
    return "joined: expected (B, L, (H + 2 G) K) and G a divisor of H";
  *shape = {sizes[0], sizes[1], heads, groups, sizes[2] / (heads + 2 * groups)};
  if (static_cast<int64_t>(segments.element_count()) != sizes[0] * sizes[1])
    return "segments: expected a number for each token";
  return nullptr;
}

// joined (B, L, (H + 2 G) K); segments (B, L): which text, or < 0; out (B, L, H K), 0 at
// padding; logs (B, H, L): of the sums of exponentials.
template <typename Products>
ffi::Error AttendBy(ffi::ThreadPool& pool, Matrix& joined,
                    ffi::Buffer<ffi::S32>& segments, Result& out, Result& logs,
                    int64_t heads, int64_t groups, bool causal) {
  Shape s;
  if (const char* wrong = ShapeOf(joined, segments, heads, groups, &s))
    return ffi::Error::InvalidArgument(wrong);
  const std::vector<Text> texts = TextsOf(segments.typed_data(), s.batch, s.length);
  const int64_t padded = s.padded();
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.width));
  OnHugePages(out->typed_data(), out->size_bytes());
  ForTexts(pool, s, texts, [&](const Text& text, int64_t first, int64_t last) {
    static thread_local Scratch memory;
    const int64_t n = text.count, columns = Up(n);
    float* to_logs = logs->typed_data() + text.batch * s.heads * s.length + text.place;
    if (text.padding) {
      for (int64_t head = first * s.each(); head < last * s.each(); ++head) {
        std::fill_n(to_logs + head * s.length, n, 0.0f);
        for (int64_t i = text.first; i < text.first + n; ++i)
          std::fill_n(out->typed_data() + i * s.out_stride() + head * s.width, s.width, 0.0f);
      }
      return;
    }
    float* keys = memory.Get<float>(padded * columns + n * padded +
                                    kQueries * (columns + padded) + 64);
    float* values = keys + padded * columns;
    float* scores = values + n * padded;
    float* mixed = scores + kQueries * columns;
    const float* from = joined.typed_data() + text.first * s.stride();
    if (last - first == s.groups) {
      Fetch<0>(from, n * s.stride());
      Fetch<1>(out->typed_data() + text.first * s.out_stride(), n * s.out_stride());
    }
    typename Products::Session session;
    for (int64_t group = first; group < last; ++group) {
      Turn(from + s.key(group), s.stride(), n, s.width, scale, keys, columns);
      CopyRows(from + s.value(group), s.stride(), n, s.width, values, padded);
      for (int64_t head = group * s.each(); head < (group + 1) * s.each(); ++head)
        for (int64_t start = 0; start < n; start += kQueries) {
          const int64_t rows = std::min(kQueries, n - start);
          const int64_t seen = Seen(text, start + rows - 1, causal), here = Up(seen);
          Products::Multiply(from + start * s.stride() + head * s.width, s.stride(), 1, keys,
                       columns, s.width, scores, columns, rows, here, false);
          float sums[kQueries];
          for (int64_t i = 0; i < rows; ++i) {
            const Softmax row =
                Weigh(scores + i * columns, Seen(text, start + i, causal), here);
            sums[i] = row.total;
            to_logs[head * s.length + start + i] = row.largest + std::log(row.total);
          }
          Products::Multiply(scores, columns, 1, values, padded, seen, mixed, padded, rows,
                       padded, false);
          for (int64_t i = 0; i < rows; ++i) {
            float* to = out->typed_data() + (text.first + start + i) * s.out_stride() +
                        head * s.width;
            const float share = 1.0f / sums[i];
            for (int64_t d = 0; d < s.width; ++d) to[d] = mixed[i * padded + d] * share;
          }
        }
    }
  });
  return ffi::Error::Success();
}

// The gradient of `joined`, from what `Attend` gave and the gradient of `out`; 0 at
// padding.
template <typename Products>
ffi::Error AttendGradientBy(ffi::ThreadPool& pool, Matrix& joined,
                            ffi::Buffer<ffi::S32>& segments, Matrix& out, Matrix& logs,
                            Matrix& gradient, Result& result, int64_t heads,
                            int64_t groups, bool causal) {
  Shape s;
  if (const char* wrong = ShapeOf(joined, segments, heads, groups, &s))
    return ffi::Error::InvalidArgument(wrong);
  const std::vector<Text> texts = TextsOf(segments.typed_data(), s.batch, s.length);
  const int64_t padded = s.padded();
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.width));
  OnHugePages(result->typed_data(), result->size_bytes());
  ForTexts(pool, s, texts, [&](const Text& text, int64_t first, int64_t last) {
    static thread_local Scratch memory;
    const int64_t n = text.count, columns = Up(n);
    float* to = result->typed_data() + text.first * s.stride();
    if (text.padding) {
      if (first == 0) std::fill_n(to, n * s.stride(), 0.0f);
      return;
    }
    const int64_t rows_size = n * padded, turned = padded * columns;
    float* keys = memory.Get<float>(2 * turned + 3 * rows_size +
                                    kQueries * (2 * columns + 3 * padded) + 64);
    float* values = keys + turned;         // turned
    float* plain_keys = values + turned;   // scaled
    float* key_sums = plain_keys + rows_size;
    float* value_sums = key_sums + rows_size;
    float* weights = value_sums + rows_size;
    float* changes = weights + kQueries * columns;
    float* queries = changes + kQueries * columns;
    float* given = queries + kQueries * padded;
    float* mixed = given + kQueries * padded;
    const float* from = joined.typed_data() + text.first * s.stride();
    const float* from_logs =
        logs.typed_data() + text.batch * s.heads * s.length + text.place;
    if (last - first == s.groups) {
      Fetch<0>(from, n * s.stride());
      Fetch<1>(to, n * s.stride());
      Fetch<0>(gradient.typed_data() + text.first * s.out_stride(), n * s.out_stride());
      Fetch<0>(out.typed_data() + text.first * s.out_stride(), n * s.out_stride());
    }
    typename Products::Session session;
    for (int64_t group = first; group < last; ++group) {
      Turn(from + s.key(group), s.stride(), n, s.width, scale, keys, columns);
      Turn(from + s.value(group), s.stride(), n, s.width, 1.0f, values, columns);
      CopyRows(from + s.key(group), s.stride(), n, s.width, plain_keys, padded);
      for (int64_t i = 0; i < rows_size; i += kWidth)
        Save(plain_keys + i, Load(plain_keys + i) * scale);
      std::fill_n(key_sums, 2 * rows_size, 0.0f);
      for (int64_t head = group * s.each(); head < (group + 1) * s.each(); ++head)
        for (int64_t start = 0; start < n; start += kQueries) {
          const int64_t rows = std::min(kQueries, n - start);
          const int64_t seen = Seen(text, start + rows - 1, causal), here = Up(seen);
          const int64_t out_at =
              (text.first + start) * s.out_stride() + head * s.width;
          CopyRows(from + start * s.stride() + head * s.width, s.stride(), rows, s.width,
                   queries, padded);
          CopyRows(gradient.typed_data() + out_at, s.out_stride(), rows, s.width, given,
                   padded);
          Products::Multiply(queries, padded, 1, keys, columns, s.width, weights, columns, rows,
                       here, false);
          Products::Multiply(given, padded, 1, values, columns, s.width, changes, columns, rows,
                       here, false);
          for (int64_t i = 0; i < rows; ++i) {
            const float* was = out.typed_data() + out_at + i * s.out_stride();
            const float common = Dot(given + i * padded, was, s.width);
            const float log = from_logs[head * s.length + start + i];
            float* weight = weights + i * columns;
            float* change = changes + i * columns;
            for (int64_t j = 0; j < here; j += kWidth) {
              const Lane share = Exp(Load(weight + j) - log);
              Save(weight + j, share);
              Save(change + j, share * (Load(change + j) - common));
            }
            const int64_t visible = Seen(text, start + i, causal);
            std::fill(weight + visible, weight + here, 0.0f);
            std::fill(change + visible, change + here, 0.0f);
          }
          Products::Multiply(weights, 1, columns, given, padded, rows, value_sums, padded, seen,
                       padded, true);
          Products::Multiply(changes, 1, columns, queries, padded, rows, key_sums, padded, seen,
                       padded, true);
          Products::Multiply(changes, columns, 1, plain_keys, padded, seen, mixed, padded, rows,
                       padded, false);
          for (int64_t i = 0; i < rows; ++i)
            std::copy_n(mixed + i * padded, s.width,
                        to + (start + i) * s.stride() + head * s.width);
        }
      for (int64_t i = 0; i < n; ++i) {
        float* to_key = to + i * s.stride() + s.key(group);
        float* to_value = to + i * s.stride() + s.value(group);
        for (int64_t d = 0; d < s.width; ++d) {
          to_key[d] = key_sums[i * padded + d] * scale;
          to_value[d] = value_sums[i * padded + d];
        }
      }
    }
  });
  return ffi::Error::Success();
}

ffi::Error Attend(ffi::ThreadPool pool, Matrix joined, ffi::Buffer<ffi::S32> segments,
                  Result out, Result logs, int64_t heads, int64_t groups, bool causal,
                  bool bfloat16) {
  return WithProducts(bfloat16, [&](auto products) {
    return AttendBy<decltype(products)>(pool, joined, segments, out, logs, heads, groups,
                                        causal);
  });
}

ffi::Error AttendGradient(ffi::ThreadPool pool, Matrix joined,
                          ffi::Buffer<ffi::S32> segments, Matrix out, Matrix logs,
                          Matrix gradient, Result result, int64_t heads, int64_t groups,
                          bool causal, bool bfloat16) {
  return WithProducts(bfloat16, [&](auto products) {
    return AttendGradientBy<decltype(products)>(pool, joined, segments, out, logs,
                                                gradient, result, heads, groups, causal);
  });
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnAttend, llmgnn::Safe<llmgnn::Attend>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<int64_t>("heads")
                                  .Attr<int64_t>("groups")
                                  .Attr<bool>("causal")
                                  .Attr<bool>("bfloat16"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnAttendGradient,
                              llmgnn::Safe<llmgnn::AttendGradient>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<int64_t>("heads")
                                  .Attr<int64_t>("groups")
                                  .Attr<bool>("causal")
                                  .Attr<bool>("bfloat16"));
