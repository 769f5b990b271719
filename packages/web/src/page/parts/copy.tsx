import { useState } from 'preact/hooks';

/** Puts a text on the clipboard, and says so. */
export function Copy({ label, text }: { readonly label: string; readonly text: () => string | Promise<string> }) {
  const [said, setSaid] = useState<string>();
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(await text());
      setSaid('Copied');
    } catch {
      // A browser may forbid it; the text is on the page to be selected.
      setSaid('The browser does not allow it');
    }
    setTimeout(() => setSaid(undefined), 2000);
  };
  return <button type="button" aria-live="polite" onClick={() => void copy()}>{said ?? label}</button>;
}
