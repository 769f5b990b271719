/**
 * Logits of a backend that rounds activations to int8 in blocks may be this far from float64, on the tiny models of the shared data:
 * the bound that qwen.cpp's own 8-bit activations are held to (it differs by up to 0.128).
 */
export const INT8_LOGIT_BOUND = 0.2;

export interface GoldenOptions {
  /** Storages for which the backend rounds activations to int8: logits get INT8_LOGIT_BOUND, and greedy ids, which that may change, are not compared. */
  readonly int8Activations?: (storage: string) => boolean;
  /** The backend runs with a memory budget of 0 by reading weights again at each use. */
  readonly streams?: boolean;
}
