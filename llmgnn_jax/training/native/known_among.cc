// Which of a batch's items each of its users is known to like.
//
// Asking for every pair costs B x K look-ups. A user likes few items, so the kernel goes
// the other way: it looks each of those up among the K, by a hash table of them.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "threads.h"

namespace llmgnn {
namespace {

constexpr int32_t kNone = -1;
constexpr int64_t kRowsOfTask = 64;

// The numbers of K items, by item; one that is there more than once is a chain.
class Places {
 public:
  Places(const int32_t* items, int64_t count) : next_(count, kNone) {
    int bits = 4;
    // At most a fourth is taken, so what is not there is mostly told by one look.
    while ((int64_t{1} << bits) < 4 * count) ++bits;
    shift_ = 64 - bits;
    mask_ = (uint64_t{1} << bits) - 1;
    slots_.assign(mask_ + 1, Slot{0, kNone});
    for (int64_t k = count - 1; k >= 0; --k) {
      Slot& slot = slots_[Find(items[k])];
      next_[k] = slot.first;
      slot = Slot{items[k], static_cast<int32_t>(k)};
    }
  }

  // Sets to true what belongs to an item's numbers.
  void Mark(int32_t item, bool* row) const {
    for (int32_t k = slots_[Find(item)].first; k != kNone; k = next_[k]) row[k] = true;
  }

 private:
  struct Slot {
    int32_t item;
    int32_t first;
  };

  // The slot of an item, or the empty one where it would be.
  uint64_t Find(int32_t item) const {
    uint64_t at = static_cast<uint32_t>(item) * 0x9E3779B97F4A7C15u >> shift_;
    while (slots_[at].first != kNone && slots_[at].item != item) at = (at + 1) & mask_;
    return at;
  }

  std::vector<int32_t> next_;
  std::vector<Slot> slots_;
  int shift_;
  uint64_t mask_;
};

// `indptr` (U + 1) and `indices` (E), the items of each user; `users` (B), `items` (K);
// known (B, K).
ffi::Error KnownAmong(ffi::ThreadPool pool, ffi::Buffer<ffi::S32> indptr,
                      ffi::Buffer<ffi::S32> indices, ffi::Buffer<ffi::S32> users,
                      ffi::Buffer<ffi::S32> items,
                      ffi::ResultBuffer<ffi::PRED> known) {
  const int64_t rows = users.element_count(), count = items.element_count();
  const int64_t num_users = static_cast<int64_t>(indptr.element_count()) - 1;
  const int64_t pairs = indices.element_count();
  const int32_t *starts = indptr.typed_data(), *of_user = users.typed_data();
  for (int64_t b = 0; b < rows; ++b) {
    if (of_user[b] < 0 || of_user[b] >= num_users)
      return ffi::Error::InvalidArgument("users: expected numbers of users");
    const int64_t first = starts[of_user[b]], last = starts[of_user[b] + 1];
    if (first < 0 || last > pairs)
      return ffi::Error::InvalidArgument("indptr: expected places in `indices`");
  }
  const Places places(items.typed_data(), count);
  ForRanges(pool, rows, kRowsOfTask, [&](int64_t from, int64_t to) {
    for (int64_t b = from; b < to; ++b) {
      bool* row = known->typed_data() + b * count;
      std::fill_n(row, count, false);
      const int64_t last = starts[of_user[b] + 1];
      for (int64_t e = starts[of_user[b]]; e < last; ++e)
        places.Mark(indices.typed_data()[e], row);
    }
  });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnKnownAmong,
                              llmgnn::Safe<llmgnn::KnownAmong>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Ret<ffi::Buffer<ffi::PRED>>());
