import { proxy } from 'comlink';
import { Fragment } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { ByteRange } from '@weightspec/core';
import { isIndex, itemsOf, type ChosenFile, type Item } from '../model/items.js';
import { connectInspector, inspector } from '../threads.js';
import { faultOf } from '../workers/faults.js';
import type { Fault, View } from '../workers/protocol.js';
import { Bytes } from './bytes.js';
import { filesOfDrop } from './drop.js';
import { FaultMessage } from './fault.js';
import { Findings } from './findings.js';
import { Opener } from './opener.js';
import { Run } from './run.js';
import { isVocabulary, Summary, verdictWords } from './summary.js';
import { Tensors } from './tensors.js';

type Phase =
  | { readonly kind: 'start' }
  /** `asking`: the file of an address that is being asked for. */
  | { readonly kind: 'opening'; readonly name: string; readonly asking?: string }
  | { readonly kind: 'failed'; readonly fault: Fault }
  /** `opening` counts: what was chosen in one opening is not carried into the next. */
  | { readonly kind: 'open'; readonly item: Item; readonly view: View; readonly opening: number };

/** Bytes to look at. */
export interface Selection {
  readonly file: string;
  readonly byteRange: ByteRange;
  /** Go there: what was pressed is elsewhere on the page. */
  readonly reveal?: boolean;
}

/** A new object each time, so that choosing a tensor again leads to it again. */
export interface ChosenTensor {
  readonly name: string;
}

/** What goes on, and for those who do not see the page what came of it. */
function saidOf(phase: Phase): string {
  if (phase.kind === 'opening') return `Opening ${phase.name} …${phase.asking ? ` Asking for ${phase.asking}` : ''}`;
  return phase.kind === 'open' ? `${phase.item.name} is open: ${verdictWords[phase.view.report.verdict]}` : '';
}

/** A folder may hold many files that are no model. */
const MOST_TRIED = 8;

/** A folder or an index stands for all its files. */
function sizeOf(item: Item): number {
  if (item.kind === 'url') return 0;
  return item.kind === 'folder' || isIndex(item.name) ? Infinity : item.file.blob.size;
}

type OnAsk = (name: string) => void;

/** Opens the folder that is a model, or an index, or else the largest file that is a model, or else the largest. */
async function openLikeliest(items: readonly Item[], onAsk: OnAsk): Promise<{ item: Item; view: View }> {
  const likely = items.toSorted((a, b) => sizeOf(b) - sizeOf(a)).slice(0, MOST_TRIED);
  for (const item of likely) {
    const view = await inspector.open(item, proxy(onAsk));
    // Whatever is wrong with it: a vocabulary beside a broken model is not what was meant.
    if ((view.report.format !== null && !isVocabulary(view)) || items.length === 1) return { item, view };
  }
  return { item: likely[0]!, view: await inspector.open(likely[0]!, proxy(onAsk)) };
}

export function App() {
  const [phase, setPhase] = useState<Phase>({ kind: 'start' });
  const [items, setItems] = useState<readonly Item[]>([]);
  const [selection, setSelection] = useState<Selection>();
  const [tensor, setTensor] = useState<ChosenTensor>();

  const openings = useRef(0);

  const show = useCallback(async (name: string, open: (onAsk: OnAsk) => Promise<{ item: Item; view: View }>) => {
    const opening = ++openings.current;
    setPhase({ kind: 'opening', name });
    setSelection(undefined);
    setTensor(undefined);
    try {
      const { item, view } = await open((asking) => {
        // It comes on another port than what was opened, and may come after it.
        if (opening === openings.current) setPhase((now) => (now.kind === 'opening' ? { ...now, asking } : now));
      });
      if (opening === openings.current) setPhase({ kind: 'open', item, view, opening });
    } catch (error) {
      if (opening === openings.current) setPhase({ kind: 'failed', fault: faultOf(error) });
    }
  }, []);

  const openFiles = useCallback(async (files: readonly ChosenFile[]) => {
    const found = itemsOf(files);
    if (found.length === 0) return;
    setItems(found);
    await show(found.length === 1 ? found[0]!.name : `${files.length} files`, (onAsk) => openLikeliest(found, onAsk));
  }, [show]);

  const openItem = useCallback(async (item: Item) => show(item.name, async (onAsk) => ({ item, view: await inspector.open(item, proxy(onAsk)) })), [show]);

  const openUrl = useCallback(async (url: string) => {
    const item: Item = { kind: 'url', name: url, url };
    setItems([item]);
    await show(url, async (onAsk) => {
      await connectInspector();
      return { item, view: await inspector.open(item, proxy(onAsk)) };
    });
  }, [show]);

  const openExample = useCallback(async (files: Promise<readonly ChosenFile[]>) => {
    try {
      await openFiles(await files);
    } catch (error) {
      setPhase({ kind: 'failed', fault: faultOf(error) });
    }
  }, [openFiles]);

  const dragging = useDrop(openFiles);
  const open = phase.kind === 'open' ? phase : undefined;
  const selectTensor = useCallback((name: string) => setTensor({ name }), []);
  const title = open && `${open.item.name} – Weightspec`;
  useEffect(() => {
    document.title = title ?? 'Weightspec: is this weight file right?';
  }, [title]);
  return (
    <>
      <header class="top">
        <h1><span class="mark" aria-hidden="true">W</span>Weightspec</h1>
        <p>Is this weight file right? Checked, shown and run in this browser. Nothing leaves your machine.</p>
      </header>
      <main>
        <Opener compact={phase.kind !== 'start'} onFiles={openFiles} onExample={openExample} onUrl={openUrl} />
        {phase.kind === 'start' && <Intro />}
        <div role="status" class={open ? 'visually-hidden' : 'status'}>{saidOf(phase)}</div>
        {phase.kind === 'failed' && <FaultMessage fault={phase.fault} title="This could not be opened" />}
        {items.length > 1 && phase.kind !== 'opening' && (
          <label class="pick">Looking at
            <select value={open ? items.indexOf(open.item) : -1} onChange={(event) => void openItem(items[Number(event.currentTarget.value)]!)}>
              {items.map((item, index) => <option key={index} value={index}>{item.name}</option>)}
            </select>
          </label>
        )}
        {open && (
          <Fragment key={open.opening}>
            <Summary view={open.view} onChecked={(checked) => setPhase((now) => (now.kind === 'open' && now.opening === open.opening ? { ...now, view: { ...now.view, ...checked } } : now))} />
            <div class={open.view.report.diagnostics.length > 0 ? 'columns' : 'columns single'}>
              <Findings view={open.view} selection={selection} onSelect={setSelection} />
              <Bytes view={open.view} selection={selection} onTensor={selectTensor} />
            </div>
            {open.view.tensors.length > 0 && <Tensors view={open.view} selected={tensor} onSelect={selectTensor} onBytes={setSelection} />}
            {open.view.tensors.length > 0 && !isVocabulary(open.view) && <Run item={open.item} known={open.view.asked} />}
          </Fragment>
        )}
      </main>
      <footer>
        <p>The same readers, checks and engines as the <code>weightspec</code> command. Files of any size open at once: they are read in slices, and only by this page.</p>
      </footer>
      {dragging && <div class="drag" aria-hidden="true">Let go to open</div>}
    </>
  );
}

function Intro() {
  return (
    <ul class="intro">
      <li class="card"><h2>What is wrong, and where</h2><p>Format, variant, the tool that wrote it; every finding over its bytes, with the clause of the specification that it breaks and what to do.</p></li>
      <li class="card"><h2>What is inside</h2><p>Every tensor by size, its bytes, a histogram of its values, and what storing it as F16, Q8_0 or Q4_0 would change.</p></li>
      <li class="card"><h2>Whether it means what it should</h2><p>Runs the model here, on WebGPU or WebAssembly. A rotated layout or a swapped matrix babbles; a right file reads well.</p></li>
    </ul>
  );
}

/** Files may be dropped anywhere. Returns whether some are over the page. */
function useDrop(onFiles: (files: readonly ChosenFile[]) => Promise<void>): boolean {
  const [dragging, setDragging] = useState(false);
  useEffect(() => {
    const over = (event: DragEvent): void => {
      event.preventDefault();
      setDragging(true);
    };
    const leave = (event: DragEvent): void => {
      if (!event.relatedTarget) setDragging(false);
    };
    const drop = (event: DragEvent): void => {
      event.preventDefault();
      setDragging(false);
      if (event.dataTransfer) void filesOfDrop(event.dataTransfer).then(onFiles);
    };
    const controller = new AbortController();
    addEventListener('dragover', over, controller);
    addEventListener('dragleave', leave, controller);
    addEventListener('drop', drop, controller);
    return () => controller.abort();
  }, [onFiles]);
  return dragging;
}
