/*
 * Runs karpathy/llama2.c on token ids. Includes run.c or runq.c of a folder that the user names, unchanged; its own main is left out
 * by TESTING, as upstream's test.c does it.
 *
 *   driver logits MODEL ID...          one row of vocab_size f32 a token, raw, in the byte order of this machine
 *   driver encode TOKENIZER VOCAB_SIZE TEXT      ids, one a line
 *   driver decode TOKENIZER VOCAB_SIZE ID...     bytes
 */
#define TESTING
#include LLAMA2C_SOURCE

static int print_logits(int argc, char **argv) {
    Transformer transformer;
    build_transformer(&transformer, argv[2]);
    for (int position = 0; position + 3 < argc; position++) {
        int token = atoi(argv[position + 3]);
        if (token < 0 || token >= transformer.config.vocab_size || position >= transformer.config.seq_len) return 3;
        float *logits = forward(&transformer, token, position);
        fwrite(logits, sizeof(float), (size_t)transformer.config.vocab_size, stdout);
    }
    free_transformer(&transformer);
    return 0;
}

static int print_ids(char **argv) {
    Tokenizer tokenizer;
    int count = 0;
    build_tokenizer(&tokenizer, argv[2], atoi(argv[3]));
    int *ids = malloc((strlen(argv[4]) + 3) * sizeof(int));
    encode(&tokenizer, argv[4], 1, 0, ids, &count);
    for (int i = 0; i < count; i++) printf("%d\n", ids[i]);
    free(ids);
    free_tokenizer(&tokenizer);
    return 0;
}

static int print_text(int argc, char **argv) {
    Tokenizer tokenizer;
    build_tokenizer(&tokenizer, argv[2], atoi(argv[3]));
    /* As generate() does: the first id gives no text, each other what it means after the one before. */
    for (int i = 5; i < argc; i++) fputs(decode(&tokenizer, atoi(argv[i - 1]), atoi(argv[i])), stdout);
    free_tokenizer(&tokenizer);
    return 0;
}

int main(int argc, char **argv) {
    if (argc >= 4 && strcmp(argv[1], "logits") == 0) return print_logits(argc, argv);
    if (argc == 5 && strcmp(argv[1], "encode") == 0) return print_ids(argv);
    if (argc >= 5 && strcmp(argv[1], "decode") == 0) return print_text(argc, argv);
    return 2;
}
