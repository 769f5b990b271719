import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ByteRange } from '@weightspec/core';
import { grouped } from '@weightspec/formats';
import { inspector } from '../threads.js';
import { faultOf } from '../workers/faults.js';
import type { BytesWindow, Fault, NamedBytes, View } from '../workers/protocol.js';
import type { Selection } from './app.js';
import { Clause, folderOfFormat, Marked, useSpecifications } from './clauses.js';
import { Copy } from './copy.js';
import { FaultMessage } from './fault.js';

interface BytesProps {
  readonly view: View;
  readonly selection?: Selection;
  readonly onTensor: (name: string) => void;
}

const ROWS = 16;
/** Rows shown before what is selected. */
const LEAD_ROWS = 2;
const hues = 6;
/** As text on the clipboard they are three times as many. */
const MOST_COPIED = 1 << 20;

/** A place in a file, and what is marked there. */
interface Place {
  readonly file: string;
  readonly offset: number;
  readonly mark?: ByteRange;
}

const contains = ([start, end]: ByteRange, at: number): boolean => at >= start && at < end;
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** The bytes of a file, each with the field or tensor that it belongs to. */
export function Bytes({ view, selection, onTensor }: BytesProps) {
  const columns = useNarrow() ? 8 : 16;
  const [place, setPlace] = useState<Place>({ file: view.files[0]?.name ?? '', offset: 0 });
  const [chosen, setChosen] = useState<NamedBytes>();
  const size = view.files.find(({ name }) => name === place.file)?.size ?? 0;
  const { window, fault } = useWindow(view, place, columns * ROWS);

  // Before the page is painted: what a person presses next must not be undone.
  useLayoutEffect(() => {
    setPlace({ file: view.files[0]?.name ?? '', offset: 0 });
    setChosen(undefined);
  }, [view.files]);
  useLayoutEffect(() => {
    if (!selection) return;
    const row = Math.floor(selection.byteRange[0] / columns);
    setPlace({ file: selection.file, offset: Math.max(0, row - LEAD_ROWS) * columns, mark: selection.byteRange });
    setChosen(undefined);
  }, [selection, columns]);
  const title = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => {
    if (!selection?.reveal) return;
    title.current?.focus({ preventScroll: true });
    title.current?.scrollIntoView();
  }, [selection]);

  const go = (offset: number): void => {
    const inside = Math.max(0, Math.min(offset, size - 1));
    setPlace({ ...place, offset: inside - (inside % columns) });
  };
  const fields = window?.fields ?? [];
  const choose = (field: NamedBytes): void => {
    setChosen(field);
    setPlace({ ...place, mark: field.byteRange });
  };
  return (
    <section class="card bytes" aria-labelledby="bytes-title">
      <h2 id="bytes-title" tabIndex={-1} ref={title}>Bytes</h2>
      {view.files.length > 1 && (
        <label class="pick">File
          <select value={place.file} onChange={(event) => setPlace({ file: event.currentTarget.value, offset: 0 })}>
            {view.files.map(({ name }) => <option key={name}>{name}</option>)}
          </select>
        </label>
      )}
      {fault && <FaultMessage fault={fault} title="The bytes could not be read" />}
      {size === 0 ? <p class="dim">The file has no bytes.</p> : (
          <div class="panes">
            <div class="pane">
              <Hex bytes={window?.bytes ?? new Uint8Array(0)} offset={place.offset} columns={columns} digits={Math.max(6, size.toString(16).length)} mark={place.mark} fields={fields} onChoose={choose} />
              <div class="pager">
                <button type="button" disabled={place.offset === 0} onClick={() => go(place.offset - columns * ROWS)}>Earlier</button>
                <button type="button" disabled={place.offset + columns * ROWS >= size} onClick={() => go(place.offset + columns * ROWS)}>Later</button>
                {place.mark && place.mark[1] - place.mark[0] > columns * (ROWS - LEAD_ROWS) && (
                  <>
                    <button type="button" onClick={() => go(place.mark![0] - columns * LEAD_ROWS)}>Start of the marked</button>
                    <button type="button" onClick={() => go(place.mark![1] - columns * (ROWS - LEAD_ROWS))}>End of the marked</button>
                  </>
                )}
                {place.mark && place.mark[1] - place.mark[0] <= MOST_COPIED && <Copy label="Copy the marked" text={() => hexOf(place.file, place.mark!)} />}
                <form onSubmit={(event) => {
                  event.preventDefault();
                  const text = event.currentTarget.querySelector('input')!.value.trim();
                  const offset = Number(text);
                  if (text !== '' && Number.isSafeInteger(offset) && offset >= 0) go(offset);
                }}>
                  <label>Go to <input name="offset" size={10} placeholder="0 or 0x1c" autocomplete="off" /></label>
                </form>
              </div>
            </div>
            <div class="pane">
              <Fields fields={fields} chosen={chosen} onChoose={choose} />
              {chosen && <FieldDetail field={chosen} window={window} offset={place.offset} view={view} onTensor={onTensor} />}
            </div>
          </div>
      )}
    </section>
  );
}

async function hexOf(file: string, [start, end]: ByteRange): Promise<string> {
  const { bytes } = await inspector.window(file, start, end - start);
  return Array.from(bytes, (byte) => hex(byte, 2)).join(' ');
}

function useNarrow(): boolean {
  const [query] = useState(() => matchMedia('(max-width: 640px)'));
  const [narrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const update = (): void => setNarrow(query.matches);
    query.addEventListener('change', update);
    return () => query.removeEventListener('change', update);
  }, [query]);
  return narrow;
}

/** The bytes at a place. What comes after the place has changed is dropped. */
function useWindow(view: View, { file, offset }: Place, length: number): { window?: BytesWindow; fault?: Fault } {
  const [state, setState] = useState<{ window?: BytesWindow; fault?: Fault }>({});
  useEffect(() => {
    let current = true;
    if (view.files.some(({ name }) => name === file)) {
      inspector.window(file, offset, length).then(
        (window) => current && setState({ window }),
        (error: unknown) => current && setState({ fault: faultOf(error) }),
      );
    } else setState({});
    return () => {
      current = false;
    };
  }, [view.files, file, offset, length]);
  return state;
}

interface HexProps {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly columns: number;
  readonly digits: number;
  readonly mark?: ByteRange;
  readonly fields: readonly NamedBytes[];
  readonly onChoose: (field: NamedBytes) => void;
}

function Hex({ bytes, offset, columns, digits, mark, fields, onChoose }: HexProps) {
  const rows = Array.from({ length: Math.ceil(bytes.length / columns) }, (_, row) => row * columns);
  const fieldAt = (at: number): number => fields.findIndex(({ byteRange }) => contains(byteRange, at));
  const classOf = (at: number, field: number): string => `${field < 0 ? '' : `hue${field % hues}`}${mark && contains(mark, at) ? ' marked' : ''}`;
  const onClick = (event: MouseEvent): void => {
    const at = (event.target as HTMLElement).dataset.at;
    const field = at === undefined ? undefined : fields[fieldAt(Number(at))];
    if (field) onChoose(field);
  };
  return (
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events -- the buttons below do the same
    <div class="hex" role="group" aria-label={`Bytes ${offset} to ${offset + bytes.length}`} onClick={onClick}>
      {rows.map((row) => (
        <div class="row" key={row}>
          <span class="offset">{hex(offset + row, digits)}</span>
          <span class="codes">
            {Array.from(bytes.subarray(row, row + columns), (byte, column) => {
              const at = offset + row + column;
              const field = fieldAt(at);
              return <span key={column} class={classOf(at, field)} data-at={at} title={fields[field]?.name}>{hex(byte, 2)}</span>;
            })}
          </span>
          <span class="ascii" aria-hidden="true">
            {Array.from(bytes.subarray(row, row + columns), (byte, column) => {
              const at = offset + row + column;
              return <span key={column} class={classOf(at, fieldAt(at))} data-at={at}>{byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·'}</span>;
            })}
          </span>
        </div>
      ))}
    </div>
  );
}

function Fields({ fields, chosen, onChoose }: { readonly fields: readonly NamedBytes[]; readonly chosen?: NamedBytes; readonly onChoose: (field: NamedBytes) => void }) {
  if (fields.length === 0) return null;
  return (
    <ul class="fields" aria-label="Fields in these bytes">
      {fields.map((field, index) => (
        <li key={index}>
          <button type="button" class={`hue${index % hues}`} aria-pressed={sameField(chosen, field)} onClick={() => onChoose(field)}>{field.name}</button>
        </li>
      ))}
    </ul>
  );
}

const sameField = (a: NamedBytes | undefined, b: NamedBytes): boolean => a !== undefined && a.name === b.name && a.byteRange[0] === b.byteRange[0];

interface FieldDetailProps {
  readonly field: NamedBytes;
  readonly window?: BytesWindow;
  readonly offset: number;
  readonly view: View;
  readonly onTensor: (name: string) => void;
}

function FieldDetail({ field: { name, record, byteRange: [start, end] }, window, offset, view, onTensor }: FieldDetailProps) {
  const folder = folderOfFormat(view.report.format ?? '');
  const described = useSpecifications()?.[folder]?.fields[name];
  const tensor = view.tensors.find((row) => row.name === name);
  const bytes = window?.bytes.subarray(start - offset, end - offset);
  const value = bytes && start >= offset && bytes.length === end - start && !tensor ? valueOf(bytes) : undefined;
  return (
    <div class="field-detail" aria-live="polite">
      <h3>{name}{record && <span class="dim"> of {record}</span>}</h3>
      <p>bytes [{start}, {end}), {grouped(end - start)} of them{value && <>: <code>{value}</code></>}</p>
      {tensor && <p>A tensor: {tensor.dtype} [{tensor.shape.join(', ')}] <button type="button" onClick={() => onTensor(tensor.name)}>Show the tensor</button></p>}
      {described?.doc && <Marked text={described.doc} />}
      {described?.clauses.map((clause) => <Clause key={clause} reference={`specs/${folder}#${clause}`} />)}
    </div>
  );
}

/** Little-endian numbers for fields as long as one, text for others that are short. */
function valueOf(bytes: Uint8Array): string | undefined {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (bytes.length) {
    case 1: return `${data.getUint8(0)}`;
    case 2: return `${data.getInt16(0, true)}`;
    case 4: return `${data.getInt32(0, true)}`;
    case 8: return `${data.getBigUint64(0, true)}`;
    default: return bytes.length <= 64 && bytes.every((byte) => byte >= 0x20 && byte < 0x7f) ? new TextDecoder().decode(bytes) : undefined;
  }
}
