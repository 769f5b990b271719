import { EngineError } from '../errors.js';

export const notFinite = (): EngineError => new EngineError('LOGITS_NOT_FINITE', 'logits are NaN or infinite: the weights are damaged, or the model overflows f32');
