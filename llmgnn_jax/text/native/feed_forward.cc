// gelu(x W + b) W' + b', some rows at a time: what stands between the two products goes
// from cache to cache, and to memory only if a gradient wants it.

#include <algorithm>

#include "kinds.h"
#include "lanes.h"
#include "threads.h"

namespace llmgnn {
namespace {

constexpr int64_t kRowsAtATime = 128;

struct FeedForward {
  int64_t rows, width, wide;
  const float *x, *inner, *inner_bias, *outer, *outer_bias;
  float* out;
  float* kept;  // (rows, wide): what GELU is given; null: not kept
};

// Brings near what is about to be written tile by tile.
void Fetch(const float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(to + i, 1, 2);
}

// All panels of a matrix (depth, columns), block after block of kDepth rows.
template <typename Tiles>
struct Panels {
  typename Tiles::Packed* data;
  int64_t depth, columns;

  int64_t count() const { return (columns + Tiles::kColumns - 1) / Tiles::kColumns; }
  int64_t size() const {
    return count() * (Tiles::PartOfB(depth / kDepth * kDepth) + Tiles::PartOfB(depth % kDepth));
  }
  // Panel `number` of the block that begins at row `start`, a multiple of kDepth.
  typename Tiles::Packed* at(int64_t start, int64_t number) const {
    const int64_t here = std::min(kDepth, depth - start);
    return data + count() * Tiles::PartOfB(start) + number * Tiles::PartOfB(here);
  }

  void Pack(ffi::ThreadPool& pool, const float* matrix) const {
    const Operand operand{matrix, columns, false, false};
    ForRanges(pool, depth, kChunk, [&](int64_t first, int64_t last) {
      const int64_t start = first / kDepth * kDepth;
      for (int64_t panel = 0; panel < count(); ++panel) {
        const int64_t column = panel * Tiles::kColumns;
        Tiles::PackB(operand, start, first - start, last - start, column,
                     std::min(columns - column, Tiles::kColumns), at(start, panel));
      }
    });
  }
};

// c (rows, columns) = a (rows, depth) B; `packed` has room for the rows' tiles.
template <typename Tiles>
void Times(const float* a, int64_t rows, const Panels<Tiles>& b, float* c,
           typename Tiles::Packed* packed) {
  const Operand operand{a, b.depth, false, false};
  for (int64_t start = 0; start < b.depth; start += kDepth) {
    const int64_t here = std::min(kDepth, b.depth - start);
    const int64_t size = Tiles::PartOfA(here);
    for (int64_t row = 0; row < rows; row += Tiles::kRows)
      Tiles::PackA(operand, row, std::min(rows - row, Tiles::kRows), start, 0, here,
                   packed + row / Tiles::kRows * size);
    for (int64_t panel = 0; panel < b.count(); ++panel)
      for (int64_t row = 0; row < rows; row += Tiles::kRows)
        Tiles::Tile(packed + row / Tiles::kRows * size, b.at(start, panel), here,
                    c + row * b.columns + panel * Tiles::kColumns, b.columns,
                    std::min(rows - row, Tiles::kRows),
                    std::min(b.columns - panel * Tiles::kColumns, Tiles::kColumns),
                    start > 0);
  }
}

template <typename Tiles>
void Run(ffi::ThreadPool& pool, const FeedForward& f) {
  static thread_local Scratch of_inner, of_outer;
  Panels<Tiles> inner{nullptr, f.width, f.wide}, outer{nullptr, f.wide, f.width};
  inner.data = of_inner.Get<typename Tiles::Packed>(inner.size());
  outer.data = of_outer.Get<typename Tiles::Packed>(outer.size());
  inner.Pack(pool, f.inner);
  outer.Pack(pool, f.outer);
  constexpr int64_t kTiles = std::max<int64_t>(1, kRowsAtATime / Tiles::kRows);
  ForRanges(pool, f.rows, kTiles * Tiles::kRows, [&](int64_t first, int64_t last) {
    static thread_local Scratch of_active, of_tiles;
    const int64_t rows = last - first;
    float* active = of_active.Get<float>(rows * f.wide);
    auto* tiles = of_tiles.Get<typename Tiles::Packed>(
        kTiles * Tiles::PartOfA(kDepth));
    float* out = f.out + first * f.width;
    Fetch(out, rows * f.width);
    typename Tiles::Session session;
    Times(f.x + first * f.width, rows, inner, active, tiles);
    for (int64_t row = 0; row < rows; ++row) {
      float* to = active + row * f.wide;
      float* kept = f.kept ? f.kept + (first + row) * f.wide : nullptr;
      int64_t c = 0;
      for (; c + kWidth <= f.wide; c += kWidth) {
        const Lane sum = Load(to + c) + Load(f.inner_bias + c);
        if (kept) SavePast(kept + c, sum);
        Save(to + c, Gelu(sum));
      }
      for (; c < f.wide; ++c) {
        const float sum = to[c] + f.inner_bias[c];
        if (kept) kept[c] = sum;
        to[c] = Gelu(Fill(sum))[0];
      }
    }
    Times(active, rows, outer, out, tiles);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t c = 0; c < f.width; ++c) out[row * f.width + c] += f.outer_bias[c];
  });
}

using Matrix = ffi::Buffer<ffi::F32>;
using Result = ffi::ResultBuffer<ffi::F32>;

// x (T, D), inner (D, F), outer (F, D); out (T, D), kept (T, F) or empty.
ffi::Error FeedForwardLayer(ffi::ThreadPool pool, Matrix x, Matrix inner,
                            Matrix inner_bias, Matrix outer, Matrix outer_bias,
                            Result out, Result kept, bool bfloat16) {
  FeedForward f;
  f.rows = x.dimensions()[0];
  f.width = x.dimensions()[1];
  f.wide = inner.dimensions()[1];
  auto is = [](Matrix& m, int64_t count) {
    return static_cast<int64_t>(m.element_count()) == count;
  };
  if (f.width == 0 || f.wide == 0 || !is(inner, f.width * f.wide) ||
      !is(outer, f.width * f.wide) || !is(inner_bias, f.wide) || !is(outer_bias, f.width))
    return ffi::Error::InvalidArgument("inner, outer: expected (D, F) and (F, D)");
  f.x = x.typed_data();
  f.inner = inner.typed_data();
  f.inner_bias = inner_bias.typed_data();
  f.outer = outer.typed_data();
  f.outer_bias = outer_bias.typed_data();
  f.out = out->typed_data();
  f.kept = kept->element_count() ? kept->typed_data() : nullptr;
  OnHugePages(f.out, out->size_bytes());
  if (f.kept) OnHugePages(f.kept, kept->size_bytes());
  WithTiles(bfloat16 ? Precision::kBFloat16 : Precision::kFloat32,
            [&](auto tiles) { Run<decltype(tiles)>(pool, f); });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnFeedForward,
                              llmgnn::Safe<llmgnn::FeedForwardLayer>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<bool>("bfloat16"));
