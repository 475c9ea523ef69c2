// Dense layers: y = x W + b and what belongs to it.

#include <algorithm>

#include "matmul.h"
#include "threads.h"

namespace llmgnn {
namespace {

using Matrix = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;

// op(a) op(b), each (rows, columns) in memory and transposed first if said so.
// `bias` (N) or empty; `inner` (M, N) or empty: see `After`.
ffi::Error Dense(ffi::ThreadPool pool, Matrix a, Matrix b, Matrix bias, Matrix inner,
                 Result c, bool transpose_a, bool transpose_b,
                 bool gelu_a, int64_t after, bool bfloat16) {
  Product product;
  auto a_shape = a.dimensions(), b_shape = b.dimensions();
  product.rows = a_shape[transpose_a ? 1 : 0];
  product.depth = a_shape[transpose_a ? 0 : 1];
  product.columns = b_shape[transpose_b ? 0 : 1];
  if (b_shape[transpose_b ? 1 : 0] != product.depth)
    return ffi::Error::InvalidArgument("b: expected as many rows as a has columns");
  const int64_t size = product.rows * product.columns;
  product.after = static_cast<After>(after);
  if (product.after == After::kBias &&
      static_cast<int64_t>(bias.element_count()) != product.columns)
    return ffi::Error::InvalidArgument("bias: expected one number for each column");
  if ((product.after == After::kGeluGradient &&
       static_cast<int64_t>(inner.element_count()) != size) ||
      static_cast<int64_t>(c->element_count()) != size)
    return ffi::Error::InvalidArgument("inner: expected the shape of the result");
  if (gelu_a && !transpose_a)
    return ffi::Error::InvalidArgument("gelu_a: expected a transposed a");
  product.a = {a.typed_data(), a_shape[1], transpose_a, gelu_a};
  product.b = {b.typed_data(), b_shape[1], transpose_b, false};
  product.c = c->typed_data();
  product.bias = bias.typed_data();
  product.inner = inner.typed_data();
  if (product.depth == 0) {
    if (product.after != After::kNothing)
      return ffi::Error::InvalidArgument("a: expected at least one column");
    std::fill_n(product.c, size, 0.0f);
    return ffi::Error::Success();
  }
  Multiply(pool, product, bfloat16 ? Precision::kBFloat16 : Precision::kFloat32);
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnDense, llmgnn::Safe<llmgnn::Dense>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<bool>("transpose_a")
                                  .Attr<bool>("transpose_b")
                                  .Attr<bool>("gelu_a")
                                  .Attr<int64_t>("after")
                                  .Attr<bool>("bfloat16"));
