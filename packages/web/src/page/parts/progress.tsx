/** A bar, and a button that ends what it shows. */
export function Progress({ label, value, onCancel }: { readonly label: string; readonly value: number; readonly onCancel: () => void }) {
  return (
    <div class="progress">
      <label>{label} <progress max={1} value={value} /></label>
      <button type="button" onClick={onCancel}>Cancel</button>
    </div>
  );
}
