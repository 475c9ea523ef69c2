// The softmax loss of rows that are compared with the same columns: scores, what each
// row leaves out, the loss and its gradient by the scores, which are stored once.

#include <cmath>
#include <cstdint>
#include <cstring>

#include "lanes.h"
#include "matmul.h"
#include "threads.h"

namespace llmgnn {
namespace {

using Matrix = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;

constexpr int64_t kRowsOfTask = 16;
constexpr float kLowest = -3.0e38f;

typedef int8_t Bytes __attribute__((vector_size(kWidth)));

// All bits of a lane where its byte is true.
inline Bits Kept(const bool* from) {
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return -__builtin_convertvector(bytes, Bits);
}

// One row. On the way in `scores` are dot products, on the way out softmax less 1 at the
// target. Returns the loss.
float OfRow(float* scores, const bool* keep, const float* shift, int64_t columns,
            int64_t target) {
  const float own = scores[target];
  // Comparisons lose what is not a number; this sum keeps it.
  Lane nothing{}, most = Fill(kLowest);
  float rest = 0.0f, largest = own;
  int64_t k = 0;
  for (; k + kWidth <= columns; k += kWidth) {
    const Lane score = Load(scores + k);
    nothing += score * 0.0f;
    const Lane value = Kept(keep + k) ? score - Load(shift + k) : Fill(kLowest);
    most = Larger(most, value);
    Save(scores + k, value);
  }
  for (; k < columns; ++k) {
    rest += scores[k] * 0.0f;
    scores[k] = keep[k] ? scores[k] - shift[k] : kLowest;
    largest = std::max(largest, scores[k]);
  }
  scores[target] = own;
  largest = std::max(largest, Largest(most));
  Lane sums{};
  float sum = 0.0f;
  for (k = 0; k + kWidth <= columns; k += kWidth) {
    const Lane value = Load(scores + k);
    const Lane power = value > kLowest ? Exp(value - largest) : Lane{};
    sums += power;
    Save(scores + k, power);
  }
  for (; k < columns; ++k)
    sum += scores[k] = scores[k] > kLowest ? std::exp(scores[k] - largest) : 0.0f;
  sum += Total(sums);
  const float share = 1.0f / sum;
  for (k = 0; k + kWidth <= columns; k += kWidth)
    Save(scores + k, Load(scores + k) * share);
  for (; k < columns; ++k) scores[k] *= share;
  scores[target] -= 1.0f;
  return largest + std::log(sum) - own + Total(nothing) + rest;
}

// `users` (B, D) and `items` (K, D); `shift` (K), taken off each score but the target's;
// `keep` (B, K), what counts beside the target; `targets` (B), numbers of items.
// `gradient` (B, K) is that of `loss` (B) by the scores.
ffi::Error SoftmaxTargets(ffi::ThreadPool pool, Matrix users, Matrix items, Matrix shift,
                          ffi::Buffer<ffi::PRED> keep, ffi::Buffer<ffi::S32> targets,
                          Result gradient, Result loss) {
  auto u = users.dimensions(), i = items.dimensions();
  const int64_t rows = u[0], columns = i[0], width = u[1];
  if (i[1] != width || width == 0)
    return ffi::Error::InvalidArgument("items: expected vectors as wide as the users'");
  if (static_cast<int64_t>(shift.element_count()) != columns ||
      static_cast<int64_t>(keep.element_count()) != rows * columns ||
      static_cast<int64_t>(targets.element_count()) != rows)
    return ffi::Error::InvalidArgument("shift, keep, targets: expected K, B x K and B");
  const int32_t* target = targets.typed_data();
  for (int64_t b = 0; b < rows; ++b)
    if (target[b] < 0 || target[b] >= columns)
      return ffi::Error::InvalidArgument("targets: expected numbers of items");
  Product product;
  product.rows = rows;
  product.columns = columns;
  product.depth = width;
  product.a = {users.typed_data(), width, false, false};
  product.b = {items.typed_data(), width, true, false};
  product.c = gradient->typed_data();
  Multiply(pool, product, Precision::kFloat32);
  ForRanges(pool, rows, kRowsOfTask, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b)
      loss->typed_data()[b] =
          OfRow(gradient->typed_data() + b * columns, keep.typed_data() + b * columns,
                shift.typed_data(), columns, target[b]);
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnSoftmaxTargets,
                              llmgnn::Safe<llmgnn::SoftmaxTargets>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::PRED>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
