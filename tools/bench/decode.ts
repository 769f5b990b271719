import type { BenchOptions } from './bench.js';
import { measureSpeeds, type SpeedReport } from './speed.js';

export const heading = 'decode: tokens a second after BOS, greedy, each handed to JavaScript; median of several samples taken in turns; --models S,M,W by default, Q and L (0.5 and 1.1 billion weights, 10 GB of disk) on request';

export const bench = (options: BenchOptions): Promise<SpeedReport> => measureSpeeds('decode', options);
