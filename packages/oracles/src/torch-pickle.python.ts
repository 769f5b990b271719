/**
 * Pickles of PyTorch checkpoints by CPython's own machine: pickletools checks opcodes, stack and memo, pickle._Unpickler (the one in
 * Python) runs them with torch's names only, Python's integers do the arithmetic of the clauses T. One process reads many pickles.
 * Reads the object's pickle only, not the container: whether a storage has its record is not its business. Limits (K-4.1) neither.
 */
import { spawnSync } from 'node:child_process';

/** One tensor: [name, dtype, shape, strides, storage key, offset in elements]. */
export type PythonTensor = readonly [name: string, dtype: string, shape: readonly number[], strides: readonly number[], storageKey: string, storageOffset: number];

export type PythonReading = { readonly accepted: true; readonly tensors: readonly PythonTensor[] } | { readonly accepted: false; readonly reason: string };

const SCRIPT = String.raw`
import collections, io, json, pickle, pickletools, re, sys

ALLOWED = bytes.fromhex('80952e4e88894b4d4a8a47588c28295d7d7485868761657375717294686a6393526251')
WIDTHS = {'F64': 8, 'F32': 4, 'F16': 2, 'BF16': 2, 'U8': 1, 'I8': 1, 'I16': 2, 'I32': 4, 'I64': 8, 'BOOL': 1, 'C64': 8, 'C128': 16, 'U16': 2, 'U32': 4, 'U64': 8,
          'F8_E4M3': 1, 'F8_E5M2': 1, 'F8_E4M3FNUZ': 1, 'F8_E5M2FNUZ': 1, 'F8_E8M0': 1}
CLASSES = dict(DoubleStorage='F64', FloatStorage='F32', HalfStorage='F16', BFloat16Storage='BF16', ByteStorage='U8', CharStorage='I8', ShortStorage='I16', IntStorage='I32',
               LongStorage='I64', BoolStorage='BOOL', ComplexFloatStorage='C64', ComplexDoubleStorage='C128')
DTYPES = dict(float64='F64', float32='F32', float16='F16', bfloat16='BF16', uint8='U8', int8='I8', int16='I16', int32='I32', int64='I64', bool='BOOL', complex64='C64', complex128='C128',
              uint16='U16', uint32='U32', uint64='U64', float8_e4m3fn='F8_E4M3', float8_e5m2='F8_E5M2', float8_e4m3fnuz='F8_E4M3FNUZ', float8_e5m2fnuz='F8_E5M2FNUZ', float8_e8m0fnu='F8_E8M0')
SAFE = 2 ** 53 - 1

class Refused(Exception):
    pass

def demand(holds, clause):
    if not holds:
        raise Refused(clause)

def is_int(value):
    return type(value) is int

def is_count(value):
    return is_int(value) and value >= 0

class Dict(dict):
    ordered, frozen, attributes = False, False, None
    def __setitem__(self, key, value):
        demand(type(key) in (str, int, bool), 'K-2.1: key')
        demand(key not in self, 'K-2.7')
        demand(not self.frozen, 'T-2.2: later')
        super().__setitem__(key, value)

class Ordered(Dict):
    ordered = True

Global = collections.namedtuple('Global', 'role value')
Storage = collections.namedtuple('Storage', 'dtype key count start length')
Tensor = collections.namedtuple('Tensor', 'storage dtype offset shape strides')
Parameter = collections.namedtuple('Parameter', 'data')

def rebuild(args, v3):
    fixed = 7 if v3 else 6
    demand(len(args) in (fixed, fixed + 1), 'T-2.1: arguments')
    storage, offset, size, stride, requires_grad, hooks = args[:6]
    demand(type(storage) is Storage and is_count(offset) and type(size) is tuple and type(stride) is tuple and len(size) == len(stride) and type(requires_grad) is bool, 'T-2.1')
    demand(all(map(is_count, size + stride)), 'T-2.1: dimensions')
    freeze(hooks)
    if len(args) > fixed and args[fixed] is not None:
        demand(isinstance(args[fixed], Dict) and not args[fixed], 'T-2.3')
        args[fixed].frozen = True
    if v3:
        demand(type(args[6]) is Global and args[6].role == 'dtype' and storage.dtype is None, 'T-2.1: dtype')
        dtype = args[6].value
    else:
        demand(storage.dtype is not None, 'T-2.1: untyped')
        dtype = storage.dtype
    demand(offset <= SAFE, 'T-2.5')
    if 0 not in size:
        demand(all(step <= SAFE for step in stride), 'T-2.5')
        width, count, last = WIDTHS[dtype], 1, offset
        for n, step in zip(size, stride):
            count, last = count * n, last + (n - 1) * step
        demand(count * width <= SAFE and (last + 1) * width <= SAFE, 'T-2.5')
        demand((last + 1) * width <= storage.length * WIDTHS.get(storage.dtype, 1), 'T-2.4')
    return Tensor(storage, dtype, offset + storage.start, size, stride)

def freeze(hooks):
    demand(type(hooks) is Ordered and not hooks and hooks.attributes is None, 'T-2.2')
    hooks.frozen = True

class Unpickler(pickle._Unpickler):
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, data, legacy):
        super().__init__(io.BytesIO(data))
        self.legacy, self.known = legacy, {}

    def find_class(self, module, name):
        demand(type(module) is str and type(name) is str, 'K-3.1')
        if module == 'torch' and name in CLASSES: return Global('storage', CLASSES[name])
        if module == 'torch' and name in DTYPES: return Global('dtype', DTYPES[name])
        if (module, name) == ('torch.storage', 'UntypedStorage'): return Global('storage', None)
        if (module, name) in (('collections', 'OrderedDict'), ('torch._utils', '_rebuild_tensor_v2'), ('torch._utils', '_rebuild_tensor_v3'), ('torch._utils', '_rebuild_parameter')):
            return Global('call', name)
        raise Refused('K-3.1')

    def persistent_load(self, pid):
        demand(type(pid) is tuple and len(pid) == (6 if self.legacy else 5), 'T-1.1')
        word, kind, key, location, count = pid[:5]
        demand(word == 'storage' and type(word) is str and type(kind) is Global and kind.role == 'storage' and type(key) is str and type(location) is str and is_count(count), 'T-1.1')
        demand(re.fullmatch('[0-9]{1,20}', key), 'T-1.1: key')
        demand(count <= SAFE and count * WIDTHS.get(kind.value, 1) <= SAFE, 'T-2.5')
        demand(self.known.setdefault(key, (kind.value, count)) == (kind.value, count), 'T-1.5')
        part = pid[5] if self.legacy else None
        if part is None:
            return Storage(kind.value, key, count, 0, count)
        demand(type(part) is tuple and len(part) == 3 and type(part[0]) is str and is_count(part[1]) and is_count(part[2]) and part[1] + part[2] <= count, 'L-1.3')
        return Storage(kind.value, key, count, part[1], part[2])

    def load_empty_dictionary(self):
        self.append(Dict())
    dispatch[pickle.EMPTY_DICT[0]] = load_empty_dictionary

    def load_reduce(self):
        args, call = self.stack.pop(), self.stack.pop()
        demand(type(args) is tuple and type(call) is Global and call.role == 'call', 'K-3.2')
        if call.value == 'OrderedDict':
            demand(args == (), 'K-3.2')
            made = Ordered()
        elif call.value == '_rebuild_parameter':
            demand(len(args) == 3 and type(args[0]) is Tensor and type(args[1]) is bool, 'T-2.1: parameter')
            freeze(args[2])
            made = Parameter(args[0])
        else:
            made = rebuild(args, call.value == '_rebuild_tensor_v3')
        self.append(made)
    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_build(self):
        state = self.stack.pop()
        inst = self.stack[-1]
        demand(type(inst) is Ordered and inst.attributes is None and not inst.frozen, 'K-3.3')
        demand(type(state) is Dict and all(key == '_metadata' and isinstance(value, Dict) for key, value in state.items()), 'K-3.3')
        inst.attributes = state
    dispatch[pickle.BUILD[0]] = load_build

    def load_setitem(self):
        demand(isinstance(self.stack[-3], Dict), 'K-2.2')
        super().load_setitem()
    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self):
        demand(isinstance(self.metastack[-1][-1], Dict) and len(self.stack) % 2 == 0, 'K-2.2')
        demand(not (self.metastack[-1][-1].frozen and self.stack), 'T-2.2')
        super().load_setitems()
    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_append(self):
        demand(type(self.stack[-2]) is list, 'K-2.2')
        super().load_append()
    dispatch[pickle.APPEND[0]] = load_append

    def load_appends(self):
        demand(type(self.metastack[-1][-1]) is list, 'K-2.2')
        super().load_appends()
    dispatch[pickle.APPENDS[0]] = load_appends

def check_opcodes(data):
    ops = list(pickletools.genops(data))
    bounds = [position for _, _, position in ops] + [len(data)]
    demand(ops[0][0].name == 'PROTO' and ops[0][1] in (2, 3, 4), 'K-1.1')
    frame_end = 0
    for i, (op, arg, position) in enumerate(ops):
        demand(ord(op.code) in ALLOWED, 'K-2.1')
        demand(op.proto <= ops[0][1], 'K-2.1: newer')
        demand(i == 0 or op.name != 'PROTO', 'K-1.1: twice')
        if op.name == 'FRAME':
            demand(position >= frame_end and arg > 0 and position + 9 + arg in bounds, 'K-2.4')
            frame_end = position + 9 + arg
        if op.name == 'LONG1':
            demand(bounds[i + 1] - position - 2 <= 32, 'K-2.6')
        if type(arg) is str and 'UNICODE' in op.name:
            demand(not any(0xd800 <= ord(letter) <= 0xdfff for letter in arg), 'K-2.5')
    demand(ops[-1][2] == len(data) - 1, 'K-1.4')
    pickletools.dis(data, out=io.StringIO())

def entries(value):
    if isinstance(value, Dict): return [(str(int(key)) if type(key) is bool else str(key), child) for key, child in value.items()]
    return [(str(i), child) for i, child in enumerate(value)] if type(value) in (list, tuple) else []

def check_tree(value, path, done):
    demand(id(value) not in path, 'K-2.8')
    if id(value) in done: return
    children = [child for _, child in entries(value)]
    if isinstance(value, Dict) and value.attributes is not None: children.append(value.attributes)
    for child in children:
        if isinstance(child, (Dict, list)) or type(child) is tuple: check_tree(child, path | {id(value)}, done)
    done.add(id(value))

def named(root):
    check_tree(root, frozenset(), set())
    start = root
    if isinstance(root, Dict):
        for key in ('model', 'state_dict', 'model_state_dict', 'module', 'model_state', 'params', 'weights', 'net', 'network'):
            inner = root.get(key)
            if isinstance(inner, Dict) and any(type(child) in (Tensor, Parameter) for child in inner.values()):
                start = inner
                break
    found = []
    def visit(value, path):
        if type(value) is Parameter: value = value.data
        if type(value) is Tensor: found.append(['.'.join(path), value.dtype, value.shape, value.strides, value.storage.key, value.offset])
        else:
            for key, child in entries(value): visit(child, path + [key])
    visit(start, [])
    demand(len(set(row[0] for row in found)) == len(found), 'P-3.1')
    return found

readings = []
for text, legacy in json.load(sys.stdin):
    data = bytes.fromhex(text)
    try:
        check_opcodes(data)
        readings.append({'accepted': True, 'tensors': named(Unpickler(data, legacy).load())})
    except Exception as error:  # whatever CPython raises at bad bytes
        readings.append({'accepted': False, 'reason': '%s: %s' % (type(error).__name__, error)})
json.dump(readings, sys.stdout)
`;

/** Reads each pickle; undefined when there is no python3. Throws when Python fails. */
export function readPicklesWithPython(pickles: readonly { readonly bytes: Uint8Array; readonly legacy: boolean }[]): PythonReading[] | undefined {
  const input = JSON.stringify(pickles.map(({ bytes, legacy }) => [Buffer.from(bytes).toString('hex'), legacy]));
  const { status, stdout, stderr, error } = spawnSync('python3', ['-c', SCRIPT], { input, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 60_000, windowsHide: true });
  if (error && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  if (error || status !== 0) throw new Error(`python3: ${error?.message ?? `exit ${status}`}\n${stderr.slice(-4000)}`);
  return JSON.parse(stdout) as PythonReading[];
}
