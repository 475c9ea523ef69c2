// Threads of a call from the host, where XLA's own are out of reach.

#ifndef LLMGNN_JAX_EVALUATION_NATIVE_WORKERS_H_
#define LLMGNN_JAX_EVALUATION_NATIVE_WORKERS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace llmgnn {

// Runs body(0..count) on so many threads, this one among them. What body throws is
// thrown to the caller once all have stopped.
template <typename Body>
void OnThreads(int64_t threads, int64_t count, const Body& body) {
  std::atomic<int64_t> next{0};
  std::exception_ptr thrown;
  std::mutex mutex;
  auto work = [&] {
    try {
      for (int64_t i; (i = next.fetch_add(1)) < count;) body(i);
    } catch (...) {
      next.store(count);
      std::lock_guard<std::mutex> lock(mutex);
      thrown = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(std::max<int64_t>(0, std::min(threads, count) - 1));
  try {
    while (others.size() < others.capacity()) others.emplace_back(work);
  } catch (const std::exception&) {
    // Fewer threads do the same work.
  }
  work();
  for (std::thread& other : others) other.join();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace llmgnn

#endif  // LLMGNN_JAX_EVALUATION_NATIVE_WORKERS_H_
