meta:
  id: torch_pickle
  title: A pickle, opcode by opcode
  application: Python, PyTorch
  license: Apache-2.0
  ks-version: 0.11
  endian: le
doc: |
  What a pickle is made of: opcodes, each with its argument, up to STOP. All opcodes that CPython knows are here, so that a refused one
  is seen for what it is; a state dict needs the 35 of README.md K-2.1. What they do to stack and memo, and which globals, calls and
  persistent ids may stand in them, is no record layout: README.md K. `data.pkl` is one pickle, a legacy stream begins with five.
doc-ref:
  - README.md K-2.1
  - https://github.com/python/cpython/blob/v3.11.9/Lib/pickletools.py
seq:
  - id: opcodes
    type: opcode
    repeat: until
    repeat-until: _.code == code::stop
    doc-ref: README.md K-1.4
types:
  opcode:
    seq:
      - id: code
        type: u1
        enum: code
      - id: argument
        type:
          switch-on: code
          cases:
            code::binbytes: bytes_u4
            code::short_binbytes: bytes_u1
            code::float: line
            code::binfloat: number_f8be
            code::int: line
            code::binint: number_s4
            code::binint1: number_u1
            code::long: line
            code::binint2: number_u2
            code::persid: line
            code::string: line
            code::binstring: bytes_s4
            code::short_binstring: bytes_u1
            code::unicode: line
            code::binunicode: bytes_u4
            code::global: two_lines
            code::get: line
            code::binget: number_u1
            code::inst: two_lines
            code::long_binget: number_u4
            code::put: line
            code::binput: number_u1
            code::long_binput: number_u4
            code::proto: number_u1
            code::ext1: number_u1
            code::ext2: number_u2
            code::ext4: number_s4
            code::long1: bytes_u1
            code::long4: bytes_s4
            code::short_binunicode: bytes_u1
            code::binunicode8: bytes_u8
            code::binbytes8: bytes_u8
            code::frame: number_u8
            code::bytearray8: bytes_u8
  number_u1:
    seq:
      - id: value
        type: u1
  number_u2:
    seq:
      - id: value
        type: u2
  number_u4:
    seq:
      - id: value
        type: u4
  number_u8:
    seq:
      - id: value
        type: u8
  number_s4:
    seq:
      - id: value
        type: s4
  number_f8be:
    seq:
      - id: value
        type: f8be
  bytes_u1:
    seq:
      - id: len_value
        type: u1
      - id: value
        size: len_value
  bytes_u4:
    seq:
      - id: len_value
        type: u4
      - id: value
        size: len_value
  bytes_u8:
    seq:
      - id: len_value
        type: u8
      - id: value
        size: len_value
  bytes_s4:
    seq:
      - id: len_value
        type: s4
      - id: value
        size: len_value
  line:
    doc: Text up to a line feed. The reader of this specification stops after 256 bytes (K-3.1); no opcode that it accepts has a longer one.
    seq:
      - id: text
        terminator: 0x0a
  two_lines:
    doc: Module and name.
    seq:
      - id: module
        terminator: 0x0a
      - id: name
        terminator: 0x0a
enums:
  code:
    0x28: mark
    0x29: empty_tuple
    0x2e: stop
    0x30: pop
    0x31: pop_mark
    0x32: dup
    0x42: binbytes
    0x43: short_binbytes
    0x46: float
    0x47: binfloat
    0x49: int
    0x4a: binint
    0x4b: binint1
    0x4c: long
    0x4d: binint2
    0x4e: none
    0x50: persid
    0x51: binpersid
    0x52: reduce
    0x53: string
    0x54: binstring
    0x55: short_binstring
    0x56: unicode
    0x58: binunicode
    0x5d: empty_list
    0x61: append
    0x62: build
    0x63: global
    0x64: dict
    0x65: appends
    0x67: get
    0x68: binget
    0x69: inst
    0x6a: long_binget
    0x6c: list
    0x6f: obj
    0x70: put
    0x71: binput
    0x72: long_binput
    0x73: setitem
    0x74: tuple
    0x75: setitems
    0x7d: empty_dict
    0x80: proto
    0x81: newobj
    0x82: ext1
    0x83: ext2
    0x84: ext4
    0x85: tuple1
    0x86: tuple2
    0x87: tuple3
    0x88: newtrue
    0x89: newfalse
    0x8a: long1
    0x8b: long4
    0x8c: short_binunicode
    0x8d: binunicode8
    0x8e: binbytes8
    0x8f: empty_set
    0x90: additems
    0x91: frozenset
    0x92: newobj_ex
    0x93: stack_global
    0x94: memoize
    0x95: frame
    0x96: bytearray8
    0x97: next_buffer
    0x98: readonly_buffer
