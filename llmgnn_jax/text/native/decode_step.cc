// One token more of each row through all layers of a decoder, in one call: what takes
// time is to read the weights, and threads that were woken for each product would wait
// for one another as long as that.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <initializer_list>

#include "few_rows.h"
#include "panel_buffers.h"
#include "phases.h"
#include "threads.h"

namespace llmgnn {
namespace {

using Floats = ffi::Buffer<ffi::F32>;
using Ints = ffi::Buffer<ffi::S32>;
using Result = ffi::ResultBuffer<ffi::F32>;

enum Kind { kJoined, kAttend, kOutput, kGated, kDown, kKinds };
enum class Activation : int64_t { kSilu, kGeluTanh };

Lane Act(Activation activation, Lane x) {
  Lane u = x;
  if (activation == Activation::kGeluTanh)
    u = (x + x * x * x * 0.044715f) * 1.5957691216f;  // 2 sqrt(2 / pi)
  return x / (1.0f + Exp(-u));
}

float SumOfSquares(const float* x, int64_t count) {
  Lane sums{};
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) sums += Load(x + i) * Load(x + i);
  float sum = Total(sums);
  for (; i < count; ++i) sum += x[i] * x[i];
  return sum;
}

// to = x / sqrt(mean(x^2) + epsilon) * scale
void Normalise(const float* x, const float* scale, int64_t count, float epsilon,
               float* to) {
  const float by = 1.0f / std::sqrt(SumOfSquares(x, count) / count + epsilon);
  for (int64_t i = 0; i < count; ++i) to[i] = x[i] * by * scale[i];
}

// Each layer has H queries, G keys and G values, K wide each.
struct Step {
  int64_t batch, width, wide, layers, heads, groups, head, places, vocabulary;
  int64_t threads;
  float epsilon;
  Activation activation;
  const int32_t* lengths;                 // (B), tokens before this one
  const float *cosine, *sine;             // (B, K / 2)
  const float *norms, *head_norms;        // (n, 2, D), (n, 2, K) or null
  const float *last_norm;                 // (D)
  const float *joined_bias, *output_bias, *gated_bias, *down_bias;
  PanelStack joined, output, gated, down, words;
  float *keys, *values;                   // (n, B, G, K, M), (n, B, G, M, K)
  float* logits;                          // (B, V)
  float *x, *queries, *mixed, *active;    // (B, D), (B, J), (B, H K), (B, F)
  int64_t call;                           // no two have the same

  int64_t all_joined() const { return (heads + 2 * groups) * head; }
  int64_t phases() const { return layers * kKinds + 1; }

  const PanelStack& matrix(int64_t kind) const {
    switch (kind) {
      case kJoined: return joined;
      case kOutput: return output;
      case kGated: return gated;
      default: return down;
    }
  }

  // Long runs of panels, which are read in one stream, and some for whoever is ready.
  int64_t Tasks(int64_t panels) const { return std::min(panels, 4 * threads); }

  int64_t Count(int64_t phase) const {
    if (phase == layers * kKinds) return Tasks(words.at(0).count());
    const int64_t kind = phase % kKinds;
    if (kind == kAttend) return batch * groups;
    return Tasks(matrix(kind).at(0).count());
  }

  void Do(int64_t phase, int64_t task) const {
    const int64_t layer = phase / kKinds, kind = phase % kKinds;
    if (layer == layers) {
      const float* rows = Packed(phase, x, width, last_norm);
      return Product(words.at(0), rows, task, [&](int64_t row, int64_t first,
                                                  int64_t count, const float* sums) {
        std::copy_n(sums, count, logits + row * vocabulary + first);
      });
    }
    switch (kind) {
      case kJoined:
        return Straight(phase, layer, task, x, norms + 2 * layer * width, joined_bias,
                        queries, false);
      case kAttend:
        return Attend(layer, task / groups, task % groups);
      case kOutput:
        return Straight(phase, layer, task, mixed, nullptr, output_bias, x, true);
      case kGated:
        return Gate(phase, layer, task);
      default:
        return Straight(phase, layer, task, active, nullptr, down_bias, x, true);
    }
  }

  // Rows as `MultiplyRows` reads them, normalised by `scale` if there is one. Each thread
  // makes its own copy, once a phase: sooner than it would get another's.
  const float* Packed(int64_t phase, const float* from, int64_t depth,
                      const float* scale) const {
    static thread_local Scratch of_rows, of_normed;
    static thread_local int64_t last_call = -1, last_phase = -1;
    float* rows = of_rows.Get<float>(batch * std::max(depth, std::max(width, wide)));
    if (last_call == call && last_phase == phase) return rows;
    if (scale != nullptr) {
      float* normed = of_normed.Get<float>(batch * depth);
      for (int64_t b = 0; b < batch; ++b)
        Normalise(from + b * depth, scale, depth, epsilon, normed + b * depth);
      from = normed;
    }
    const RowBlocks blocks{batch};
    for (int64_t b = 0; b < blocks.count(); ++b)
      PackRows(from + blocks.start(b) * depth, depth, blocks.size(b), depth,
               rows + blocks.start(b) * depth);
    last_call = call;
    last_phase = phase;
    return rows;
  }

  template <typename Done>
  void Product(const ColumnPanels& panels, const float* rows, int64_t task,
               const Done& done) const {
    const int64_t tasks = Tasks(panels.count());
    panels.Multiply(RowBlocks{batch}, rows, panels.count() * task / tasks,
                    panels.count() * (task + 1) / tasks, done);
  }

  // to (+)= from W + b
  void Straight(int64_t phase, int64_t layer, int64_t task, const float* from,
                const float* scale, const float* bias, float* to, bool add) const {
    const ColumnPanels panels = matrix(phase % kKinds).at(layer);
    const float* rows = Packed(phase, from, panels.depth, scale);
    bias += layer * panels.columns;
    Product(panels, rows, task,
            [&](int64_t row, int64_t first, int64_t count, const float* sums) {
              float* out = to + row * panels.columns + first;
              for (int64_t c = 0; c < count; ++c)
                out[c] = (add ? out[c] : 0.0f) + (sums[c] + bias[first + c]);
            });
  }

  // Half of a panel's columns are of the gate, the other half of what it lets through.
  void Gate(int64_t phase, int64_t layer, int64_t task) const {
    const ColumnPanels panels = gated.at(layer);
    const float* rows = Packed(phase, x, width, norms + (2 * layer + 1) * width);
    const float* bias = gated_bias + layer * panels.columns;
    constexpr int64_t kHalf = kPanel / 2;
    Product(panels, rows, task,
            [&](int64_t row, int64_t first, int64_t, const float* sums) {
              float* to = active + row * wide + first / 2;
              for (int64_t c = 0; c < kHalf; c += kWidth) {
                const Lane gate = Load(sums + c) + Load(bias + first + c);
                const Lane up = Load(sums + kHalf + c) + Load(bias + first + kHalf + c);
                Save(to + c, Act(activation, gate) * up);
              }
            });
  }

  void Turn(int64_t row, const float* from, const float* scale, float* to) const {
    const int64_t half = head / 2;
    float by = 1.0f;
    if (scale != nullptr) by /= std::sqrt(SumOfSquares(from, head) / head + epsilon);
    for (int64_t k = 0; k < half; ++k) {
      const float one = from[k] * by * (scale ? scale[k] : 1.0f);
      const float two = from[half + k] * by * (scale ? scale[half + k] : 1.0f);
      const float c = cosine[row * half + k], s = sine[row * half + k];
      to[k] = one * c - two * s;
      to[half + k] = two * c + one * s;
    }
  }

  // The queries of one group: the new key and value are written down, too.
  void Attend(int64_t layer, int64_t row, int64_t group) const {
    static thread_local Scratch memory;
    const int64_t each = heads / groups, seen = lengths[row] + 1;
    const int64_t padded = (seen + kWidth - 1) / kWidth * kWidth;
    float* query = memory.Get<float>((each + 1) * head + each * (padded + kWidth));
    float* key = query + each * head;
    float* scores = key + head;
    const float* from = queries + row * all_joined();
    const float* scales = head_norms ? head_norms + 2 * layer * head : nullptr;
    for (int64_t h = 0; h < each; ++h)
      Turn(row, from + (group * each + h) * head, scales, query + h * head);
    Turn(row, from + (heads + group) * head, scales ? scales + head : nullptr, key);
    const int64_t place = (layer * batch + row) * groups + group;
    float* seen_keys = keys + place * head * places;
    float* seen_values = values + place * places * head;
    for (int64_t k = 0; k < head; ++k) seen_keys[k * places + seen - 1] = key[k];
    std::copy_n(from + (heads + groups + group) * head, head,
                seen_values + (seen - 1) * head);
    const float by = 1.0f / std::sqrt(static_cast<float>(head));
    for (int64_t h = 0; h < each; ++h) {
      float* weights = scores + h * (padded + kWidth);
      const float* q = query + h * head;
      int64_t m = 0;
      for (; m + 4 * kWidth <= padded; m += 4 * kWidth)
        Score<4>(q, seen_keys + m, by, weights + m);
      for (; m < padded; m += kWidth) Score<1>(q, seen_keys + m, by, weights + m);
      for (m = seen; m < padded; ++m) weights[m] = -3e38f;
      Lane largest = Load(weights);
      for (m = kWidth; m < padded; m += kWidth)
        largest = Larger(largest, Load(weights + m));
      const float most = Largest(largest);
      Lane total{};
      for (m = 0; m < padded; m += kWidth) {
        Lane weight = Exp(Load(weights + m) - most);
        Save(weights + m, weight);
        total += weight;
      }
      Mix(weights, seen, 1.0f / Total(total), seen_values,
          mixed + (row * heads + group * each + h) * head);
    }
  }

  // Scores of N lanes of places: to = q keys * by
  template <int N>
  void Score(const float* q, const float* from, float by, float* to) const {
    Lane sums[N] = {};
    for (int64_t k = 0; k < head; ++k, from += places)
      for (int j = 0; j < N; ++j) sums[j] += Fill(q[k]) * Load(from + j * kWidth);
    for (int j = 0; j < N; ++j) Save(to + j * kWidth, sums[j] * by);
  }

  // to (K) = weights (m) values (m, K), times `by`
  void Mix(const float* weights, int64_t count, float by, const float* from,
           float* to) const {
    int64_t k = 0;
    for (; k + 4 * kWidth <= head; k += 4 * kWidth) {
      Lane sums[4] = {};
      for (int64_t m = 0; m < count; ++m)
        for (int j = 0; j < 4; ++j)
          sums[j] += Fill(weights[m]) * Load(from + m * head + k + j * kWidth);
      for (int j = 0; j < 4; ++j) Save(to + k + j * kWidth, sums[j] * by);
    }
    for (; k < head; ++k) {
      float sum = 0;
      for (int64_t m = 0; m < count; ++m) sum += weights[m] * from[m * head + k];
      to[k] = sum * by;
    }
  }
};

// Whether a buffer, of whatever kind, has this shape.
template <typename Buffer>
bool Is(const Buffer& buffer, std::initializer_list<int64_t> shape) {
  const auto found = buffer.dimensions();
  return std::equal(found.begin(), found.end(), shape.begin(), shape.end());
}

// x (B, D) of the token of each row, places in the cache (n, B, G, K, M) and
// (n, B, G, M, K) with M a multiple of 16; logits (B, V). The cache is written in place.
ffi::Error DecodeStep(ffi::ThreadPool pool, Floats x, Ints lengths, Floats cosine,
                      Floats sine, Floats keys, Floats values, Floats norms,
                      Floats head_norms, Floats last_norm, ffi::AnyBuffer joined,
                      Floats joined_bias, ffi::AnyBuffer output, Floats output_bias,
                      ffi::AnyBuffer gated, Floats gated_bias, ffi::AnyBuffer down,
                      Floats down_bias, ffi::AnyBuffer words, Result logits,
                      Result keys_out, Result values_out, int64_t heads, int64_t groups,
                      int64_t activation, float epsilon) {
  static std::atomic<int64_t> calls{0};
  static thread_local Scratch memory;
  Step s;
  if (x.dimensions().size() != 2 || logits->dimensions().size() != 2)
    return ffi::Error::InvalidArgument("x, logits: expected (B, D) and (B, V)");
  if (groups < 1 || heads < 1 || heads % groups)
    return ffi::Error::InvalidArgument("groups: expected a divisor of the heads");
  if (activation < 0 || activation > static_cast<int64_t>(Activation::kGeluTanh))
    return ffi::Error::InvalidArgument("activation: expected the number of one");
  if (keys.dimensions().size() != 5)
    return ffi::Error::InvalidArgument("keys: expected (layers, B, G, K, M)");
  if (down.dimensions().size() != 4)
    return ffi::Error::InvalidArgument("down: expected (layers, N / 32, K, 32)");
  s.batch = x.dimensions()[0];
  s.width = x.dimensions()[1];
  s.heads = heads;
  s.groups = groups;
  s.layers = keys.dimensions()[0];
  s.head = keys.dimensions()[3];
  s.places = keys.dimensions()[4];
  s.wide = down.dimensions()[2];
  s.vocabulary = logits->dimensions()[1];
  const int64_t cached = s.layers * s.batch * groups * s.head * s.places;
  const int64_t all = s.all_joined();
  for (ffi::Error error : {ReadPanels(joined, s.width, all, &s.joined),
                           ReadPanels(output, heads * s.head, s.width, &s.output),
                           ReadPanels(gated, s.width, 2 * s.wide, &s.gated),
                           ReadPanels(down, s.wide, s.width, &s.down),
                           ReadPanels(words, s.width, s.vocabulary, &s.words)})
    if (error.failure()) return error;
  if (s.joined.layers != s.layers || s.output.layers != s.layers ||
      s.gated.layers != s.layers || s.down.layers != s.layers || s.words.layers != 1 ||
      s.wide % 16 || !Is(norms, {s.layers, 2, s.width}) || !Is(last_norm, {s.width}) ||
      !Is(joined_bias, {s.layers, all}) || !Is(output_bias, {s.layers, s.width}) ||
      !Is(gated_bias, {s.layers, 2 * s.wide}) || !Is(down_bias, {s.layers, s.width}) ||
      !(Is(head_norms, {0}) || Is(head_norms, {s.layers, 2, s.head})))
    return ffi::Error::InvalidArgument("layers: expected as many of each part");
  if (!Is(keys, {s.layers, s.batch, groups, s.head, s.places}) ||
      !Is(values, {s.layers, s.batch, groups, s.places, s.head}) ||
      !Is(*keys_out, {s.layers, s.batch, groups, s.head, s.places}) ||
      !Is(*values_out, {s.layers, s.batch, groups, s.places, s.head}) ||
      s.places % 16 || s.head % 2)
    return ffi::Error::InvalidArgument("cache: expected 16 M places of each row");
  if (!Is(cosine, {s.batch, s.head / 2}) || !Is(sine, {s.batch, s.head / 2}) ||
      !Is(lengths, {s.batch}) || logits->dimensions()[0] != s.batch)
    return ffi::Error::InvalidArgument("rows: expected angles and a length of each");
  for (int64_t b = 0; b < s.batch; ++b)
    if (lengths.typed_data()[b] < 0 || lengths.typed_data()[b] >= s.places)
      return ffi::Error::InvalidArgument("cache: expected a place for one token more");
  s.lengths = lengths.typed_data();
  s.cosine = cosine.typed_data();
  s.sine = sine.typed_data();
  s.norms = norms.typed_data();
  s.head_norms = head_norms.element_count() ? head_norms.typed_data() : nullptr;
  s.last_norm = last_norm.typed_data();
  s.joined_bias = joined_bias.typed_data();
  s.output_bias = output_bias.typed_data();
  s.gated_bias = gated_bias.typed_data();
  s.down_bias = down_bias.typed_data();
  s.logits = logits->typed_data();
  s.keys = keys_out->typed_data();
  s.values = values_out->typed_data();
  // XLA lets both have the same memory; where it could not, the old content is needed.
  if (s.keys != keys.typed_data()) std::copy_n(keys.typed_data(), cached, s.keys);
  if (s.values != values.typed_data()) std::copy_n(values.typed_data(), cached, s.values);
  s.activation = static_cast<Activation>(activation);
  s.epsilon = epsilon;
  s.threads = std::max<int64_t>(1, pool.num_threads());
  s.call = calls.fetch_add(1);
  s.x = memory.Get<float>(s.batch * (s.width + all + heads * s.head + s.wide));
  s.queries = s.x + s.batch * s.width;
  s.mixed = s.queries + s.batch * all;
  s.active = s.mixed + s.batch * heads * s.head;
  std::copy_n(x.typed_data(), s.batch * s.width, s.x);
  RunPhases(
      pool, s.phases(), [&](int64_t phase) { return s.Count(phase); },
      [&](int64_t phase, int64_t task) { s.Do(phase, task); });
  return ffi::Error::Success();
}

}  // namespace
}  // namespace llmgnn

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(LlmgnnDecodeStep, llmgnn::Safe<llmgnn::DecodeStep>::Call,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::S32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<int64_t>("heads")
                                  .Attr<int64_t>("groups")
                                  .Attr<int64_t>("activation")
                                  .Attr<float>("epsilon"));
