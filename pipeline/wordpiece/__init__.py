"""BERT's normalisation, word segmentation and WordPiece, at the speed of numpy."""
