/** Every golden, on the reference backend. */
import { referenceBackend } from '@weightspec/kernels';
import { engineGoldens } from './testing/index.js';

engineGoldens(referenceBackend, { streams: true });
