/**
 * The addon's face to JavaScript. Called by src/addon.ts alone, which checks what it passes; lengths and indices are checked here once
 * more, because a wrong one would read or write foreign memory.
 */
#define NAPI_VERSION 8
#include <algorithm>
#include <node_api.h>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <vector>
#include "faults.h"
#include "kernels/decode.h"
#include "model.h"
#include "quantize_addon.h"

namespace weightspec {
namespace {

/** A JavaScript error is pending already. */
struct Pending {};

void check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) throw Pending{};
  throw failed("Node-API status " + std::to_string(status));
}

/** Runs `body`; what it throws becomes a JavaScript error with a `code`. */
template <class Body> napi_value guarded(napi_env env, const Body& body) {
  try {
    return body();
  } catch (const Pending&) {
  } catch (const Fault& fault) {
    napi_throw_error(env, fault.code, fault.what());
  } catch (const std::bad_alloc&) {
    napi_throw_error(env, "BACKEND_FAILED", "there is no memory left");
  } catch (const std::exception& error) {
    napi_throw_error(env, "BACKEND_FAILED", error.what());
  }
  return nullptr;
}

struct Arguments {
  napi_env env;
  napi_value values[8];
  size_t count = 8;
  Arguments(napi_env e, napi_callback_info info) : env(e) { check(env, napi_get_cb_info(env, info, &count, values, nullptr, nullptr)); }
  double number(size_t i) const {
    double value = 0;
    check(env, napi_get_value_double(env, values[i], &value));
    return value;
  }
  bool boolean(size_t i) const {
    bool value = false;
    check(env, napi_get_value_bool(env, values[i], &value));
    return value;
  }
  std::string text(size_t i) const {
    size_t length = 0;
    check(env, napi_get_value_string_utf8(env, values[i], nullptr, 0, &length));
    std::string value(length, '\0');
    check(env, napi_get_value_string_utf8(env, values[i], &value[0], length + 1, &length));
    return value;
  }
};

template <class T> struct Span {
  T* data = nullptr;
  size_t length = 0;
};

template <class T> constexpr napi_typedarray_type arrayType();
template <> constexpr napi_typedarray_type arrayType<int32_t>() { return napi_int32_array; }
template <> constexpr napi_typedarray_type arrayType<float>() { return napi_float32_array; }
template <> constexpr napi_typedarray_type arrayType<double>() { return napi_float64_array; }
template <> constexpr napi_typedarray_type arrayType<uint8_t>() { return napi_uint8_array; }

template <class T> Span<T> arrayOf(napi_env env, napi_value value) {
  napi_typedarray_type type;
  Span<T> span;
  void* data = nullptr;
  check(env, napi_get_typedarray_info(env, value, &type, &span.length, &data, nullptr, nullptr));
  if (type != arrayType<T>()) throw failed("a typed array of another kind was expected");
  span.data = static_cast<T*>(data);
  return span;
}

napi_value property(napi_env env, napi_value object, const char* name) {
  napi_value value;
  check(env, napi_get_named_property(env, object, name, &value));
  return value;
}

int integer(napi_env env, napi_value object, const char* name) {
  int32_t value = 0;
  check(env, napi_get_value_int32(env, property(env, object, name), &value));
  return value;
}

/** What an external holds; the tag tells kinds apart. */
struct Held {
  enum Kind { POOL, MAPPING, MEMORY, MODEL } kind;
  std::shared_ptr<void> object;
};

template <class T> napi_value hold(napi_env env, Held::Kind kind, std::shared_ptr<T> object) {
  Held* held = new Held{kind, std::move(object)};
  napi_value value;
  const napi_status status = napi_create_external(env, held, [](napi_env, void* data, void*) { delete static_cast<Held*>(data); }, nullptr, &value);
  if (status != napi_ok) delete held;
  check(env, status);
  return value;
}

Held* heldBy(napi_env env, napi_value value) {
  void* data = nullptr;
  check(env, napi_get_value_external(env, value, &data));
  return static_cast<Held*>(data);
}

template <class T> std::shared_ptr<T> heldAs(napi_env env, napi_value value, Held::Kind kind) {
  Held* held = heldBy(env, value);
  if (held->kind != kind || !held->object) throw failed("it was disposed of");
  return std::static_pointer_cast<T>(held->object);
}

std::shared_ptr<Model> modelIn(napi_env env, napi_value value) { return heldAs<Model>(env, value, Held::MODEL); }

napi_value numberValue(napi_env env, double number) {
  napi_value value;
  check(env, napi_create_double(env, number, &value));
  return value;
}

/** kernels(): names, best first. */
napi_value listKernels(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    napi_value list;
    check(env, napi_create_array(env, &list));
    uint32_t index = 0;
    for (const Kernels* const* kernels = availableKernels(); *kernels; kernels++) {
      napi_value name;
      check(env, napi_create_string_utf8(env, (*kernels)->name, NAPI_AUTO_LENGTH, &name));
      check(env, napi_set_element(env, list, index++, name));
    }
    return list;
  });
}

/** createPool(threads) */
napi_value createPool(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments arguments(env, info);
    return hold(env, Held::POOL, std::make_shared<Pool>(static_cast<int>(arguments.number(0))));
  });
}

/** mapFile(path, byteLength) */
napi_value mapFile(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments arguments(env, info);
    return hold(env, Held::MAPPING, std::make_shared<Mapping>(arguments.text(0), static_cast<uint64_t>(arguments.number(1))));
  });
}

/** createMemory(byteLength) */
napi_value createMemory(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments arguments(env, info);
    return hold(env, Held::MEMORY, std::make_shared<Memory>(static_cast<size_t>(arguments.number(0))));
  });
}

/** writeMemory(memory, byteOffset, bytes) */
napi_value writeMemory(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info);
    const auto memory = heldAs<Memory>(env, arguments.values[0], Held::MEMORY);
    const size_t at = static_cast<size_t>(arguments.number(1));
    const Span<uint8_t> bytes = arrayOf<uint8_t>(env, arguments.values[2]);
    if (at > memory->byteLength() || bytes.length > memory->byteLength() - at) throw failed("bytes beyond the end of a buffer");
    std::memcpy(memory->bytes() + at, bytes.data, bytes.length);
    return nullptr;
  });
}

/** A run of bytes that a weight points into. */
const uint8_t* bytesIn(const std::vector<Span<const uint8_t>>& sources, double index, double offset, double length) {
  if (!(index >= 0 && index < static_cast<double>(sources.size()))) throw Fault("WEIGHT_INVALID", "a weight lies in no source");
  const Span<const uint8_t>& source = sources[static_cast<size_t>(index)];
  const double size = static_cast<double>(source.length);
  if (!(offset >= 0 && length >= 0 && offset <= size - length)) throw Fault("WEIGHT_INVALID", "a weight lies beyond the end of its source");
  return source.data + static_cast<size_t>(offset);
}

/** Numbers per weight and per op: shared with src/plan.ts. */
constexpr size_t WEIGHT_FIELDS = 12;
constexpr size_t OP_FIELDS = 12;

Weight weightFrom(const double* field, const std::vector<Span<const uint8_t>>& sources) {
  Weight weight;
  Matrix& w = weight.matrix;
  const int storage = static_cast<int>(field[0]);
  if (storage < 0 || storage >= STORAGE_COUNT) throw Fault("STORAGE_UNSUPPORTED", "storage " + std::to_string(storage));
  w.storage = static_cast<Storage>(storage);
  w.rows = static_cast<int>(field[1]);
  w.cols = static_cast<int>(field[2]);
  w.groupSize = static_cast<int64_t>(field[3]);
  w.divisor = static_cast<float>(field[4]);
  w.int8Activations = field[5] != 0;
  const bool blocks = blockBytes(w.storage) > 0;
  const bool grouped = w.storage == INT8_GROUPS || w.storage == INT8_ROWS;
  if (w.rows < 1 || w.cols < 1 || (blocks && w.cols % BLOCK != 0) || (grouped && w.groupSize < 1)) throw Fault("WEIGHT_INVALID", "rows that are not whole blocks");
  w.rowBytes = blocks ? static_cast<size_t>(w.cols / BLOCK * blockBytes(w.storage)) : static_cast<size_t>(w.cols) * (w.storage == F32 ? 4 : grouped ? 1 : 2);
  const double expected = static_cast<double>(w.rowBytes) * w.rows;
  if (field[8] != expected) throw Fault("WEIGHT_INVALID", std::to_string(static_cast<int64_t>(field[8])) + " bytes where a weight needs " + std::to_string(static_cast<int64_t>(expected)));
  w.values = bytesIn(sources, field[6], field[7], field[8]);
  w.scales = nullptr;
  w.packedOrder = false;
  w.packed = nullptr;
  if (grouped) {
    const double groups = static_cast<double>(w.rows) * w.cols / static_cast<double>(w.groupSize);
    if (field[11] != groups * 4) throw Fault("WEIGHT_INVALID", "scales that are not one a group");
    w.scales = bytesIn(sources, field[9], field[10], field[11]);
  }
  if (w.rows == 1) {
    weight.decoded.resize(static_cast<size_t>(w.cols));
    decodeRow(w, 0, weight.decoded.data());
  }
  return weight;
}

Op opFrom(const int32_t* field, const double* numbers, const ModelSpec& spec) {
  Op op{static_cast<OpKind>(field[0]), {field[1], field[2], field[3]}, field[4], field[5], field[6], field[7], field[8], field[9], field[10] != 0, field[11], static_cast<float>(numbers[0]), numbers[1]};
  const int buffers = static_cast<int>(spec.bufferWidths.size()), weights = static_cast<int>(spec.weights.size());
  for (int buffer : {op.inputs[0], op.inputs[1], op.inputs[2], op.out}) if (buffer < -1 || buffer >= buffers) throw Fault("PROGRAM_INVALID", "an op's buffer");
  for (int weight : {op.weight, op.bias}) if (weight < -1 || weight >= weights) throw Fault("PROGRAM_INVALID", "an op's weight");
  if (op.kind < EMBED || op.kind > ADD || op.out < 0) throw Fault("PROGRAM_INVALID", "an op");
  return op;
}

/** createModel(pool, kernelsName, spec): see src/plan.ts for spec. */
napi_value createModel(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments arguments(env, info);
    const auto pool = heldAs<Pool>(env, arguments.values[0], Held::POOL);
    const Kernels* kernels = kernelsNamed(arguments.text(1).c_str());
    if (!kernels) throw failed("no kernels called " + arguments.text(1));
    const napi_value object = arguments.values[2];
    ModelSpec spec;
    const Span<int32_t> widths = arrayOf<int32_t>(env, property(env, object, "bufferWidths"));
    spec.bufferWidths.assign(widths.data, widths.data + widths.length);
    spec.vocabSize = integer(env, object, "vocabSize");
    spec.maxSeqLen = integer(env, object, "maxSeqLen");
    spec.layers = integer(env, object, "layers");
    spec.kvWidth = integer(env, object, "kvWidth");
    spec.logits = integer(env, object, "logits");
    double repackBudgetBytes = 0;
    check(env, napi_get_value_double(env, property(env, object, "repackBudgetBytes"), &repackBudgetBytes));
    spec.repackBudgetBytes = static_cast<size_t>(repackBudgetBytes);

    std::vector<Span<const uint8_t>> sources;
    const napi_value list = property(env, object, "sources");
    uint32_t count = 0;
    check(env, napi_get_array_length(env, list, &count));
    for (uint32_t i = 0; i < count; i++) {
      napi_value element;
      check(env, napi_get_element(env, list, i, &element));
      if (heldBy(env, element)->kind == Held::MAPPING) {
        const auto mapping = heldAs<Mapping>(env, element, Held::MAPPING);
        spec.mappings.push_back(mapping);
        sources.push_back({mapping->bytes(), static_cast<size_t>(mapping->byteLength())});
      } else {
        const auto memory = heldAs<Memory>(env, element, Held::MEMORY);
        spec.memories.push_back(memory);
        sources.push_back({memory->bytes(), memory->byteLength()});
      }
    }
    const Span<double> weights = arrayOf<double>(env, property(env, object, "weights"));
    for (size_t i = 0; i + WEIGHT_FIELDS <= weights.length; i += WEIGHT_FIELDS) spec.weights.push_back(weightFrom(weights.data + i, sources));
    const Span<int32_t> ops = arrayOf<int32_t>(env, property(env, object, "ops"));
    const Span<double> numbers = arrayOf<double>(env, property(env, object, "opNumbers"));
    if (numbers.length != ops.length / OP_FIELDS * 2 || ops.length == 0) throw Fault("PROGRAM_INVALID", "numbers of ops");
    for (size_t i = 0; i < ops.length / OP_FIELDS; i++) spec.ops.push_back(opFrom(ops.data + i * OP_FIELDS, numbers.data + 2 * i, spec));
    return hold(env, Held::MODEL, std::make_shared<Model>(pool, *kernels, std::move(spec)));
  });
}

struct Run {
  std::shared_ptr<Model> model;
  Span<float> logits;
};

/** (model, tokens, position, all, logits): prepares a run. */
Run begin(const Arguments& arguments) {
  const napi_env env = arguments.env;
  Run run{modelIn(env, arguments.values[0]), arrayOf<float>(env, arguments.values[4])};
  const Span<int32_t> tokens = arrayOf<int32_t>(env, arguments.values[1]);
  const bool all = arguments.boolean(3);
  if (run.logits.length != (all ? tokens.length : 1) * static_cast<size_t>(run.model->vocabSize())) throw failed("room for logits of another size");
  run.model->begin(tokens.data, static_cast<int>(tokens.length), static_cast<int>(arguments.number(2)), all, run.logits.data);
  return run;
}

/** Microseconds that the run took, −1 when it was aborted. */
double timed(Model& model) {
  const auto started = std::chrono::steady_clock::now();
  if (!model.run()) return -1;
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - started).count();
}

/** runNow(model, tokens, position, all, logits): on this thread and the pool's. −2 when the pool is at work for another model. */
napi_value runNow(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments arguments(env, info);
    std::unique_lock<std::mutex> lock(modelIn(env, arguments.values[0])->pool().mutex(), std::try_to_lock);
    if (!lock.owns_lock()) return numberValue(env, -2);
    return numberValue(env, timed(*begin(arguments).model));
  });
}

/** A run off the event loop. */
struct Task {
  std::shared_ptr<Model> model;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  /** Keeps the logits' array alive. */
  napi_ref logits = nullptr;
  double micros = 0;
  std::string failure;
};

/** runLater(model, tokens, position, all, logits): a promise of what runNow returns; a thread of libuv's takes this thread's part. */
napi_value runLater(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments arguments(env, info);
    auto task = std::make_unique<Task>();
    task->model = begin(arguments).model;
    check(env, napi_create_reference(env, arguments.values[4], 1, &task->logits));
    napi_value promise, name;
    check(env, napi_create_promise(env, &task->deferred, &promise));
    check(env, napi_create_string_utf8(env, "weightspec run", NAPI_AUTO_LENGTH, &name));
    const auto execute = [](napi_env, void* data) {
      Task& t = *static_cast<Task*>(data);
      try {
        const std::lock_guard<std::mutex> lock(t.model->pool().mutex());
        t.micros = timed(*t.model);
      } catch (const std::exception& error) {
        t.failure = error.what();
      }
    };
    const auto complete = [](napi_env e, napi_status, void* data) {
      const std::unique_ptr<Task> t(static_cast<Task*>(data));
      napi_value result;
      napi_delete_reference(e, t->logits);
      napi_delete_async_work(e, t->work);
      if (t->failure.empty()) {
        napi_create_double(e, t->micros, &result);
        napi_resolve_deferred(e, t->deferred, result);
      } else {
        napi_value code, message;
        napi_create_string_utf8(e, "BACKEND_FAILED", NAPI_AUTO_LENGTH, &code);
        napi_create_string_utf8(e, t->failure.c_str(), t->failure.size(), &message);
        napi_create_error(e, code, message, &result);
        napi_reject_deferred(e, t->deferred, result);
      }
    };
    check(env, napi_create_async_work(env, nullptr, name, execute, complete, task.get(), &task->work));
    check(env, napi_queue_async_work(env, task->work));
    task.release();
    return promise;
  });
}

/** beginOps(model, tokens, position, all, logits): for runOp. */
napi_value beginOps(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    begin(Arguments(env, info));
    return nullptr;
  });
}

/** runOp(model, index, firstRow, rows): runs one op and copies rows of its output, `rows` an array of whole rows. */
napi_value runOp(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info);
    const auto model = modelIn(env, arguments.values[0]);
    const int index = static_cast<int>(arguments.number(1)), firstRow = static_cast<int>(arguments.number(2));
    const Span<float> rows = arrayOf<float>(env, arguments.values[3]);
    const std::lock_guard<std::mutex> lock(model->pool().mutex());
    model->runOp(index);
    const size_t width = static_cast<size_t>(model->outputWidth(index));
    for (size_t i = 0; i < rows.length / width; i++) std::memcpy(rows.data + i * width, model->outputRow(index, firstRow + static_cast<int>(i)), width * sizeof(float));
    return nullptr;
  });
}

/** abort(model): the run at hand ends after its phase. */
napi_value abortRun(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info);
    modelIn(env, arguments.values[0])->abort();
    return nullptr;
  });
}

/** The lowest index of the largest; NaN and −∞ are none, and where nothing else is, −1. Branches would cost more than to look twice. */
double indexOfLargest(const float* x, size_t count) {
  constexpr size_t LANES = 16;
  constexpr float NONE = -std::numeric_limits<float>::infinity();
  float lanes[LANES];
  std::fill(lanes, lanes + LANES, NONE);
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) for (size_t k = 0; k < LANES; k++) lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
  float largest = NONE;
  for (; i < count; i++) largest = x[i] > largest ? x[i] : largest;
  for (const float lane : lanes) largest = lane > largest ? lane : largest;
  return largest == NONE ? -1 : static_cast<double>(std::find(x, x + count, largest) - x);
}

/** likeliest(logits): see indexOfLargest. */
napi_value likeliest(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Span<float> logits = arrayOf<float>(env, Arguments(env, info).values[0]);
    return numberValue(env, indexOfLargest(logits.data, logits.length));
  });
}

/** release(held): forgets a pool, mapping, memory or model now rather than when it is collected. */
napi_value release(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info);
    heldBy(env, arguments.values[0])->object.reset();
    return nullptr;
  });
}

napi_value init(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
    {"kernels", listKernels}, {"createPool", createPool}, {"mapFile", mapFile}, {"createMemory", createMemory}, {"writeMemory", writeMemory},
    {"createModel", createModel}, {"runNow", runNow}, {"runLater", runLater}, {"beginOps", beginOps}, {"runOp", runOp}, {"abort", abortRun}, {"likeliest", likeliest}, {"release", release},
  };
  for (const auto& entry : functions) {
    napi_value function;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, nullptr, &function) != napi_ok) return nullptr;
    napi_set_named_property(env, exports, entry.name, function);
  }
  defineQuantizers(env, exports);
  return exports;
}

}  // namespace
}  // namespace weightspec

NAPI_MODULE_INIT() { return weightspec::init(env, exports); }
