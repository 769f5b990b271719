import type { CodeEntry, CodeTable, Severity } from '@weightspec/core';

/**
 * Codes for files that no format claims, one a kind of bytes. Clauses: specs/formats/README.md.
 * Every row is an error but the last: what is asked about is not a weight file that this version can read.
 */
const entry = (clause: string, summary: string, rationale: string, hint: string, severity: Severity = 'error'): CodeEntry => ({
  severity,
  summary,
  clause: `specs/formats#${clause}`,
  rationale,
  hint,
});

const otherContainer = 'A reader that is handed another container reports "bad magic" or reads garbage dimensions; naming the container saves the search for a corrupted download.';
const notYet = (what: string) => `Use a tool that reads ${what}, or convert the file to one of the formats that \`weightspec formats\` lists.`;
const convertOld = 'Convert it to GGUF with an llama.cpp of that time, or fetch a current file of the same model.';
const notAModel = 'A wrong link, a renamed file or a login page is often saved under the name of the weights.';

export const formatCodes = {
  FORMAT_EMPTY_FILE: entry('F-2.1', 'The file has no bytes', 'An interrupted download or a failed export often leaves an empty file behind, which some loaders read as a model of no tensors.', 'Fetch or export the file again.'),
  FORMAT_ALL_ZEROS: entry('F-2.2', 'The head of the file is all zeros', 'Download tools reserve space before they fill it; a crash then leaves a file of the right size and no contents.', 'Fetch the file again and compare its checksum with the published one.'),
  FORMAT_LFS_POINTER: entry('F-2.3', 'Git LFS pointer in place of the file', 'A clone without Git LFS has a text of three lines where each large file should be; loaders call this a corrupted model.', 'Run `git lfs install` once, then `git lfs pull` in the repository.'),
  FORMAT_HTML_PAGE: entry('F-2.4', 'HTML or XML page in place of the file', 'Servers answer a missing or gated file with a page, and curl without --fail saves it under the name of the model.', 'Open the address in a browser: the model may ask for a login, a licence or another link (on Hugging Face /resolve/, not /blob/).'),
  FORMAT_JSON_TEXT: entry('F-2.5', 'JSON text, not tensors', 'Configurations, indexes and error answers lie beside the weights and are easily named instead of them.', 'Name the weight file, or the folder that holds it.'),
  FORMAT_PLAIN_TEXT: entry('F-2.6', 'Plain text, not tensors', 'A server\'s error answer ("Entry not found") or a README is easily taken for the weights.', 'Read the text: it may say what went wrong. Then name the weight file.'),
  FORMAT_GGUF: entry('F-2.7', 'GGUF container', otherContainer, notYet('GGUF (llama.cpp)')),
  FORMAT_GGML_UNVERSIONED: entry('F-2.8', 'llama.cpp\'s first container, without a version (magic 0x67676d6c)', otherContainer, convertOld),
  FORMAT_GGMF: entry('F-2.9', 'ggmf container (llama.cpp, March 2023)', otherContainer, convertOld),
  FORMAT_GGJT: entry('F-2.10', 'ggjt container (llama.cpp, March to August 2023)', otherContainer, convertOld),
  FORMAT_GGLA: entry('F-2.11', 'ggla LoRA adapter (llama.cpp, 2023)', otherContainer, 'It holds an adapter without its base model; convert it to GGUF with an llama.cpp of that time.'),
  FORMAT_GGML_QWEN: entry('F-2.12', 'Container of qwen.cpp or chatglm.cpp (bytes "ggml")', otherContainer, notYet('the ggml container of qwen.cpp and chatglm.cpp')),
  FORMAT_SAFETENSORS: entry('F-2.13', 'safetensors file', otherContainer, notYet('safetensors')),
  FORMAT_ZIP: entry('F-2.14', 'zip archive (perhaps a torch checkpoint)', otherContainer, 'If it comes from torch.save, export it with the model\'s own tool; otherwise unpack it and name the file inside.'),
  FORMAT_PICKLE: entry('F-2.15', 'Python pickle (perhaps a legacy torch checkpoint)', 'Unpickling runs code that the file chooses, so a pickle must never be opened just to see what it is.', 'Load it only if you trust its author, with torch.load(weights_only=True), and export it to a format without code.'),
  FORMAT_GZIP: entry('F-2.16', 'gzip stream', otherContainer, 'Unpack it (`gunzip`, or `tar xzf` for an archive) and name the file inside.'),
  FORMAT_7Z: entry('F-2.17', '7z archive', otherContainer, 'Unpack it (`7z x`) and name the file inside.'),
  FORMAT_PNG: entry('F-2.18', 'PNG picture', notAModel, 'Look for the link to the weights themselves.'),
  FORMAT_PDF: entry('F-2.19', 'PDF document', notAModel, 'Look for the link to the weights themselves.'),
  FORMAT_ELF: entry('F-2.20', 'ELF program or library', 'A model that is a program runs code of its author\'s choice.', 'Do not run it. Look for the weights themselves.'),
  FORMAT_UNKNOWN: entry('F-2.21', 'No known format', 'Without a magic number or sizes that add up there is nothing to check against, and guessing would call garbage valid.', 'Check the name and the checksum of the file; `weightspec formats` lists what can be read.'),
  FORMAT_AMBIGUOUS: entry('F-1.4', 'Two formats read the file without an error', 'Layouts without a magic number can overlap; a tool that takes the other reading sees another model.', 'Compare the two readings with what the exporter was asked to write.', 'warning'),
} as const satisfies CodeTable;

export type FormatCode = keyof typeof formatCodes;
