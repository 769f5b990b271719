import type { BenchOptions } from './bench.js';
import { measureSpeeds, type SpeedReport } from './speed.js';

export const heading = 'prefill: tokens of a prompt a second, q8_0 and q4_0; median of several samples taken in turns; --models M,Q,L measures the rows with goals';

export const bench = (options: BenchOptions): Promise<SpeedReport> => measureSpeeds('prefill', { ...options, models: options.models ?? ['S', 'M'] });
