"""`bertctl shard`: a corpus turned into Arrow shards of masked sentence pairs."""
