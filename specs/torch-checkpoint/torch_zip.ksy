meta:
  id: torch_zip
  title: PyTorch checkpoint, the zip archive of torch 1.6 and later
  file-extension:
    - pth
    - pt
    - bin
  application: PyTorch
  license: Apache-2.0
  ks-version: 0.11
  endian: le
doc: |
  The container of a checkpoint whose records are stored: local records in file order, the central directory, the end records.
  A record's length stands only in the directory where the local header leaves it zero, so that the archive is read from its end.
  What only a comparison of records can say is not here: README.md Z-1.4, Z-2.2 to Z-2.4, Z-3. The pickle machine is README.md K.
doc-ref:
  - README.md Z
  - https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
instances:
  end:
    pos: _io.size - 22
    type: end_of_central_directory
    doc-ref: README.md Z-1.1
  has_zip64:
    value: zip64_locator_signature == 0x07064b50
  zip64_locator_signature:
    pos: _io.size - 42
    type: u4
    if: _io.size >= 42
  zip64_locator:
    pos: _io.size - 42
    type: zip64_locator
    if: has_zip64
  zip64_end:
    pos: _io.size - 98
    type: zip64_end
    if: has_zip64
  num_entries:
    value: 'has_zip64 ? zip64_end.num_entries : end.num_entries'
  ofs_directory:
    value: 'has_zip64 ? zip64_end.ofs_directory : end.ofs_directory'
  entries:
    pos: ofs_directory
    type: central_entry
    repeat: expr
    repeat-expr: num_entries
    doc-ref: README.md Z-1.4
types:
  end_of_central_directory:
    seq:
      - id: signature
        type: u4
        valid: 0x06054b50
      - id: disk
        type: u2
        valid: 0
      - id: directory_disk
        type: u2
        valid: 0
      - id: num_entries_on_disk
        type: u2
      - id: num_entries
        type: u2
      - id: len_directory
        type: u4
      - id: ofs_directory
        type: u4
      - id: len_comment
        type: u2
        valid: 0
        doc-ref: README.md Z-1.2
  zip64_locator:
    seq:
      - id: signature
        type: u4
        valid: 0x07064b50
      - id: disk
        type: u4
        valid: 0
      - id: ofs_zip64_end
        type: u8
      - id: num_disks
        type: u4
        valid:
          max: 1
  zip64_end:
    seq:
      - id: signature
        type: u4
        valid: 0x06064b50
      - id: len_rest
        type: u8
        valid: 44
      - id: made_by
        type: u2
        doc: torch writes 0x031e.
      - id: needed
        type: u2
        doc: torch writes 0x2d.
      - id: disk
        type: u4
        valid: 0
      - id: directory_disk
        type: u4
        valid: 0
      - id: num_entries_on_disk
        type: u8
      - id: num_entries
        type: u8
        valid:
          max: 65536
        doc-ref: README.md K-4.1
      - id: len_directory
        type: u8
      - id: ofs_directory
        type: u8
  central_entry:
    seq:
      - id: signature
        type: u4
        valid: 0x02014b50
      - id: made_by
        type: u2
        doc: torch writes 0.
        doc-ref: README.md P-2.8
      - id: needed
        type: u2
      - id: flags
        type: u2
        doc-ref: README.md Z-2.4
      - id: method
        type: u2
        valid:
          any-of: [0, 8]
        doc-ref: README.md Z-2.6
      - id: time
        type: u2
      - id: date
        type: u2
      - id: crc
        type: u4
      - id: len_compressed
        type: u4
      - id: len_uncompressed
        type: u4
      - id: len_name
        type: u2
      - id: len_extra
        type: u2
      - id: len_comment
        type: u2
        valid: 0
      - id: disk
        type: u2
        valid: 0
      - id: internal_attributes
        type: u2
      - id: external_attributes
        type: u4
      - id: ofs_header
        type: u4
        doc: 0xffffffff where the zip64 field has it.
      - id: name
        size: len_name
      - id: extra
        size: len_extra
        type: extra
    instances:
      local:
        pos: ofs_header
        type: local_header
        if: ofs_header != 0xffffffff
        doc-ref: README.md Z-3
  local_header:
    seq:
      - id: signature
        type: u4
        valid: 0x04034b50
      - id: needed
        type: u2
      - id: flags
        type: u2
      - id: method
        type: u2
      - id: time
        type: u2
      - id: date
        type: u2
      - id: crc
        type: u4
        doc: 0 where a descriptor follows the data.
      - id: len_compressed
        type: u4
      - id: len_uncompressed
        type: u4
      - id: len_name
        type: u2
      - id: len_extra
        type: u2
      - id: name
        size: len_name
      - id: extra
        size: len_extra
        type: extra
      - id: end_of_header
        size: 0
    instances:
      ofs_data:
        value: 30 + len_name + len_extra
        doc: From the start of the header.
  extra:
    seq:
      - id: fields
        type: extra_field
        repeat: eos
  extra_field:
    seq:
      - id: id
        type: u2
        valid:
          expr: _ != 0x7075
        doc: 0x0001 is zip64, 0x4246 ("FB") torch's padding; 0x7075 would rename the member.
        doc-ref: README.md Z-2.5
      - id: len_body
        type: u2
      - id: body
        size: len_body
