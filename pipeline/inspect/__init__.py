"""`bertctl inspect`: what is in a corpus, a vocabulary, shards or a model, for a person to read."""
