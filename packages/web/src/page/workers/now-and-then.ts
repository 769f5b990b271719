/** A few calls a second: each is a message to the page. The last one, when all is done, always comes. */
export function nowAndThen(progress: (done: number, total: number) => void): (done: number, total: number) => void {
  let last = 0;
  return (done, total) => {
    const now = performance.now();
    if (now - last < 100 && done < total) return;
    last = now;
    progress(done, total);
  };
}
