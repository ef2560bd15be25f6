"""`bertctl pretrain`: shards turned into an encoder."""
