// Makes a sketch of a table.

#include "sketch.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "workers.h"

namespace llmgnn {
namespace {

constexpr float kSmallestScale = 1e-30f;  // what is divided by less may overflow
constexpr int64_t kBuckets = 1 << 16;
constexpr int64_t kVectorsOfTask = 4096;

float RoundedUp(double value) {
  return std::nextafterf(static_cast<float>(value), std::numeric_limits<float>::max());
}

// In [0, kBuckets), larger for what is shorter: the high half of the float's own bits.
int64_t Bucket(float length) {
  uint32_t bits;
  std::memcpy(&bits, &length, sizeof(bits));
  return kBuckets - 1 - (bits >> 16);
}

// (I) lengths, rounded up; whether all are within the bounds' range.
bool Lengths(const float* table, int64_t count, int64_t width, int64_t threads,
             float* lengths) {
  std::atomic<bool> fit{true};
  const int64_t tasks = (count + kVectorsOfTask - 1) / kVectorsOfTask;
  OnThreads(threads, tasks, [&](int64_t task) {
    const int64_t last = std::min(count, (task + 1) * kVectorsOfTask);
    for (int64_t i = task * kVectorsOfTask; i < last; ++i) {
      double squares = 0.0;
      for (int64_t d = 0; d < width; ++d) {
        const double value = table[i * width + d];
        squares += value * value;
      }
      lengths[i] = RoundedUp(std::sqrt(squares) * (1 + 1e-9));
      if (!(lengths[i] < kLargest)) fit = false;  // NaN too.
    }
  });
  return fit;
}

struct Panels {
  uint8_t* codes;
  int32_t* numbers;
  float *scales, *reaches, *errors, *lengths;
};

void MakePanel(const float* table, const float* lengths, int64_t width, int64_t panel,
               const Panels& out) {
  const int64_t groups = (width + kGroup - 1) / kGroup;
  const int32_t* numbers = out.numbers + panel * kPanel;
  uint8_t* codes = out.codes + panel * groups * kPanel * kGroup;
  float largest = 0.0f;
  for (int lane = 0; lane < kPanel && numbers[lane] >= 0; ++lane)
    for (int64_t d = 0; d < width; ++d)
      largest = std::max(largest, std::abs(table[numbers[lane] * width + d]));
  float scale = largest / 127;
  if (scale < kSmallestScale) scale = kSmallestScale;
  std::memset(codes, 128, groups * kPanel * kGroup);
  // Of an inner product in float32, in any order of its sums.
  const double rounding = (width + 8) * std::ldexp(1.0, -23);
  double reach = 0.0, error = 0.0;
  float longest = 0.0f;
  for (int lane = 0; lane < kPanel && numbers[lane] >= 0; ++lane) {
    const float* vector = table + numbers[lane] * width;
    double squares = 0.0, off = 0.0;
    for (int64_t d = 0; d < width; ++d) {
      const int code = std::lrint(std::min(127.0f, std::max(-127.0f, vector[d] / scale)));
      codes[(d / kGroup * kPanel + lane) * kGroup + d % kGroup] = code + 128;
      const double near = static_cast<double>(scale) * code, rest = vector[d] - near;
      squares += near * near;
      off += rest * rest;
    }
    const float length = lengths[numbers[lane]];
    reach = std::max(reach, std::sqrt(squares));
    error = std::max(error, std::sqrt(off) + rounding * length);
    longest = std::max(longest, length);
  }
  out.scales[panel] = scale;
  out.reaches[panel] = RoundedUp(reach * (1 + 1e-9));
  out.errors[panel] = RoundedUp(error * (1 + 1e-9));
  out.lengths[panel] = longest;
}

bool MakeSketch(const float* table, int64_t count, int64_t width, int64_t threads,
                const Panels& out) {
  std::vector<float> lengths(count);
  if (!Lengths(table, count, width, threads, lengths.data())) return false;
  std::vector<int64_t> starts(kBuckets + 1, 0);
  for (float length : lengths) ++starts[Bucket(length) + 1];
  for (int64_t b = 0; b < kBuckets; ++b) starts[b + 1] += starts[b];
  for (int64_t i = 0; i < count; ++i) out.numbers[starts[Bucket(lengths[i])]++] = i;
  const int64_t panels = (count + kPanel - 1) / kPanel;
  std::fill(out.numbers + count, out.numbers + panels * kPanel, -1);
  OnThreads(threads, panels, [&](int64_t panel) {
    MakePanel(table, lengths.data(), width, panel, out);
  });
  for (int64_t panel = panels - 1; panel > 0; --panel)
    out.lengths[panel - 1] = std::max(out.lengths[panel - 1], out.lengths[panel]);
  return true;
}

}  // namespace
}  // namespace llmgnn

// `table` (count, width) float32 and the arrays of a `Sketch`. Returns 0; 1 where a
// vector is too long or not finite; 2 where there is no memory.
extern "C" int64_t LlmgnnSketch(const float* table, int64_t count, int64_t width,
                                int64_t threads, uint8_t* codes, int32_t* numbers,
                                float* scales, float* reaches, float* errors,
                                float* lengths) {
  try {
    const llmgnn::Panels out{codes, numbers, scales, reaches, errors, lengths};
    return llmgnn::MakeSketch(table, count, width, threads, out) ? 0 : 1;
  } catch (const std::exception&) {
    return 2;
  }
}
