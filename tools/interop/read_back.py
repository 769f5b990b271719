"""Reads weight files with other people's libraries and prints what they see, as JSON.

usage: read_back.py FILE...      a .safetensors or .pt/.pth/.bin file each
       read_back.py --write DIR  writes canonical.safetensors with the safetensors library

.safetensors: the `safetensors` package (no torch, no numpy needed). PyTorch archives: `torch` where it is installed,
else Python's own zipfile and pickle, with every global but torch's tensor constructors refused.
"""
import hashlib
import json
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict

SIZES = {'FloatStorage': ('F32', 4), 'HalfStorage': ('F16', 2), 'BFloat16Storage': ('BF16', 2), 'CharStorage': ('I8', 1), 'LongStorage': ('I64', 8), 'IntStorage': ('I32', 4)}


def row(dtype, shape, data):
    return {'dtype': dtype, 'shape': list(shape), 'sha256': hashlib.sha256(bytes(data)).hexdigest()}


def read_safetensors(path):
    import safetensors
    with open(path, 'rb') as file:
        tensors = safetensors.deserialize(file.read())
    return 'safetensors ' + safetensors.__version__, {name: row(info['dtype'], info['shape'], info['data']) for name, info in tensors}


def read_with_torch(path):
    import torch
    names = {torch.float32: 'F32', torch.float16: 'F16', torch.bfloat16: 'BF16', torch.int8: 'I8', torch.int64: 'I64', torch.int32: 'I32'}
    state = torch.load(path, map_location='cpu', weights_only=True)
    result = {}
    for name, tensor in state.items():
        contiguous = tensor.contiguous().reshape(-1)
        data = contiguous.view(torch.uint8) if contiguous.numel() else contiguous
        result[name] = row(names[tensor.dtype], tensor.shape, bytes(data.tolist()))
    return 'torch ' + torch.__version__, result


class Unpickler(pickle.Unpickler):
    def __init__(self, file, bytes_of):
        super().__init__(file)
        self.bytes_of = bytes_of

    def find_class(self, module, name):
        if (module, name) == ('collections', 'OrderedDict'):
            return OrderedDict
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return rebuild
        if module == 'torch' and name in SIZES:
            return name
        raise pickle.UnpicklingError('refused: %s.%s' % (module, name))

    def persistent_load(self, pid):
        kind, storage, key, _device, count, *_view = pid
        assert kind == 'storage'
        return storage, self.bytes_of(key, count * SIZES[storage][1])


def rebuild(stored, offset, shape, stride, _requires_grad, _hooks, *_metadata):
    (storage, data), (dtype, size) = stored, SIZES[stored[0]]
    out = bytearray()

    def walk(axis, position):
        if axis == len(shape):
            out.extend(data[position * size:(position + 1) * size])
        else:
            for i in range(shape[axis]):
                walk(axis + 1, position + i * stride[axis])

    walk(0, offset)
    return row(dtype, shape, out)


def read_with_pickle(path):
    with zipfile.ZipFile(path) as archive:
        pickled = next(name for name in archive.namelist() if name.endswith('/data.pkl'))
        with archive.open(pickled) as file:
            prefix = pickled[:-len('/data.pkl')]
            state = Unpickler(file, lambda key, _: archive.read('%s/data/%s' % (prefix, key))).load()  # zipfile checks the CRC
    return 'python %d.%d zipfile and pickle' % sys.version_info[:2], dict(state)


def read_legacy(path):
    """Five pickles, then a count and the bytes of each storage in the order of the fifth: the object is loaded again when these are known."""
    lengths = {}

    def note(key, length):
        lengths[key] = length
        return bytes(length)

    with open(path, 'rb') as file:
        assert Unpickler(file, None).load() == 0x1950A86A20F9469CFC6C and Unpickler(file, None).load() == 1001
        Unpickler(file, None).load()
        start = file.tell()
        Unpickler(file, note).load()
        stored = {}
        for key in Unpickler(file, None).load():
            file.read(8)
            stored[key] = file.read(lengths[key])
        assert file.read() == b''
        file.seek(start)
        return 'python %d.%d pickle' % sys.version_info[:2], dict(Unpickler(file, lambda key, _: stored[key]).load())


def read(path):
    if path.endswith('.safetensors'):
        return read_safetensors(path)
    try:
        import torch  # noqa: F401
    except ImportError:
        return read_with_pickle(path) if zipfile.is_zipfile(path) else read_legacy(path)
    return read_with_torch(path)


def write(folder):
    import safetensors
    floats = struct.pack('<6f', 1, -2, 3.5, 0, 1e-30, -0.0)
    tensors = {
        'layers.0.weight': {'dtype': 'float32', 'shape': [2, 3], 'data': floats},
        'b': {'dtype': 'float16', 'shape': [4], 'data': bytes(range(8))},
        'a': {'dtype': 'bfloat16', 'shape': [1, 3], 'data': bytes(range(6))},
        'ids': {'dtype': 'int64', 'shape': [], 'data': struct.pack('<q', -7)},
        'empty': {'dtype': 'int8', 'shape': [0, 5], 'data': b''},
    }
    safetensors.serialize_file(tensors, folder + '/canonical.safetensors', {'format': 'pt'})


if __name__ == '__main__':
    if sys.argv[1] == '--write':
        write(sys.argv[2])
    else:
        for path in sys.argv[1:]:
            library, tensors = read(path)
            print(json.dumps({'library': library, 'tensors': tensors}))
