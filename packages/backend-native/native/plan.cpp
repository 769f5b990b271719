/** Which ops are done together. Every fusion leaves the buffers that later ops read as they would be without it. */
#include <algorithm>
#include "model.h"

namespace weightspec {

namespace {
bool reads(const Op& op, int buffer) { return std::find(op.inputs, op.inputs + 3, buffer) != op.inputs + 3; }
}  // namespace

/** Whether an op after `afterOp` reads the buffer before another one has written it anew. */
bool Model::readLater(int buffer, int afterOp) const {
  for (size_t i = static_cast<size_t>(afterOp) + 1; i < spec_.ops.size(); i++) {
    if (reads(spec_.ops[i], buffer)) return true;
    if (spec_.ops[i].out == buffer) return false;
  }
  return buffer == spec_.logits;
}

std::vector<Phase> Model::plan(bool fuse) const {
  const int count = static_cast<int>(spec_.ops.size());
  const auto isKind = [&](int index, OpKind kind) { return index < count && opAt(index).kind == kind; };
  std::vector<Phase> phases;
  for (int at = 0; at < count;) {
    Phase phase(opAt(at).kind, at, at + 1);
    if (isKind(at, MATMUL)) phase.parts = {at};
    if (fuse) {
      // [norm] matrix matrix … : those that multiply the same input, and whose weights want it prepared in the same way.
      const int first = isKind(at, RMSNORM) && isKind(at + 1, MATMUL) && opAt(at + 1).inputs[0] == opAt(at).out ? at + 1 : at;
      if (isKind(first, MATMUL)) {
        const int input = opAt(first).inputs[0];
        std::vector<int> parts;
        int end = first;
        while (isKind(end, MATMUL) && opAt(end).inputs[0] == input && opAt(end).out != input && matrixOf(end).storage == matrixOf(first).storage &&
               matrixOf(end).int8Activations == matrixOf(first).int8Activations && matrixOf(end).packedOrder == matrixOf(first).packedOrder) {
          parts.push_back(end++);
        }
        const bool withNorm = first > at;
        // Matrices write while others still read the norm's input: it must not be one of their outputs.
        const bool apart = !withNorm || std::none_of(parts.begin(), parts.end(), [&](int part) { return opAt(part).out == opAt(at).inputs[0]; });
        if (!withNorm || (apart && !readLater(input, end - 1))) {
          phase = Phase(MATMUL, at, end);
          phase.norm = withNorm ? at : -1;
          phase.parts = parts;
          // matrix + addition
          if (parts.size() == 1 && isKind(end, ADD)) {
            const Op& add = opAt(end);
            const int product = opAt(first).out;
            const int other = add.inputs[0] == product ? add.inputs[1] : add.inputs[0];
            const bool one = (add.inputs[0] == product) != (add.inputs[1] == product);
            if (one && add.out != input && (!withNorm || add.out != opAt(at).inputs[0]) && (add.out == product || !readLater(product, end)) && other != product) phase.after = end;
          }
          // gate, up + swiglu
          if (parts.size() == 2 && isKind(end, SWIGLU)) {
            const Op& swiglu = opAt(end);
            const int a = opAt(first).out, b = opAt(first + 1).out;
            const bool pair = a != b && ((swiglu.inputs[0] == a && swiglu.inputs[1] == b) || (swiglu.inputs[0] == b && swiglu.inputs[1] == a));
            const auto gone = [&](int buffer) { return buffer == swiglu.out || !readLater(buffer, end); };
            if (pair && swiglu.out != input && (!withNorm || swiglu.out != opAt(at).inputs[0]) && gone(a) && gone(b)) phase.after = end;
          }
          if (phase.after >= 0) phase.endOp = end + 1;
        }
      }
      // rope rope attention
      int next = at, ropeQ = -1, ropeK = -1;
      for (; isKind(next, ROPE) && next < at + 2; next++) (ropeQ < 0 && (next == at) ? ropeQ : ropeK) = next;
      if (ropeQ >= 0 && ropeK >= 0 && isKind(next, ATTENTION)) {
        const Op& attention = opAt(next);
        if (opAt(ropeQ).inputs[0] == attention.inputs[1]) std::swap(ropeQ, ropeK);
        const Op &q = opAt(ropeQ), &k = opAt(ropeK);
        if (q.inputs[0] == attention.inputs[0] && k.inputs[0] == attention.inputs[1] && q.inputs[0] != k.inputs[0] && q.heads == attention.heads &&
            k.heads == attention.kvHeads && q.headDim == attention.headDim && k.headDim == attention.headDim) {
          phase = Phase(ATTENTION, at, next + 1);
          phase.ropeQ = ropeQ;
          phase.ropeK = ropeK;
        }
      }
    }
    at = phase.endOp;
    const bool paired = phase.after >= 0 && opAt(phase.after).kind == SWIGLU;
    for (size_t i = paired ? 1 : 0; i < phase.parts.size(); i++) phase.rows += matrixOf(phase.parts[i]).rows;
    phases.push_back(std::move(phase));
  }
  return phases;
}

}  // namespace weightspec
