import { engineGoldens } from '../../engine/src/testing/index.js';
import { activationBlock, openBackend } from './index.js';

const int8Activations = (storage: string): boolean => activationBlock(storage) !== undefined;

engineGoldens(await openBackend({ threads: 2 }), { streams: true, int8Activations });
