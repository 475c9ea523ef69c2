// Work shared out among XLA's threads, and memory that they reuse.

#ifndef LLMGNN_JAX_NATIVE_THREADS_H_
#define LLMGNN_JAX_NATIVE_THREADS_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "xla/ffi/api/ffi.h"

namespace llmgnn {

namespace ffi = xla::ffi;

// Asks for huge pages under what is about to be written, where Linux gives them to those
// who ask. Rows of a large table that are read at random miss the cache of page numbers
// otherwise, and memory that is new faults once every 4 kB.
inline void OnHugePages(void* start, size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kPage = 2 << 20;
  uintptr_t from = (reinterpret_cast<uintptr_t>(start) + kPage - 1) & ~(kPage - 1);
  uintptr_t to = (reinterpret_cast<uintptr_t>(start) + bytes) & ~(kPage - 1);
  if (to > from) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
}

// Memory that grows and is used again, one for each thread and purpose.
class Scratch {
 public:
  ~Scratch() { std::free(data_); }

  // At least `bytes`, on a cache line's border; what it held is lost when it grows.
  template <typename T>
  T* Get(size_t count) {
    size_t bytes = count * sizeof(T);
    if (bytes > bytes_) {
      std::free(data_);
      bytes_ = (bytes + bytes / 4 + 4095) & ~size_t{4095};
      data_ = std::aligned_alloc(4096, bytes_);
      if (data_ == nullptr) {
        bytes_ = 0;
        throw std::bad_alloc();
      }
      OnHugePages(data_, bytes_);
    }
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// A kernel whose exceptions are errors of its call: one that left it would end the
// process. `Safe<Kernel>::Call` stands for `Kernel` in its handler's definition.
template <auto kernel>
struct Safe;

template <typename... Arguments, ffi::Error (*kernel)(Arguments...)>
struct Safe<kernel> {
  static ffi::Error Call(Arguments... arguments) {
    try {
      return kernel(std::forward<Arguments>(arguments)...);
    } catch (const std::exception& error) {
      // Of what is thrown here, all is for want of memory: also `std::length_error`.
      return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                        std::string("a native kernel had no memory for its scratch (") +
                            error.what() + "): smaller batches need less");
    }
  }
};

// Runs body(0..count) on XLA's own threads. The caller works too and waits only for
// what has begun, so a pool whose threads are all busy cannot block it for ever. What
// body throws, on whichever thread, is thrown to the caller once all have stopped.
template <typename Body>
void ParallelFor(ffi::ThreadPool& pool, int64_t count, const Body& body) {
  int64_t helpers = std::min<int64_t>(pool.num_threads(), count) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  struct Shared {
    std::atomic<int64_t> next{0};
    std::mutex mutex;
    std::condition_variable idle;
    int64_t working = 0;
    bool closed = false;
    std::exception_ptr thrown;

    void Work(const Body& body, int64_t count) {
      try {
        for (int64_t i; (i = next.fetch_add(1)) < count;) body(i);
      } catch (...) {
        next.store(count);  // Nothing more is begun.
        std::lock_guard<std::mutex> lock(mutex);
        thrown = std::current_exception();
      }
    }
  };
  auto shared = std::make_shared<Shared>();
  const Body* work = &body;
  try {
    for (int64_t h = 0; h < helpers; ++h) {
      pool.Schedule([shared, work, count] {
        {
          std::lock_guard<std::mutex> lock(shared->mutex);
          if (shared->closed) return;  // `work` may be gone.
          ++shared->working;
        }
        shared->Work(*work, count);
        std::lock_guard<std::mutex> lock(shared->mutex);
        if (--shared->working == 0) shared->idle.notify_one();
      });
    }
  } catch (const std::bad_alloc&) {
    // Fewer helpers do the same work.
  }
  shared->Work(body, count);
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->closed = true;
  shared->idle.wait(lock, [&] { return shared->working == 0; });
  if (shared->thrown) std::rethrow_exception(shared->thrown);
}

// body(0..count) in runs of `step`: body(first, last).
template <typename Body>
void ForRanges(ffi::ThreadPool& pool, int64_t count, int64_t step, const Body& body) {
  ParallelFor(pool, (count + step - 1) / step, [&](int64_t task) {
    body(task * step, std::min(count, (task + 1) * step));
  });
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_NATIVE_THREADS_H_
