// The likeliest token of each row and the logarithm of the sum of all exponentials: what
// a step of generation needs of its logits.

#include <cmath>
#include <limits>

#include "lanes.h"
#include "threads.h"

namespace llmgnn {
namespace {

// The first of the largest.
int32_t Likeliest(const float* x, int64_t count, float* largest) {
  float most = -std::numeric_limits<float>::infinity();
  int64_t i = 0;
  if (count >= kWidth) {
    Lane lanes = Load(x);
    for (; i + kWidth <= count; i += kWidth) lanes = Larger(lanes, Load(x + i));
    most = Largest(lanes);
  }
  for (; i < count; ++i) most = x[i] > most ? x[i] : most;
  *largest = most;
  for (i = 0; i < count; ++i)
    if (x[i] == most) return static_cast<int32_t>(i);
  return 0;  // Where one is no number.
}

float LogTotal(const float* x, int64_t count, float largest) {
  Lane lanes{};
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) lanes += Exp(Load(x + i) - largest);
  float total = Total(lanes);
  for (; i < count; ++i) total += std::exp(x[i] - largest);
  return largest + std::log(total);
}

// logits (B, V) to ids (B) and log_totals (B).
ffi::Error LikeliestTokens(ffi::ThreadPool pool, ffi::Buffer<ffi::F32> logits,
                           ffi::ResultBuffer<ffi::S32> ids,
                           ffi::ResultBuffer<ffi::F32> log_totals) {
  const int64_t rows = logits.dimensions()[0], count = logits.dimensions()[1];
  if (count == 0) return ffi::Error::InvalidArgument("logits: expected one at least");
  ParallelFor(pool, rows, [&](int64_t row) {
    const float* x = logits.typed_data() + row * count;
    float largest;
    ids->typed_data()[row] = Likeliest(x, count, &largest);
    log_totals->typed_data()[row] = LogTotal(x, count, largest);
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnLikeliest,
                              llmgnn::Safe<llmgnn::LikeliestTokens>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
