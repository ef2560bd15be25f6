"""Tensors: configuration, encoder, heads, losses, optimisers; no file, no path."""
