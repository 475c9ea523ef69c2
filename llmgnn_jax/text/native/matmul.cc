#include "matmul.h"

#include <algorithm>

#include "kinds.h"
#include "lanes.h"
#include "threads.h"

namespace llmgnn {
namespace {

constexpr int64_t kCache = 1 << 20;  // bytes that a task's part of A may fill
constexpr int64_t kRowsOfTask = 128;  // at least, where there are that many
constexpr int64_t kTasksPerThread = 6;

void Finish(const Product& p, int64_t first_row, int64_t last_row, int64_t first,
            int64_t last) {
  const bool gradient = p.after == After::kGeluGradient;
  for (int64_t row = first_row; row < last_row; ++row) {
    float* c = p.c + row * p.columns;
    const float* other = gradient ? p.inner + row * p.columns : p.bias;
    int64_t column = first;
    for (; column + kWidth <= last; column += kWidth) {
      const Lane sum = Load(c + column), value = Load(other + column);
      Save(c + column, gradient ? sum * GeluGradient(value) : sum + value);
    }
    for (; column < last; ++column)
      c[column] = gradient ? c[column] * GeluGradient(Fill(other[column]))[0]
                           : c[column] + other[column];
  }
}

// Brings a tile of C near, while the one before it is computed: its rows lie far apart
// in memory, and to wait for each takes as long as its sums.
void FetchTile(const Product& p, int64_t tile, int64_t panel, int64_t rows,
               int64_t columns) {
  const float* c = p.c + tile * rows * p.columns + panel * columns;
  const int64_t width = std::min(columns, p.columns - panel * columns);
  const int64_t height = std::min(rows, p.rows - tile * rows);
  for (int64_t row = 0; row < height; ++row)
    for (int64_t column = 0; column < width; column += 16)
      __builtin_prefetch(c + row * p.columns + column, 1, 2);
}

// How C is cut into tasks. A task's part of A stays in the second cache while panels of
// B come by, once for each row of tasks; so there are as few rows of tasks as that cache
// and the number of threads allow.
struct Cut {
  int64_t tiles;         // of A in the rows of a task
  int64_t row_tasks;
  int64_t panels;        // of B in all
  int64_t panels_each;   // in the columns of a task
  int64_t column_tasks;
};

template <typename Tiles>
Cut CutOf(const Product& p, int64_t depth, int64_t threads) {
  auto up = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  const int64_t wanted = threads > 1 ? threads * kTasksPerThread : 1;
  const int64_t tiles = up(p.rows, Tiles::kRows);
  const int64_t bytes = sizeof(typename Tiles::Packed) * Tiles::PartOfA(depth);
  const int64_t most = std::max<int64_t>(1, kCache / bytes);
  Cut cut;
  cut.panels = up(p.columns, Tiles::kColumns);
  cut.tiles = std::min({std::max(tiles / wanted, kRowsOfTask / Tiles::kRows), most, tiles});
  // As many for each thread: with 13 equal tasks one of two threads is idle at the end.
  while (cut.tiles > 1 && up(tiles, cut.tiles) >= wanted &&
         up(tiles, cut.tiles) % threads != 0)
    --cut.tiles;
  cut.row_tasks = up(tiles, cut.tiles);
  cut.column_tasks = std::clamp<int64_t>(up(wanted, cut.row_tasks), 1, up(cut.panels, 2));
  cut.panels_each = up(cut.panels, cut.column_tasks);
  cut.column_tasks = up(cut.panels, cut.panels_each);
  return cut;
}

template <typename Tiles>
void MultiplyBy(ffi::ThreadPool& pool, const Product& p) {
  constexpr int64_t kRows = Tiles::kRows, kColumns = Tiles::kColumns;
  using Packed = typename Tiles::Packed;
  static thread_local Scratch of_a, of_b;
  const int64_t depth = std::min(p.depth, kDepth);
  const Cut cut = CutOf<Tiles>(p, depth, pool.num_threads());
  const int64_t all_tiles = (p.rows + kRows - 1) / kRows;
  // Tiles of A that many tasks read are packed before; else each task packs its own.
  const bool share_a = cut.column_tasks > 2 || p.a.transposed;
  const int64_t tiles_shared = share_a ? all_tiles : 0;
  Packed* shared_a = of_a.Get<Packed>(tiles_shared * Tiles::PartOfA(depth));
  Packed* b = of_b.Get<Packed>(cut.panels * Tiles::PartOfB(depth));

  for (int64_t start = 0; start < p.depth; start += depth) {
    const int64_t here = std::min(depth, p.depth - start);
    const int64_t tile_size = Tiles::PartOfA(here),
                  panel_size = Tiles::PartOfB(here);
    auto pack_a = [&](int64_t tile, int64_t first, int64_t last, Packed* to) {
      Tiles::PackA(p.a, tile * kRows, std::min(p.rows - tile * kRows, kRows), start,
                   first, last, to);
    };
    auto pack_b = [&](int64_t panel, int64_t first, int64_t last) {
      const int64_t column = panel * kColumns;
      Tiles::PackB(p.b, start, first, last, column, std::min(p.columns - column, kColumns),
                   b + panel * panel_size);
    };
    // Memory is read along its rows: those of all panels at once, some depth at a time,
    // where a row goes through all of them.
    const int64_t chunks = (here + kChunk - 1) / kChunk;
    const int64_t b_work = p.b.transposed ? cut.panels : chunks;
    const int64_t a_work = !share_a ? 0 : p.a.transposed ? chunks : all_tiles;
    ParallelFor(pool, b_work + a_work, [&](int64_t number) {
      const bool of_b = number < b_work;
      if (!of_b) number -= b_work;
      const int64_t first = number * kChunk, last = std::min(here, first + kChunk);
      if (of_b && p.b.transposed) {
        pack_b(number, 0, here);
      } else if (of_b) {
        for (int64_t panel = 0; panel < cut.panels; ++panel) pack_b(panel, first, last);
      } else if (!p.a.transposed) {
        pack_a(number, 0, here, shared_a + number * tile_size);
      } else {
        for (int64_t tile = 0; tile < all_tiles; ++tile)
          pack_a(tile, first, last, shared_a + tile * tile_size);
      }
    });
    ParallelFor(pool, cut.row_tasks * cut.column_tasks, [&](int64_t task) {
      static thread_local Scratch own_a;
      const int64_t first_tile = task / cut.column_tasks * cut.tiles;
      const int64_t last_tile = std::min(all_tiles, first_tile + cut.tiles);
      const int64_t first_panel = task % cut.column_tasks * cut.panels_each;
      const int64_t last_panel = std::min(cut.panels, first_panel + cut.panels_each);
      const Packed* a = shared_a + (share_a ? first_tile * tile_size : 0);
      if (!share_a) {
        Packed* own = own_a.Get<Packed>(cut.tiles * tile_size);
        for (int64_t tile = first_tile; tile < last_tile; ++tile)
          pack_a(tile, 0, here, own + (tile - first_tile) * tile_size);
        a = own;
      }
      typename Tiles::Session session;
      for (int64_t panel = first_panel; panel < last_panel; ++panel)
        for (int64_t tile = first_tile; tile < last_tile; ++tile) {
          FetchTile(p, tile + 1 < last_tile ? tile + 1 : first_tile,
                    tile + 1 < last_tile ? panel : panel + 1, kRows, kColumns);
          Tiles::Tile(a + (tile - first_tile) * tile_size, b + panel * panel_size, here,
                      p.c + tile * kRows * p.columns + panel * kColumns, p.columns,
                      std::min(p.rows - tile * kRows, kRows),
                      std::min(p.columns - panel * kColumns, kColumns), start > 0);
        }
      if (start + here == p.depth && p.after != After::kNothing)
        Finish(p, first_tile * kRows, std::min(p.rows, last_tile * kRows),
               first_panel * kColumns, std::min(p.columns, last_panel * kColumns));
    });
  }
}

}  // namespace

void Multiply(ffi::ThreadPool& pool, const Product& product, Precision precision) {
  if (product.rows == 0 || product.columns == 0) return;
  OnHugePages(product.c, sizeof(float) * product.rows * product.columns);
  WithTiles(precision, [&](auto tiles) { MultiplyBy<decltype(tiles)>(pool, product); });
}

}  // namespace llmgnn
