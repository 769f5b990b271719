import { proxy } from 'comlink';
import { useEffect, useRef, useState } from 'preact/hooks';
import { grouped, type Asked } from '@weightspec/formats';
import type { Item } from '../model/items.js';
import { startRunner, type RunnerThread } from '../threads.js';
import { faultOf } from '../workers/faults.js';
import type { BackendId, Fault, Generated, Prepared } from '../workers/protocol.js';
import { Copy } from './copy.js';
import { FaultMessage } from './fault.js';

const names: Readonly<Record<BackendId, string>> = { webgpu: 'WebGPU', wasm: 'WebAssembly', reference: 'the reference backend' };
const ends: Readonly<Record<Generated['reason'], string>> = { stop: 'The model ended the text.', length: 'As many tokens as asked for.', context: 'The context is full.', stopped: 'Stopped.' };

type Phase = 'idle' | 'loading' | 'running';

/** What a thread was made ready for; with anything else it has to start anew. */
interface Loaded {
  readonly thread: RunnerThread;
  readonly backend: BackendId | 'auto';
  readonly vocabulary?: File;
  readonly prepared: Prepared;
}

interface RunProps {
  readonly item: Item;
  /** Files that the page has said were asked for. */
  readonly known: readonly Asked[];
}

export function Run({ item, known }: RunProps) {
  const [prompt, setPrompt] = useState('');
  const [backend, setBackend] = useState<BackendId | 'auto'>('auto');
  const [vocabulary, setVocabulary] = useState<File>();
  const [chat, setChat] = useState(false);
  const [count, setCount] = useState(256);
  const [temperature, setTemperature] = useState(0);
  const [topP, setTopP] = useState(0.95);
  const [seed, setSeed] = useState('');
  const [phase, setPhase] = useState<Phase>('idle');
  const [read, setRead] = useState(0);
  const [loaded, setLoaded] = useState<Loaded>();
  const [asked, setAsked] = useState<string>();
  const [text, setText] = useState('');
  const [done, setDone] = useState<string>();
  const [fault, setFault] = useState<Fault>();
  const speed = useSpeed();
  const thread = useRef<RunnerThread>();
  const giveUp = useRef<() => void>();
  useEffect(() => () => thread.current?.terminate(), []);

  const load = async (): Promise<Loaded> => {
    if (loaded && !loaded.thread.isDown() && loaded.backend === backend && loaded.vocabulary === vocabulary) return loaded;
    thread.current?.terminate();
    setLoaded(undefined);
    const started = await startRunner(item.kind === 'url');
    thread.current = started;
    const stopped = new Promise<never>((_, reject) => {
      giveUp.current = () => {
        started.terminate();
        reject(new Error('stopped'));
      };
    });
    const prepared = await Promise.race([started.runner.prepare(item, vocabulary ? [vocabulary] : [], backend, proxy(setRead)), started.failed, stopped]);
    const next = { thread: started, backend, vocabulary, prepared };
    setLoaded(next);
    return next;
  };
  const run = async (): Promise<void> => {
    setPhase('loading');
    setRead(0);
    setFault(undefined);
    setDone(undefined);
    setText('');
    setAsked(undefined);
    try {
      const { thread: { runner, failed }, prepared } = await load();
      setPhase('running');
      setAsked(prompt);
      speed.start();
      const used = seed === '' ? 1 + Math.floor(Math.random() * (2 ** 48 - 2)) : Number(seed);
      const generated = runner.generate({ prompt, chat: chat && prepared.chat, maxNewTokens: count, temperature, topP, seed: used }, proxy((piece: string, tokens: number) => {
        setText((before) => before + piece);
        if (tokens > 0) speed.count(tokens);
      }));
      const summary = summaryOf(await Promise.race([generated, failed]));
      setDone(temperature > 0 ? `${summary} Seed ${used}.` : summary);
    } catch (error) {
      const reason = faultOf(error);
      if (reason.message === 'stopped') setDone('Stopped before the weights were loaded.');
      else setFault(reason);
    }
    setPhase('idle');
  };
  const stop = (): void => {
    if (phase === 'loading') giveUp.current?.();
    else void thread.current?.runner.stop();
  };
  const prepared = loaded?.prepared;
  return (
    <section class="card run" aria-labelledby="run-title">
      <h2 id="run-title">Run it</h2>
      <form onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}>
        <label class="prompt">{prepared?.noTokenizer ? 'Prompt, as token ids with commas' : 'Prompt'} <textarea rows={2} value={prompt} placeholder={prepared?.noTokenizer ? '1' : 'may be empty: the model then starts a text'} onInput={(event) => setPrompt(event.currentTarget.value)} onKeyDown={(event) => {
          if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          event.currentTarget.form?.requestSubmit();
        }} /></label>
        <div class="options">
          <label>Tokens <input type="number" min={1} max={100000} value={count} onInput={(event) => setCount(Number(event.currentTarget.value))} /></label>
          <label>Temperature <input type="number" min={0} max={10} step={0.1} value={temperature} onInput={(event) => setTemperature(Number(event.currentTarget.value))} /></label>
          <label>Top-p <input type="number" min={0} max={1} step={0.01} value={topP} disabled={temperature === 0} onInput={(event) => setTopP(Number(event.currentTarget.value))} /></label>
          <label>Seed <input type="number" min={1} max={2 ** 48 - 1} step={1} value={seed} placeholder="random" disabled={temperature === 0} onInput={(event) => setSeed(event.currentTarget.value)} /></label>
          <label>Backend
            <select value={backend} onChange={(event) => setBackend(event.currentTarget.value as BackendId | 'auto')}>
              <option value="auto">the best that runs here</option>
              <option value="webgpu">WebGPU</option>
              <option value="wasm">WebAssembly</option>
              <option value="reference">reference</option>
            </select>
          </label>
          <label class="file">Tokenizer <input type="file" aria-label="Tokenizer file" onChange={(event) => setVocabulary(event.currentTarget.files?.[0])} /></label>
          {prepared?.chat && <label class="check"><input type="checkbox" checked={chat} onChange={(event) => setChat(event.currentTarget.checked)} /> Chat</label>}
        </div>
        <div class="actions">
          <button type="submit" class="primary" disabled={phase !== 'idle'}>Run</button>
          <button type="button" disabled={phase === 'idle'} onClick={stop}>Stop</button>
          <span role="status" class="dim">{phase === 'loading' ? 'Loading the weights …' : phase === 'running' ? speed.text : done}</span>
          {phase === 'loading' && <progress aria-label="Weights read" max={1} value={read} />}
        </div>
      </form>
      {prepared && <Backends prepared={prepared} known={known} />}
      {fault && <FaultMessage fault={fault} title="The model could not be run" />}
      {asked !== undefined && (
        <div class="output" aria-label="Text" aria-live="polite" aria-busy={phase === 'running'}>
          {!(chat && prepared?.chat) && asked !== '' && <span class="asked">{asked}</span>}<span class="generated">{text}</span>{phase === 'running' && <span class="caret" aria-hidden="true" />}
        </div>
      )}
      {phase === 'idle' && text !== '' && <div class="actions"><Copy label="Copy the text" text={() => (chat && prepared?.chat ? text : `${asked ?? ''}${text}`)} /></div>}
    </section>
  );
}

function summaryOf({ reason, newTokens, firstTokenSeconds, tokensPerSecond }: Generated): string {
  const rate = tokensPerSecond === undefined ? '' : `, ${tokensPerSecond.toFixed(1)} tokens/s`;
  return `${ends[reason]} ${grouped(newTokens)} tokens${rate}; the first after ${firstTokenSeconds.toFixed(2)} s.`;
}

/** Which backend computes, and why better ones do not. */
function Backends({ prepared: { backend, refused, architecture, tokenizer, noTokenizer, contextLength, asked }, known }: { readonly prepared: Prepared; readonly known: readonly Asked[] }) {
  const others = asked.filter(({ name }) => known.every((file) => file.name !== name));
  return (
    <div class="backends">
      <p>A {architecture} model on <b class="backend" data-backend={backend}>{names[backend]}</b>, {grouped(contextLength)} positions, {tokenizer ? <>words from <b>{tokenizer}</b></> : `without a tokenizer (${noTokenizer}): give token ids, or choose its tokenizer file`}.{others.length > 0 && <span class="dim"> Also asked for: {others.map(({ name, outcome }) => (outcome === 'found' ? name : `${name} (${outcome === 'absent' ? 'not there' : 'refused, or not there'})`)).join(', ')}.</span>}</p>
      {refused.map(({ id, reason }) => <Refusal key={id} name={names[id]} reason={reason} />)}
    </div>
  );
}

/** The reason in a sentence; what would bring the backend, where that is known, on demand. */
function Refusal({ name, reason }: { readonly name: string; readonly reason: string }) {
  const [first = '', ...others] = reason.split(/(?<=\.) /);
  const summary = `${name} does not run here: ${first}`;
  return others.length === 0 ? <p class="dim">{summary}</p> : <details class="dim"><summary>{summary}</summary>{others.join(' ')}</details>;
}

/** Tokens a second while they come. */
function useSpeed() {
  const [text, setText] = useState('');
  const [clock] = useState({ started: 0, first: 0 });
  return {
    text,
    start(): void {
      clock.started = performance.now();
      clock.first = 0;
      setText('Reading the prompt …');
    },
    count(tokens: number): void {
      const now = performance.now();
      if (tokens === 1) clock.first = now;
      else setText(`${grouped(tokens)} tokens, ${(((tokens - 1) * 1000) / Math.max(1, now - clock.first)).toFixed(1)} tokens/s`);
    },
  };
}
