// Layer normalisation of a sum, and sums of columns.

#include <cmath>
#include <vector>

#include "lanes.h"
#include "threads.h"

namespace llmgnn {
namespace {

using Matrix = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;

constexpr int64_t kRowsOfTask = 128;

// f(lanes' column) for whole lanes, then g(column) one by one.
template <typename F, typename G>
inline void Columns(int64_t width, const F& lanes, const G& one) {
  int64_t column = 0;
  for (; column + kWidth <= width; column += kWidth) lanes(column);
  for (; column < width; ++column) one(column);
}

// y = (s - mean) / sqrt(variance + epsilon) * scale + bias with s = x + addend, row by
// row; `addend` may be empty. `sum` is s, `moments` (T, 2) the mean and 1 / deviation.
ffi::Error Norm(ffi::ThreadPool pool, Matrix x, Matrix addend, Matrix scale, Matrix bias,
                Result out, Result sum, Result moments, float epsilon) {
  const int64_t width = scale.element_count();
  if (width == 0 || x.element_count() % width || bias.element_count() != scale.element_count() ||
      (addend.element_count() && addend.element_count() != x.element_count()))
    return ffi::Error::InvalidArgument("scale: expected the last axis of x");
  const int64_t rows = x.element_count() / width;
  const bool added = addend.element_count() > 0;
  ForRanges(pool, rows, kRowsOfTask, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const float* from = x.typed_data() + row * width;
      const float* more = addend.typed_data() + row * width;
      float* s = sum->typed_data() + row * width;
      float* to = out->typed_data() + row * width;
      Lane lanes{};
      float rest = 0.0f;
      Columns(width,
              [&](int64_t c) {
                Lane value = Load(from + c);
                if (added) value += Load(more + c);
                Save(s + c, value);
                lanes += value;
              },
              [&](int64_t c) { rest += s[c] = added ? from[c] + more[c] : from[c]; });
      const float mean = (Total(lanes) + rest) / width;
      lanes = Lane{};
      rest = 0.0f;
      Columns(width,
              [&](int64_t c) {
                const Lane centred = Load(s + c) - mean;
                lanes += centred * centred;
              },
              [&](int64_t c) { rest += (s[c] - mean) * (s[c] - mean); });
      const float inverse = 1.0f / std::sqrt((Total(lanes) + rest) / width + epsilon);
      const float *scales = scale.typed_data(), *biases = bias.typed_data();
      Columns(width,
              [&](int64_t c) {
                Save(to + c, (Load(s + c) - mean) * inverse * Load(scales + c) +
                                 Load(biases + c));
              },
              [&](int64_t c) { to[c] = (s[c] - mean) * inverse * scales[c] + biases[c]; });
      moments->typed_data()[2 * row] = mean;
      moments->typed_data()[2 * row + 1] = inverse;
    }
  });
  return ffi::Error::Success();
}

// Sums partial results of tasks, `width` numbers each, in their order.
void AddUp(const std::vector<float>& partial, int64_t tasks, int64_t width, float* to) {
  std::fill_n(to, width, 0.0f);
  for (int64_t task = 0; task < tasks; ++task)
    for (int64_t c = 0; c < width; ++c) to[c] += partial[task * width + c];
}

// Gradients of `Norm`: of s (that of x and of the addend), of scale and of bias.
ffi::Error NormGradient(ffi::ThreadPool pool, Matrix sum, Matrix moments, Matrix scale,
                        Matrix gradient, Result of_sum, Result of_scale, Result of_bias) {
  const int64_t width = scale.element_count();
  if (width == 0 || sum.element_count() % width ||
      gradient.element_count() != sum.element_count())
    return ffi::Error::InvalidArgument("gradient: expected the shape of the sum");
  const int64_t rows = sum.element_count() / width;
  const int64_t tasks = (rows + kRowsOfTask - 1) / kRowsOfTask;
  std::vector<float> scales(tasks * width), biases(tasks * width);
  ParallelFor(pool, tasks, [&](int64_t task) {
    float* scale_sums = scales.data() + task * width;
    float* bias_sums = biases.data() + task * width;
    const float* factors = scale.typed_data();
    const int64_t last = std::min(rows, (task + 1) * kRowsOfTask);
    for (int64_t row = task * kRowsOfTask; row < last; ++row) {
      const float* s = sum.typed_data() + row * width;
      const float* given = gradient.typed_data() + row * width;
      const float mean = moments.typed_data()[2 * row];
      const float inverse = moments.typed_data()[2 * row + 1];
      float* to = of_sum->typed_data() + row * width;
      // With n = (s - mean) / deviation and g = gradient * scale:
      // (g - mean(g) - n mean(g n)) / deviation.
      Lane plain{}, weighted{};
      float rest = 0.0f, weighted_rest = 0.0f;
      Columns(width,
              [&](int64_t c) {
                const Lane normal = (Load(s + c) - mean) * inverse;
                const Lane g = Load(given + c) * Load(factors + c);
                plain += g;
                weighted += g * normal;
                Save(scale_sums + c, Load(scale_sums + c) + Load(given + c) * normal);
                Save(bias_sums + c, Load(bias_sums + c) + Load(given + c));
              },
              [&](int64_t c) {
                const float normal = (s[c] - mean) * inverse, g = given[c] * factors[c];
                rest += g;
                weighted_rest += g * normal;
                scale_sums[c] += given[c] * normal;
                bias_sums[c] += given[c];
              });
      const float centre = (Total(plain) + rest) / width;
      const float slope = (Total(weighted) + weighted_rest) / width;
      Columns(width,
              [&](int64_t c) {
                const Lane normal = (Load(s + c) - mean) * inverse;
                const Lane g = Load(given + c) * Load(factors + c);
                Save(to + c, (g - centre - normal * slope) * inverse);
              },
              [&](int64_t c) {
                const float normal = (s[c] - mean) * inverse, g = given[c] * factors[c];
                to[c] = (g - centre - normal * slope) * inverse;
              });
    }
  });
  AddUp(scales, tasks, width, of_scale->typed_data());
  AddUp(biases, tasks, width, of_bias->typed_data());
  return ffi::Error::Success();
}

// x (T, N) -> (N), the sum of each column.
ffi::Error ColumnSums(ffi::ThreadPool pool, Matrix x, Result out) {
  const int64_t width = out->element_count();
  if (width == 0) return ffi::Error::Success();
  const int64_t rows = x.element_count() / width;
  const int64_t tasks = (rows + kRowsOfTask - 1) / kRowsOfTask;
  std::vector<float> sums(tasks * width);
  ParallelFor(pool, tasks, [&](int64_t task) {
    float* to = sums.data() + task * width;
    const int64_t last = std::min(rows, (task + 1) * kRowsOfTask);
    for (int64_t row = task * kRowsOfTask; row < last; ++row) {
      const float* from = x.typed_data() + row * width;
      Columns(width, [&](int64_t c) { Save(to + c, Load(to + c) + Load(from + c)); },
              [&](int64_t c) { to[c] += from[c]; });
    }
  });
  AddUp(sums, tasks, width, out->typed_data());
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnNorm, llmgnn::Safe<llmgnn::Norm>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<float>("epsilon"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnNormGradient,
                              llmgnn::Safe<llmgnn::NormGradient>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnColumnSums, llmgnn::Safe<llmgnn::ColumnSums>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
