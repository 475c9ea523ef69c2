// The best items of users, exactly, from a sketch that tells where to look.
//
// Bytes say what a score is to within a bound that is known. An item that by its bound
// can be among the k best of a user, few in practice, is scored from the table itself;
// the others cost an eighth of a byte's product in time and a fourth of the memory.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "dots.h"
#include "sketch.h"
#include "workers.h"

namespace llmgnn {
namespace {

constexpr int kLanes = 16;
constexpr int64_t kUsersOfTask = 8 * kUsers;  // that share what a cache holds of a sketch
constexpr int64_t kBytesOfChunk = 1 << 18;    // of a sketch, at home in a core's own cache
constexpr int64_t kWorkOfThreads = 1 << 24;   // products: for fewer, one thread is faster
constexpr int64_t kScoresOfShare = 8;         // for each of the k, where items are shared
constexpr int64_t kPanelsOfLook = 8;          // between looks whether a user is done
constexpr double kUnderflow = 1e-35;          // what sums of tiny products lose, and more
constexpr float kNone = -std::numeric_limits<float>::infinity();

using Lanes = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

inline Lanes Load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }

struct Query {
  const float* users;           // rows of D
  const int32_t* rows;          // (B) whose lists are asked for
  int64_t num_rows;             // B
  const int64_t* hidden_ends;   // rows' places in `hidden`, one more than rows
  const int32_t* hidden;        // ascending within a row
  const bool* allowed;          // (num_items), or null: all of them
  const float* table;           // (num_items, D)
  int64_t num_items;
  int64_t width;                // D
  int64_t k;
  Sketch sketch;
  int64_t most_exact;           // scores from the table before it is no use; all if < 0
};

// The k best so far, best first; of equal scores the lower item.
class Best {
 public:
  explicit Best(int64_t k) : scores_(k, kNone), items_(k, -1) {}

  float last() const { return scores_.back(); }
  const std::vector<float>& scores() const { return scores_; }
  const std::vector<int32_t>& items() const { return items_; }

  void Add(float score, int32_t item) {
    size_t place = scores_.size();
    for (; place > 0 && (scores_[place - 1] < score ||
                         (scores_[place - 1] == score && items_[place - 1] > item));
         --place) {
      if (place == scores_.size()) continue;
      scores_[place] = scores_[place - 1];
      items_[place] = items_[place - 1];
    }
    if (place == scores_.size()) return;
    scores_[place] = score;
    items_[place] = item;
  }

 private:
  std::vector<float> scores_;
  std::vector<int32_t> items_;
};

struct User {
  const float* vector;
  const int32_t *hidden, *hidden_end;
  const int32_t* words;  // of codes, four columns in each
  double per_step;       // codes are near numbers times this
  double length, off;    // of the vector, and how far it is from its codes
  int32_t shift;         // what codes of items that begin at 128 add to a sum
  bool done;             // no later panel has anything for it
  Best best;

  bool Shows(const Query& query, int32_t item) const {
    if (query.allowed != nullptr && !query.allowed[item]) return false;
    return !std::binary_search(hidden, hidden_end, item);
  }
};

struct OutOfRange : std::runtime_error {
  OutOfRange() : std::runtime_error("a user's vector") {}
};

// The user of a row; `words` gets its codes.
User UserOf(const Query& query, int64_t row, int32_t* words) {
  const float* vector = query.users + row * query.width;
  const int64_t *ends = query.hidden_ends + row;
  User user{vector, query.hidden + ends[0], query.hidden + ends[1], words, 0, 0, 0, 0,
            false, Best(query.k)};
  double squares = 0.0, rest = 0.0;
  float largest = 0.0f;
  for (int64_t d = 0; d < query.width; ++d) {
    squares += static_cast<double>(vector[d]) * vector[d];
    largest = std::max(largest, std::abs(vector[d]));
  }
  user.length = std::sqrt(squares) * (1 + 1e-9);
  // NaN too.
  if (!(user.length < kLargest) || (squares > 0 && user.length < kSmallest))
    throw OutOfRange();
  const double step = squares > 0 ? static_cast<double>(largest) / kLevels : 1.0;
  user.per_step = 1.0 / step;
  std::fill_n(words, query.sketch.num_groups, 0);
  int8_t* codes = reinterpret_cast<int8_t*>(words);
  for (int64_t d = 0; d < query.width; ++d) {
    const int code = std::lrint(vector[d] * user.per_step);
    codes[d] = std::min(kLevels, std::max(-kLevels, code));
    const double left = vector[d] - step * codes[d];
    rest += left * left;
    user.shift += 128 * codes[d];
  }
  user.off = std::sqrt(rest) * (1 + 1e-9);
  return user;
}

// Every score is 0: the first items that it may see.
void ListNothing(const Query& query, User& user) {
  int64_t found = 0;
  for (int32_t item = 0; item < query.num_items && found < query.k; ++item) {
    if (!user.Shows(query, item)) continue;
    user.best.Add(0.0f, item);
    ++found;
  }
  user.done = true;
}

// The score from the table: sums of one order for all, so that equals stay equal.
float Exact(const float* user, const float* item, int64_t width) {
  Lanes lanes{};
  int64_t d = 0;
  for (; d + kLanes <= width; d += kLanes) lanes += Load(user + d) * Load(item + d);
  float sum = 0.0f;
  for (; d < width; ++d) sum += user[d] * item[d];
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  // Without -0, which would be told apart from 0.
  return sum + lanes[0] + 0.0f;
}

// Of a panel, what the least sums of all users are made of.
struct Bounds {
  Bounds(const Sketch& sketch, int64_t panel)
      : per_scale(1.0 / sketch.scales[panel]),
        reach(sketch.reaches[panel] * per_scale * (1 + 1e-9)),
        error(sketch.errors[panel] * per_scale * (1 + 1e-9)) {}

  double per_scale, reach, error;
};

// The least sum of codes in this panel with which an item may belong to the user's best.
int32_t Least(const Bounds& bounds, const User& user) {
  const double least =
      ((user.best.last() - kUnderflow) * bounds.per_scale - user.off * bounds.reach -
       user.length * bounds.error) * user.per_step;
  // Far below and above any sum, and within 32 bits with the shift. Rounded down: what
  // is negative by the 1 that is taken away.
  const double clamped = std::min(1e9, std::max(-1e9, least - 1e-6));
  return static_cast<int32_t>(clamped) - 1 + user.shift;
}

// Whether all later panels have nothing for these users.
template <int U>
bool AllDone(float longest, User* users) {
  bool all_done = true;
  for (int u = 0; u < U; ++u) {
    const double most = users[u].length * longest * (1 + 1e-3) + kUnderflow;
    users[u].done |= most < users[u].best.last();
    all_done &= users[u].done;
  }
  return all_done;
}

// Panels [first, last) for U users; returns how many scores it took from the table.
template <int U>
int64_t Scan(const Query& query, int64_t first, int64_t last, User* users) {
  const Sketch& sketch = query.sketch;
  const int64_t bytes = sketch.num_groups * kPanel * kGroup;
  const int32_t* words[U];
  for (int u = 0; u < U; ++u) words[u] = users[u].words;
  alignas(64) int32_t sums[U][kPanel];
  int64_t exact = 0;
  for (int64_t panel = first; panel < last; ++panel) {
    if ((panel - first) % kPanelsOfLook == 0 && AllDone<U>(sketch.lengths[panel], users))
      break;
    Dots<U>(sketch.codes + panel * bytes, words, sketch.num_groups, sums);
    const Bounds bounds(sketch, panel);
    for (int u = 0; u < U; ++u) {
      User& user = users[u];
      if (user.done) continue;
      uint64_t may = AtLeast(sums[u], Least(bounds, user));
      for (; may; may &= may - 1) {
        const int32_t item = sketch.numbers[panel * kPanel + __builtin_ctzll(may)];
        if (item < 0 || !user.Shows(query, item)) continue;
        ++exact;
        const float* vector = query.table + item * query.width;
        user.best.Add(Exact(user.vector, vector, query.width), item);
      }
    }
  }
  return exact;
}

// As many users as there are, at most U.
template <int U>
int64_t ScanSome(const Query& query, int64_t first, int64_t last, User* users,
                 int64_t count) {
  if constexpr (U > 1)
    if (count < U) return ScanSome<U - 1>(query, first, last, users, count);
  return Scan<U>(query, first, last, users);
}

// The lists of rows [begin, end), of every `parts`-th chunk of panels from `part` on.
std::vector<Best> ListsOf(const Query& query, int64_t begin, int64_t end, int64_t part,
                          int64_t parts, int64_t most, std::atomic<int64_t>& exact) {
  const Sketch& sketch = query.sketch;
  const int64_t groups = sketch.num_groups, count = end - begin;
  std::vector<int32_t> words(count * groups);
  std::vector<User> users;
  users.reserve(count);
  for (int64_t i = 0; i < count; ++i) {
    users.push_back(UserOf(query, query.rows[begin + i], words.data() + i * groups));
    if (users[i].length == 0.0) ListNothing(query, users[i]);
  }
  const int64_t panels =
      std::max<int64_t>(1, kBytesOfChunk / (groups * kPanel * kGroup));
  for (int64_t first = part * panels; first < sketch.num_panels;
       first += parts * panels) {
    const int64_t last = std::min(sketch.num_panels, first + panels);
    int64_t found = 0;
    for (int64_t i = 0; i < count; i += kUsers)
      found += ScanSome<kUsers>(query, first, last, users.data() + i, count - i);
    if ((exact += found) > most) break;
  }
  std::vector<Best> lists;
  for (User& user : users) lists.push_back(std::move(user.best));
  return lists;
}

// Whether it was of use.
bool BestItems(const Query& query, int64_t threads, int32_t* items, float* scores) {
  const int64_t tasks = (query.num_rows + kUsersOfTask - 1) / kUsersOfTask;
  if (query.num_rows * query.num_items * query.width < kWorkOfThreads) threads = 1;
  // Few users: each task has them all, and a share of the items.
  const int64_t parts = threads == 1 || tasks >= 2 * threads
                            ? 1
                            : std::min<int64_t>(2 * threads, query.sketch.num_panels);
  // Each share of the items has a list to fill.
  const int64_t most =
      query.most_exact < 0
          ? std::numeric_limits<int64_t>::max()
          : query.most_exact + query.num_rows * query.k * kScoresOfShare * (parts - 1);
  std::atomic<int64_t> exact{0};
  std::vector<std::vector<Best>> found(tasks * parts);
  OnThreads(threads, tasks * parts, [&](int64_t at) {
    if (exact > most) return;
    const int64_t task = at / parts, begin = task * kUsersOfTask;
    const int64_t end = std::min(query.num_rows, begin + kUsersOfTask);
    found[at] = ListsOf(query, begin, end, at % parts, parts, most, exact);
    if (parts > 1) return;
    for (int64_t i = begin; i < end; ++i) {
      const Best& best = found[at][i - begin];
      std::copy_n(best.items().data(), query.k, items + i * query.k);
      std::copy_n(best.scores().data(), query.k, scores + i * query.k);
    }
    found[at].clear();
  });
  if (exact > most) return false;
  for (int64_t i = 0; parts > 1 && i < query.num_rows; ++i) {
    const int64_t task = i / kUsersOfTask;
    Best all(query.k);
    for (int64_t part = 0; part < parts; ++part) {
      const Best& best = found[task * parts + part][i - task * kUsersOfTask];
      for (int64_t place = 0; place < query.k && best.items()[place] >= 0; ++place)
        // A user of length 0 has the same list in each part.
        if (std::find(all.items().begin(), all.items().end(), best.items()[place]) ==
            all.items().end())
          all.Add(best.scores()[place], best.items()[place]);
    }
    std::copy_n(all.items().data(), query.k, items + i * query.k);
    std::copy_n(all.scores().data(), query.k, scores + i * query.k);
  }
  return true;
}

}  // namespace
}  // namespace llmgnn

// `users` of `width`; `rows` (num_rows) of them, which are also those of `hidden_ends`;
// `hidden` ascending in a row; `allowed` (num_items) or null; `table` (num_items, width)
// and its sketch. All numbers of items are below `num_items`. Writes (num_rows, k), -1
// and -inf where there are no more. Returns 0; 1 where a user's vector is not finite, or
// its length is out of the bounds' range; 2 where there is no memory; 3 where more than
// `most_exact` scores, if it is not negative, and some for each share of the items, were
// asked of the table: then lists are not written.
extern "C" int64_t LlmgnnBestItems(
    const float* users, const int32_t* rows, int64_t num_rows,
    const int64_t* hidden_ends, const int32_t* hidden, const bool* allowed,
    const float* table, int64_t num_items, int64_t width, const uint8_t* codes,
    const int32_t* numbers, const float* scales, const float* reaches,
    const float* errors, const float* lengths, int64_t k, int64_t most_exact,
    int64_t threads, int32_t* items, float* scores) {
  using llmgnn::kGroup, llmgnn::kPanel;
  try {
    const llmgnn::Query query{
        users, rows, num_rows, hidden_ends, hidden, allowed, table, num_items, width, k,
        {codes, numbers, scales, reaches, errors, lengths,
         (num_items + kPanel - 1) / kPanel, (width + kGroup - 1) / kGroup},
        most_exact};
    return llmgnn::BestItems(query, threads, items, scores) ? 0 : 3;
  } catch (const llmgnn::OutOfRange&) {
    return 1;
  } catch (const std::exception&) {
    return 2;
  }
}
