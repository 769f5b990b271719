import { conformance } from './conformance.js';
import { conversionsAndExports } from './conversions.js';
import { folders } from './folders.js';
import { io } from './io.js';
import { readers } from './readers.js';
import { runs } from './runs.js';
import type { Situation } from './situation.js';

export { exampleIn, type Situation } from './situation.js';

/** One for every code that no file alone shows. */
export const situations = async (): Promise<readonly Situation[]> => [...folders, ...readers, ...(await conversionsAndExports()), ...io, ...runs, ...conformance];
