"""`bertctl inspect`: what is in a corpus, a vocabulary or shards, so that a person can read it."""
