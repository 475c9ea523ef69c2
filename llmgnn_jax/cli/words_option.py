"""What `--words` may be."""

WORDS_HELP = (
    "the decoder that says why, where a checker finds nothing in its words that is "
    "not in the evidence: smollm2-135m, a Hugging Face folder or hub name, a GGUF "
    "file, or none for templates alone"
)
