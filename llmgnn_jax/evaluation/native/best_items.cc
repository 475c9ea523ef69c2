// The best items of users, exactly, from a sketch that tells where to look.
//
// Bytes say what a score is to within a bound that is known. An item that by its bound
// can be among the k best of a user, few in practice, is scored from the table itself;
// the others cost an eighth of a byte's product in time and a fourth of the memory.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
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
constexpr int64_t kPanelsOfStart = 16;        // whose least scores are guessed
constexpr int64_t kPanelsOfGuess = 4;         // that tell how scores are spread
constexpr double kGuessed = 1.5, kGuessedMore = 6;  // items for each of the k, and more
constexpr double kMostGuessed = 0.25;         // of the items: nothing is won by more
constexpr double kUnderflow = 1e-35;          // what sums of tiny products lose, and more
constexpr float kNone = -std::numeric_limits<float>::infinity();

using Lanes = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

using Eight = float __attribute__((vector_size(32)));
using Four = float __attribute__((vector_size(16)));

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
    // Counted without branches, which nobody could predict.
    const int64_t size = scores_.size();
    const float* scores = scores_.data();
    const int32_t* items = items_.data();
    int32_t place = 0;
    for (int64_t i = 0; i < size; ++i)
      place += (scores[i] > score) | ((scores[i] == score) & (items[i] < item));
    if (place == size) return;
    std::copy_backward(scores_.begin() + place, scores_.end() - 1, scores_.end());
    std::copy_backward(items_.begin() + place, items_.end() - 1, items_.end());
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
  float floor = kNone;   // what is looked at scores no less: a guess at the first panels

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

// The sums of both halves of a register.
template <typename Half, typename Whole>
inline Half Halved(const Whole& whole) {
  Half halves[2];
  std::memcpy(halves, &whole, sizeof halves);
  return halves[0] + halves[1];
}

// The score from the table: sums of one order for all, so that equals stay equal.
float Exact(const float* user, const float* item, int64_t width) {
  Lanes lanes{};
  int64_t d = 0;
  for (; d + kLanes <= width; d += kLanes) lanes += Load(user + d) * Load(item + d);
  float sum = 0.0f;
  for (; d < width; ++d) sum += user[d] * item[d];
  const Four four = Halved<Four>(Halved<Eight>(lanes));
  // Without -0, which would be told apart from 0.
  return sum + ((four[0] + four[2]) + (four[1] + four[3])) + 0.0f;
}

// Of a panel, what the least sums of all users are made of.
struct Bounds {
  Bounds(const Sketch& sketch, int64_t panel)
      : per_scale(1.0 / sketch.scales[panel]),
        reach(sketch.reaches[panel] * per_scale * (1 + 1e-9)),
        error(sketch.errors[panel] * per_scale * (1 + 1e-9)) {}

  double per_scale, reach, error;
};

// What the least sums of U users are made of, side by side: they are taken of each
// panel. The places up to `kPlaces` fill a register.
template <int U>
struct Leasts {
  static constexpr int kPlaces = (U + 3) / 4 * 4;

  explicit Leasts(const User* users) {
    for (int u = 0; u < U; ++u) {
      off[u] = users[u].off;
      length[u] = users[u].length;
      per_step[u] = users[u].per_step;
      shift[u] = users[u].shift;
      Update(users[u], u);
    }
  }

  // After a user's list has changed, or it is done.
  void Update(const User& user, int u) {
    last[u] = user.done ? std::numeric_limits<double>::infinity()
                        : std::max(user.best.last(), user.floor);
  }

  // sums[u]: the least sum of codes in this panel with which an item may belong to the
  // best of user u.
  void Of(const Bounds& bounds, int32_t* sums) const {
    for (int u = 0; u < kPlaces; ++u) {
      const double least = ((last[u] - kUnderflow) * bounds.per_scale -
                            off[u] * bounds.reach - length[u] * bounds.error) *
                           per_step[u];
      // Far below and above any sum, and within 32 bits with the shift. Rounded down:
      // what is negative by the 1 that is taken away.
      const double clamped = std::min(1e9, std::max(-1e9, least - 1e-6));
      sums[u] = static_cast<int32_t>(clamped) - 1 + shift[u];
    }
  }

  double last[kPlaces] = {}, off[kPlaces] = {}, length[kPlaces] = {};
  double per_step[kPlaces] = {};
  int32_t shift[kPlaces] = {};
};

// Whether all later panels have nothing for these users.
template <int U>
bool AllDone(float longest, User* users, Leasts<U>& leasts) {
  bool all_done = true;
  for (int u = 0; u < U; ++u) {
    const double most = users[u].length * longest * (1 + 1e-3) + kUnderflow;
    users[u].done |= most < users[u].best.last();
    leasts.Update(users[u], u);
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
  Leasts<U> leasts(users);
  int32_t least[Leasts<U>::kPlaces];
  uint64_t found[U];
  int64_t exact = 0;
  for (int64_t panel = first; panel < last; ++panel) {
    if ((panel - first) % kPanelsOfLook == 0 &&
        AllDone<U>(sketch.lengths[panel], users, leasts))
      break;
    leasts.Of(Bounds(sketch, panel), least);
    AtLeast<U>(sketch.codes + panel * bytes, words, sketch.num_groups, least, found);
    const int32_t* numbers = sketch.numbers + panel * kPanel;
    uint64_t any = 0;
    for (int u = 0; u < U; ++u) any |= found[u];
    for (; any; any &= any - 1) {
      const int32_t item = numbers[__builtin_ctzll(any)];
      if (item < 0) continue;
      const float* vector = query.table + item * query.width;
      for (int64_t d = 0; d < query.width; d += kLanes) __builtin_prefetch(vector + d);
    }
    for (int u = 0; u < U; ++u) {
      if (found[u] == 0) continue;
      User& user = users[u];
      for (uint64_t left = found[u]; left; left &= left - 1) {
        const int32_t item = numbers[__builtin_ctzll(left)];
        if (item < 0) continue;
        ++exact;
        const float* vector = query.table + item * query.width;
        const float score = Exact(user.vector, vector, query.width);
        // What is hidden is looked up of the few that would be listed.
        if (score < user.best.last() || !user.Shows(query, item)) continue;
        user.best.Add(score, item);
      }
      leasts.Update(user, u);
    }
  }
  return exact;
}

// How many standard deviations above the mean so large a share of normal numbers lies:
// Abramowitz and Stegun (1964), 26.2.22, within .003.
double Deviations(double share) {
  const double t = std::sqrt(-2.0 * std::log(share));
  return t - (2.30753 + 0.27061 * t) / (1.0 + 0.99229 * t + 0.04481 * t * t);
}

// What some more than k of the items of panels [first, last) score, if scores are spread
// as those of a few of the panels are, and normally. A guess: it is to be checked.
template <int U>
void GuessFloors(const Query& query, int64_t first, int64_t last, User* users) {
  const double items = static_cast<double>((last - first) * kPanel);
  const double share = (kGuessed * query.k + kGuessedMore) / items;
  if (share > kMostGuessed) return;
  const Sketch& sketch = query.sketch;
  const int32_t* words[U];
  for (int u = 0; u < U; ++u) words[u] = users[u].words;
  int32_t sums[U][kPanel];
  double mean[U] = {}, squares[U] = {};
  for (int64_t at = 0; at < kPanelsOfGuess; ++at) {
    const int64_t panel = first + at * (last - first) / kPanelsOfGuess;
    Sums<U>(sketch.codes + panel * sketch.num_groups * kPanel * kGroup, words,
            sketch.num_groups, sums);
    for (int u = 0; u < U; ++u) {
      int64_t sum = 0;
      double square = 0.0;
      for (int i = 0; i < kPanel; ++i) {
        const int32_t one = sums[u][i] - users[u].shift;
        sum += one;
        square += static_cast<double>(one) * one;
      }
      const double unit = sketch.scales[panel] / users[u].per_step;
      mean[u] += sum * unit;
      squares[u] += square * unit * unit;
    }
  }
  constexpr double kCount = kPanelsOfGuess * kPanel;
  const double deviations = Deviations(share);
  for (int u = 0; u < U; ++u) {
    if (users[u].done) continue;
    mean[u] /= kCount;
    const double variance = squares[u] / kCount - mean[u] * mean[u];
    if (variance > 0) users[u].floor = mean[u] + deviations * std::sqrt(variance);
  }
}

// As `Scan`, of users whose lists are empty. Most of the items that it would score are
// those that come before a list knows what is good: so this is guessed, and where fewer
// than k items prove to score so much, all is done again without the guess.
template <int U>
int64_t Start(const Query& query, int64_t first, int64_t last, User* users) {
  const int64_t guessed = std::min(last, first + kPanelsOfStart);
  if (guessed - first < kPanelsOfGuess) return Scan<U>(query, first, last, users);
  GuessFloors<U>(query, first, guessed, users);
  int64_t exact = Scan<U>(query, first, guessed, users);
  for (int u = 0; u < U; ++u) {
    User& user = users[u];
    const bool was_wrong = user.best.last() < user.floor;
    user.floor = kNone;
    if (!was_wrong) continue;
    user.best = Best(query.k);
    user.done = false;
    exact += Scan<1>(query, first, guessed, &user);
  }
  return exact + Scan<U>(query, guessed, last, users);
}

// As many users as there are, at most U.
template <int U>
int64_t ScanSome(const Query& query, int64_t first, int64_t last, User* users,
                 int64_t count, bool starts) {
  if constexpr (U > 1)
    if (count < U) return ScanSome<U - 1>(query, first, last, users, count, starts);
  return starts ? Start<U>(query, first, last, users)
                : Scan<U>(query, first, last, users);
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
      found += ScanSome<kUsers>(query, first, last, users.data() + i, count - i,
                                first == part * panels);
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

// How much memory `LlmgnnQuery` writes to.
extern "C" int64_t LlmgnnQueryBytes() { return sizeof(llmgnn::Query); }

// What stays the same whichever user asks, for `LlmgnnBestOfUser`: all users, what is
// hidden from each, and the rest as of `LlmgnnBestItems`. Nothing of it is copied.
extern "C" int64_t LlmgnnQuery(
    const float* users, const int64_t* hidden_ends, const int32_t* hidden,
    const bool* allowed, const float* table, int64_t num_items, int64_t width,
    const uint8_t* codes, const int32_t* numbers, const float* scales,
    const float* reaches, const float* errors, const float* lengths, void* query) {
  using llmgnn::kGroup, llmgnn::kPanel;
  new (query) llmgnn::Query{
      users, nullptr, 1, hidden_ends, hidden, allowed, table, num_items, width, 0,
      {codes, numbers, scales, reaches, errors, lengths,
       (num_items + kPanel - 1) / kPanel, (width + kGroup - 1) / kGroup},
      -1};
  return 0;
}

// The list of one user: k items, then k scores behind them. Returns as
// `LlmgnnBestItems` does.
extern "C" int64_t LlmgnnBestOfUser(const void* prepared, int64_t user, int64_t k,
                                    int64_t threads, void* list) {
  try {
    llmgnn::Query query = *static_cast<const llmgnn::Query*>(prepared);
    const int32_t row = static_cast<int32_t>(user);
    query.rows = &row;
    query.k = k;
    int32_t* items = static_cast<int32_t*>(list);
    return llmgnn::BestItems(query, threads, items,
                             reinterpret_cast<float*>(items + k))
               ? 0
               : 3;
  } catch (const llmgnn::OutOfRange&) {
    return 1;
  } catch (const std::exception&) {
    return 2;
  }
}

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
