import { useRef, useState } from 'preact/hooks';
import type { ChosenFile } from '../model/items.js';
import { brokenExample, example } from '../examples.js';
import { filesOfInput } from './drop.js';

/** Every browser has it; no standard does, nor do Preact's types. */
const wholeFolders: object = { webkitdirectory: true };

interface OpenerProps {
  /** A bar rather than a page-filling drop zone. */
  readonly compact: boolean;
  readonly onFiles: (files: readonly ChosenFile[]) => Promise<void>;
  readonly onExample: (files: Promise<readonly ChosenFile[]>) => Promise<void>;
  readonly onUrl: (url: string) => Promise<void>;
}

export function Opener({ compact, onFiles, onExample, onUrl }: OpenerProps) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const [url, setUrl] = useState('');
  const chosen = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement;
    void onFiles(filesOfInput(input));
    // So that choosing the same file again is a change.
    input.value = '';
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    if (url.trim() !== '') void onUrl(url.trim());
  };
  return (
    <section class={compact ? 'opener compact' : 'opener'} aria-label="Open a file">
      <button type="button" class="drop" onClick={() => files.current?.click()}>
        {!compact && <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 3v12m0 0 5-5m-5 5-5-5M4 17v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3" /></svg>}
        <span class="drop-title">{compact ? 'Open another file' : 'Drop a weight file or folder here'}</span>
        {!compact && <span class="dim">or press to choose: safetensors, PyTorch, llama2.c, ggml-qwen; with its tokenizer, if you have it</span>}
      </button>
      <input ref={files} class="hidden" type="file" multiple tabIndex={-1} aria-label="Files" onChange={chosen} />
      <input ref={folder} class="hidden" type="file" tabIndex={-1} aria-label="Folder" {...wholeFolders} onChange={chosen} />
      <div class="ways">
        <button type="button" onClick={() => folder.current?.click()}>Choose a folder</button>
        <button type="button" onClick={() => void onExample(example())}>Try an example</button>
        <button type="button" onClick={() => void onExample(brokenExample())}>Try a broken one</button>
        <form onSubmit={submit}>
          <label class="visually-hidden" for="address">Address of a file or folder</label>
          <input id="address" type="url" placeholder="https://… file, folder/ or model page" value={url} onInput={(event) => setUrl(event.currentTarget.value)} />
          <button type="submit">Open</button>
        </form>
      </div>
    </section>
  );
}
