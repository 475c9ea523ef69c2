// Work in phases, each of which needs what the one before it made: hundreds a call, and
// too short to wake threads for.

#ifndef LLMGNN_JAX_TEXT_NATIVE_PHASES_H_
#define LLMGNN_JAX_TEXT_NATIVE_PHASES_H_

#include <memory>
#include <thread>
#include <vector>

#include "threads.h"

namespace llmgnn {

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// body(phase, 0..count(phase)) for phase after phase. Whoever has nothing left to do in a
// phase spins until it is over. Like `ParallelFor` it waits only for what has begun: a
// helper that comes late joins the phase that it finds, and one that never comes is not
// missed.
template <typename Count, typename Body>
void RunPhases(ffi::ThreadPool& pool, int64_t phases, const Count& count,
               const Body& body) {
  struct alignas(64) Progress {
    std::atomic<int64_t> next{0}, done{0};
  };
  struct Shared {
    explicit Shared(int64_t phases) : progress(phases) {}
    std::vector<Progress> progress;
    std::atomic<bool> failed{false};
    std::mutex mutex;
    std::condition_variable idle;
    int64_t working = 0;
    bool closed = false;
    std::exception_ptr thrown;

    void Work(const Count& count, const Body& body) {
      try {
        for (size_t phase = 0; phase < progress.size(); ++phase) {
          Progress& here = progress[phase];
          const int64_t all = count(phase);
          for (int64_t i; (i = here.next.fetch_add(1)) < all;) {
            body(static_cast<int64_t>(phase), i);
            here.done.fetch_add(1);
          }
          for (int64_t spins = 0; here.done.load() < all; ++spins) {
            if (failed.load()) return;
            // Whoever is waited for may need this very core.
            spins % 256 == 255 ? std::this_thread::yield() : Pause();
          }
        }
      } catch (...) {
        std::lock_guard<std::mutex> lock(mutex);
        thrown = std::current_exception();
        failed.store(true);
      }
    }
  };
  auto shared = std::make_shared<Shared>(phases);
  const Count* counts = &count;
  const Body* work = &body;
  try {
    for (int64_t h = 1; h < static_cast<int64_t>(pool.num_threads()); ++h) {
      pool.Schedule([shared, counts, work] {
        {
          std::lock_guard<std::mutex> lock(shared->mutex);
          if (shared->closed) return;  // `work` may be gone.
          ++shared->working;
        }
        shared->Work(*counts, *work);
        std::lock_guard<std::mutex> lock(shared->mutex);
        if (--shared->working == 0) shared->idle.notify_one();
      });
    }
  } catch (const std::bad_alloc&) {
    // Fewer helpers do the same work.
  }
  shared->Work(count, body);
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->closed = true;
  shared->idle.wait(lock, [&] { return shared->working == 0; });
  if (shared->thrown) std::rethrow_exception(shared->thrown);
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_TEXT_NATIVE_PHASES_H_
