import { useEffect, useState } from 'preact/hooks';
import type { Specifications } from 'virtual:specifications';

/** What specs/ says; undefined until it is there. */
export function useSpecifications(): Specifications | undefined {
  const [found, setFound] = useState<Specifications>();
  useEffect(() => {
    void import('virtual:specifications').then(({ specifications }) => setFound(specifications));
  }, []);
  return found;
}

/** Folder of specs/ that describes a format. */
export const folderOfFormat = (format: string): string => (format === 'llama2c-tokenizer' ? 'llama2c' : format);

/** A clause by its reference, e.g. `specs/llama2c#C-1.5`, with its text where it has one. */
export function Clause({ reference }: { readonly reference: string }) {
  const [, folder = '', id = ''] = /^specs\/([^#]+)#(.+)$/.exec(reference) ?? [];
  const text = useSpecifications()?.[folder]?.clauses[id];
  return (
    <blockquote class="clause">
      <cite>{reference}</cite>
      {text && <Marked text={text} />}
    </blockquote>
  );
}

/** Markdown of one paragraph: `code` is kept, emphasis and links become plain. */
export function Marked({ text }: { readonly text: string }) {
  const plain = text.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1').replaceAll('**', '');
  return <p>{plain.split('`').map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</p>;
}
