"""`bertctl vocab`: a corpus turned into a WordPiece vocabulary."""
