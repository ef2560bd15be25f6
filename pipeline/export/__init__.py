"""`bertctl export`: a model of ours, or anybody's, turned into a directory to publish or move."""
