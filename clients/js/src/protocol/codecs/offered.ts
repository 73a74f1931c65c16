/** Codecs and filters that a client offers in HELLO, by name: their code is where payloads are decoded, and need not be loaded. */

/** Value of `codecs`: compressors that this client decodes, in the order of preference. */
export const CODEC_NAMES: readonly string[] = ["lz4", "zstd", "snappy"];
/** Value of `filters`. */
export const FILTER_NAMES: readonly string[] = ["shuffle", "xor", "diff8", "diff16", "diff32", "diff64"];
