/**
 * The regular expression that Llama 3 and Qwen cut text with, for JavaScript.
 * Source: meta-llama/llama3 tokenizer.py pat_str, QwenLM/Qwen tokenization_qwen.py PAT_STR:
 * `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
 * Caveats: JavaScript's `\s` has U+FEFF and lacks U+0085, so White_Space is spelled out; Python ignores case by folding, so `'s`
 * has U+017F (ſ) too, and nothing else outside ASCII.
 */
const WHITE_SPACE = String.raw`\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;
const CONTRACTIONS = String.raw`'(?:[sS\u017f]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])`;

/** `digits`: how many of them may stand in one piece: 3 in Llama 3, 1 in Qwen. */
export function preTokenizerPattern(digits: 1 | 3): string {
  return [
    CONTRACTIONS,
    String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`,
    digits === 1 ? String.raw`\p{N}` : String.raw`\p{N}{1,${digits}}`,
    String.raw` ?[^${WHITE_SPACE}\p{L}\p{N}]+[\r\n]*`,
    String.raw`[${WHITE_SPACE}]*[\r\n]+`,
    String.raw`[${WHITE_SPACE}]+(?![^${WHITE_SPACE}])`,
    String.raw`[${WHITE_SPACE}]+`,
  ].join('|');
}
