import type { Op, OpName } from '@weightspec/core';
import type { OpKernel } from '../op-kernel.js';
import { add } from './add.js';
import { attention } from './attention.js';
import { embed } from './embed.js';
import { matmul } from './matmul.js';
import { rmsnorm } from './rmsnorm.js';
import { rope } from './rope.js';
import { swiglu } from './swiglu.js';

/** Every op there is, one file each. The type makes a missing one a compile error. */
export const opKernels: { readonly [Name in OpName]: OpKernel<Extract<Op, { op: Name }>> } = { embed, rmsnorm, matmul, rope, attention, swiglu, add };
