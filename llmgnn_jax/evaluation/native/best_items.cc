// The best items of one user, exactly, from a table in bytes that tells where to look.
//
// A byte of each number says what a score is to within a bound that is known. What may be
// among the k best by those bounds, few items in practice, is computed from the table
// itself: a fourth of its memory is read, and the rest at a few rows.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "threads.h"

namespace llmgnn {
namespace {

constexpr int kLanes = 16;
constexpr int kPanel = 64;  // items of a panel, whose codes lie beside one another
constexpr int kParts = kPanel / kLanes;
constexpr int kTasksPerThread = 2;
constexpr int64_t kPanelsOfTask = 512;  // at least: less is not worth another thread
constexpr int kRows = 8;                // that are summed at a time: hides latency
constexpr float kUnderflow = 1e-35f;    // what sums of tiny products may lose, and more
constexpr float kNone = -std::numeric_limits<float>::infinity();

using Lanes = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
using Words = int32_t __attribute__((vector_size(4 * kLanes)));

inline Lanes Load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }

// Adds to 16 sums the products of two codes of each with a user's two numbers.
inline void AddPairs(const int8_t* codes, int32_t pair, Words& sums) {
  // Compilers take a conversion from bytes apart into one of each.
#if defined(__AVX512BW__)
  const __m512i wide = _mm512_cvtepi8_epi16(
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
  const __m512i both = _mm512_set1_epi32(pair), before = reinterpret_cast<__m512i>(sums);
#ifdef __AVX512VNNI__
  sums = reinterpret_cast<Words>(_mm512_dpwssd_epi32(before, wide, both));
#else
  sums = reinterpret_cast<Words>(
      _mm512_add_epi32(before, _mm512_madd_epi16(wide, both)));
#endif
#elif defined(__AVX2__)
  union {
    Words words;
    __m256i half[2];
  } halves{sums};
  for (int h = 0; h < 2; ++h) {
    const __m256i wide = _mm256_cvtepi8_epi16(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes) + h));
    halves.half[h] = _mm256_add_epi32(
        halves.half[h], _mm256_madd_epi16(wide, _mm256_set1_epi32(pair)));
  }
  sums = halves.words;
#else
  const int32_t first = static_cast<int16_t>(pair), second = pair >> 16;
  for (int lane = 0; lane < kLanes; ++lane)
    sums[lane] += codes[2 * lane] * first + codes[2 * lane + 1] * second;
#endif
}

struct Query {
  const float* user;           // (D)
  std::vector<int32_t> pairs;  // (P), of it in steps, two numbers of 16 bits in each
  float step;
  float norm;                  // of it, rounded up
  const int8_t* codes;         // (N, P, 64, 2)
  const float* scales;         // (64 N): scale * code is near the item's number
  const float* errors;         // (64 N), times the norm: how far off a score can be
  int64_t width;               // D
  int64_t num_items;
  const int32_t* hidden;       // ascending
  const int32_t* hidden_end;
  const bool* allowed;         // (num_items), or null: all of them
};

struct Candidate {
  int32_t item;
  float upper;  // its score is no more
};

// The k largest so far, largest first, each with an item; equals as they came.
class Largest {
 public:
  explicit Largest(int64_t k) : scores_(k, kNone), items_(k, -1) {}

  float last() const { return scores_.back(); }
  const std::vector<float>& scores() const { return scores_; }
  const std::vector<int32_t>& items() const { return items_; }

  void Add(float score, int32_t item) {
    if (score <= last()) return;
    size_t place = scores_.size() - 1;
    for (; place > 0 && scores_[place - 1] < score; --place) {
      scores_[place] = scores_[place - 1];
      items_[place] = items_[place - 1];
    }
    scores_[place] = score;
    items_[place] = item;
  }

 private:
  std::vector<float> scores_;
  std::vector<int32_t> items_;
};

// What one task finds: lower bounds of the k best, and all that may be among them.
struct Found {
  Largest lower;
  std::vector<Candidate> candidates;
};

void Scan(const Query& query, int64_t first, int64_t last, Found& found) {
  const int64_t num_pairs = query.pairs.size();
  const int32_t* pairs = query.pairs.data();
  const int32_t* hidden = std::lower_bound(query.hidden, query.hidden_end,
                                           static_cast<int32_t>(first * kPanel));
  for (int64_t panel = first; panel < last; ++panel) {
    const int8_t* codes = query.codes + panel * num_pairs * 2 * kPanel;
    const int64_t start = panel * kPanel;
    Words steps[kParts] = {};
    for (int64_t p = 0; p < num_pairs; ++p)
      for (int part = 0; part < kParts; ++part)
        AddPairs(codes + 2 * (p * kPanel + part * kLanes), pairs[p], steps[part]);
    Lanes sums[kParts], slack[kParts];
    Words out_of_reach{};
    out_of_reach -= 1;
    for (int part = 0; part < kParts; ++part) {
      sums[part] = __builtin_convertvector(steps[part], Lanes) * query.step *
                   Load(query.scales + start + part * kLanes);
      slack[part] =
          Load(query.errors + start + part * kLanes) * query.norm + kUnderflow;
      out_of_reach &= sums[part] + slack[part] < found.lower.last();
    }
    bool all_out = true;
    for (int lane = 0; lane < kLanes; ++lane) all_out &= out_of_reach[lane] != 0;
    if (all_out) continue;
    const float* scores = reinterpret_cast<const float*>(sums);
    const float* slacks = reinterpret_cast<const float*>(slack);
    const int count = std::min<int64_t>(kPanel, query.num_items - start);
    for (int i = 0; i < count; ++i) {
      const float upper = scores[i] + slacks[i];
      if (upper < found.lower.last()) continue;
      const int32_t item = start + i;
      if (query.allowed != nullptr && !query.allowed[item]) continue;
      while (hidden != query.hidden_end && *hidden < item) ++hidden;
      if (hidden != query.hidden_end && *hidden == item) continue;
      found.candidates.push_back({item, upper});
      found.lower.Add(scores[i] - slacks[i], item);
    }
  }
}

// Exact scores of some items, at most kRows. Each is one chain of sums over D, wherever
// its item lies: equal vectors have equal scores.
void AddExact(const Query& query, const float* table, const int32_t* items, int count,
              Largest& best) {
  const float* rows[kRows];
  for (int r = 0; r < kRows; ++r)
    rows[r] = table + items[std::min(r, count - 1)] * query.width;
  float sums[kRows] = {};
  for (int64_t d = 0; d < query.width; ++d)
    for (int r = 0; r < kRows; ++r)
      sums[r] = std::fma(query.user[d], rows[r][d], sums[r]);
  // Without -0, which would be told apart from 0.
  for (int r = 0; r < count; ++r) best.Add(sums[r] + 0.0f, items[r]);
}

Largest BestOf(const Query& query, const std::vector<Found>& found, const float* table,
               int64_t k) {
  Largest lower(k), best(k);
  for (const Found& one : found)
    for (int64_t i = 0; i < k; ++i) lower.Add(one.lower.scores()[i], 0);
  int32_t items[kRows];
  int count = 0;
  // In ascending order, so that of equal scores the lower item comes first.
  for (const Found& one : found) {
    for (const Candidate& candidate : one.candidates) {
      if (candidate.upper < lower.last()) continue;
      items[count++] = candidate.item;
      if (count < kRows) continue;
      AddExact(query, table, items, count, best);
      count = 0;
    }
  }
  if (count) AddExact(query, table, items, count, best);
  return best;
}

float Norm(const float* vector, int64_t width) {
  double squares = 0.0;
  for (int64_t d = 0; d < width; ++d)
    squares += static_cast<double>(vector[d]) * vector[d];
  return static_cast<float>(std::sqrt(squares) * (1 + 1e-6));
}

// The user's numbers in whole steps, at most `levels` of them.
void Quantise(int64_t levels, Query& query) {
  float largest = 0.0f;
  for (int64_t d = 0; d < query.width; ++d)
    largest = std::max(largest, std::abs(query.user[d]));
  query.step = largest / levels;
  query.pairs.assign((query.width + 1) / 2, 0);
  for (int64_t d = 0; d < query.width && query.step > 0; ++d) {
    const float most = levels, steps = query.user[d] / query.step;
    const int32_t whole = std::lrint(std::min(std::max(steps, -most), most));
    query.pairs[d / 2] |=
        static_cast<uint32_t>(static_cast<uint16_t>(whole)) << (d % 2 ? 16 : 0);
  }
}

// `user` (D); `codes` (N, P, 64, 2), P = ceil(D / 2), `scales` and `errors` (64 N);
// `table` (W, D); `hidden` (S) ascending; `allowed` (num_items) or empty. All are finite.
// The best (k), -1 and -inf where there are no more.
ffi::Error BestItems(ffi::ThreadPool pool, ffi::Buffer<ffi::F32> user,
                     ffi::Buffer<ffi::S8> codes, ffi::Buffer<ffi::F32> scales,
                     ffi::Buffer<ffi::F32> errors, ffi::Buffer<ffi::F32> table,
                     ffi::Buffer<ffi::S32> hidden, ffi::Buffer<ffi::PRED> allowed,
                     ffi::ResultBuffer<ffi::S32> items,
                     ffi::ResultBuffer<ffi::F32> scores, int64_t num_items,
                     int64_t levels) {
  const int64_t k = items->element_count(), width = user.element_count();
  const int64_t held = scales.element_count();
  const auto shape = codes.dimensions();
  if (shape.size() != 4 || shape[0] * kPanel != held || shape[1] != (width + 1) / 2 ||
      shape[2] != kPanel || shape[3] != 2 ||
      static_cast<int64_t>(errors.element_count()) != held || held < num_items)
    return ffi::Error::InvalidArgument("codes: expected (N, P, 64, 2) of all items");
  if (table.dimensions().size() != 2 || table.dimensions()[0] < num_items ||
      table.dimensions()[1] != width)
    return ffi::Error::InvalidArgument("table: expected (W, D) with all items");
  const int64_t told = allowed.element_count();
  if (k < 1 || (told && told != num_items))
    return ffi::Error::InvalidArgument("expected all items in `allowed`, and k from 1");
  // 127 width levels is the largest sum.
  if (levels < 1 || levels > 32767 || levels > (int64_t{1} << 31) / (128 * width + 1))
    return ffi::Error::InvalidArgument("levels: expected sums of 32 bits");
  Query query{user.typed_data(),
              {},
              0.0f,
              Norm(user.typed_data(), width),
              codes.typed_data(),
              scales.typed_data(),
              errors.typed_data(),
              width,
              num_items,
              hidden.typed_data(),
              hidden.typed_data() + hidden.element_count(),
              told ? allowed.typed_data() : nullptr};
  Quantise(levels, query);
  const int64_t panels = (num_items + kPanel - 1) / kPanel;
  int64_t tasks = std::max<int64_t>(1, pool.num_threads()) * kTasksPerThread;
  tasks = std::min(tasks, std::max<int64_t>(1, panels / kPanelsOfTask));
  std::vector<Found> found(tasks, Found{Largest(k), {}});
  ParallelFor(pool, tasks, [&](int64_t task) {
    Scan(query, panels * task / tasks, panels * (task + 1) / tasks, found[task]);
  });
  const Largest best = BestOf(query, found, table.typed_data(), k);
  std::copy_n(best.items().data(), k, items->typed_data());
  std::copy_n(best.scores().data(), k, scores->typed_data());
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnBestItems, llmgnn::Safe<llmgnn::BestItems>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::S8>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::PRED>>()
                                  .Ret<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<int64_t>("num_items")
                                  .Attr<int64_t>("levels"));
