/** A bar, and a button that ends what it shows. */
export function Progress({ label, value, onCancel }: { readonly label: string; readonly value: number; readonly onCancel: () => void }) {
  return (
    <div class="progress" role="group" aria-label={label}>
      <label>{label} <progress max={1} value={value} /></label>
      <span class="dim">{Math.floor(100 * value)} %</span>
      <button type="button" onClick={onCancel}>Cancel</button>
    </div>
  );
}
