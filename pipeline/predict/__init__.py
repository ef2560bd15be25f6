"""`bertctl predict`: a model and texts turned into what the model says of each."""
