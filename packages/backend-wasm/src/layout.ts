/**
 * Where things lie in the shared memory, in bytes; all are 4-byte integers unless said otherwise.
 * The kernels (assembly/) and the host both import this file, so it holds nothing but integer constants.
 */

// --- Control block: what all threads share. Words that threads wait on have a cache line of their own.
/** Counts jobs; workers wait for it to change. */
export const JOB = 1024;
/** Threads asleep on JOB. */
export const JOB_SLEEPERS = 1088;
/** Threads that have reached the current barrier. */
export const ARRIVED = 1152;
/** Counts barriers passed. */
export const PHASE = 1216;
/** Threads asleep on PHASE. */
export const PHASE_SLEEPERS = 1280;
/** Not 0 once a thread has trapped: nobody waits for it any more. */
export const FAILED = 1344;
/** Not 0 when workers should return. */
export const STOP = 1348;
export const THREADS = 1408;
/** How often a waiting thread looks before it sleeps. */
export const SPINS = 1412;
/** Not 0 when thread 0 may sleep; a browser's main thread may not. */
export const MAIN_MAY_SLEEP = 1416;
/** Steps [FIRST_STEP, END_STEP) are the current job. */
export const FIRST_STEP = 1420;
export const END_STEP = 1424;
/** Tokens of the current batch, and the position of the first. */
export const ROWS = 1428;
export const POSITION = 1432;
/** The first row that the last matmul computes. */
export const FIRST_LOGITS_ROW = 1436;
/** Address of the step table. */
export const STEPS = 1440;
/** Address of the table of KV blocks, positions of a block, and bytes of a block that one layer has. */
export const KV_TABLE = 1444;
export const KV_BLOCK_POSITIONS = 1448;
export const KV_LAYER_BYTES = 1452;
/** Scratch memory of thread 0, and the distance to the next thread's. */
export const SCRATCH = 1456;
export const SCRATCH_STRIDE = 1460;
/** Bytes of a thread's scratch memory that hold four decoded rows; attention scores follow. */
export const SCRATCH_ROWS_BYTES = 1464;
/** Steps of the program that have been done, by all jobs together. */
export const STEPS_DONE = 1468;
export const CONTROL_END = 2048;

// --- A step: STEP_BYTES in the step table.
export const STEP_BYTES = 192;
export const STEP_KIND = 0;
/** Not 0 when every thread must have finished the steps before. */
export const STEP_WAITS = 4;
/** The next piece of work that is not taken yet; on a cache line of its own, since every thread writes it. */
export const STEP_NEXT = 128;
/** Arguments by number. */
export const STEP_ARGUMENTS = 8;

export const KIND_EMBED = 0;
export const KIND_RMSNORM = 1;
export const KIND_ROUND_BLOCKS = 2;
export const KIND_ROUND_ROWS = 3;
export const KIND_MATMUL = 4;
export const KIND_ROPE = 5;
export const KIND_STORE_KV = 6;
export const KIND_ATTENTION = 7;
export const KIND_SWIGLU = 8;
export const KIND_ADD = 9;

// --- How the elements of a weight lie in memory.
export const FORMAT_F32 = 0;
export const FORMAT_F16 = 1;
export const FORMAT_BF16 = 2;
export const FORMAT_Q4_0 = 3;
export const FORMAT_Q4_1 = 4;
export const FORMAT_Q5_0 = 5;
export const FORMAT_Q5_1 = 6;
export const FORMAT_Q8_0 = 7;
/** int8 values; an f32 scale a group, which is divided by 127 in FORMAT_GROUPS_WMAX. */
export const FORMAT_GROUPS = 8;
export const FORMAT_GROUPS_WMAX = 9;

// --- How a matrix is multiplied.
/** As its format says; otherwise one of the following. */
export const PATH_FORMAT = 0;
/** Rows are decoded to f32 first: for groups and blocks that rows do not fill. */
export const PATH_DECODED = 1;
/** int8 rows with one scale each, by activations with one scale a token. */
export const PATH_INT8_ROWS = 2;

/** Bytes of metadata of 32 activations that were rounded to int8: scale f32, sum of codes i32, scale · sum f32, unused. */
export const BLOCK_INFO_BYTES = 16;
/** Codes of 32 activations as they stand, or sorted as the nibbles of 4-bit blocks are unpacked. */
export const ORDER_NATURAL = 0;
export const ORDER_NIBBLES = 1;
