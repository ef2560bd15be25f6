"""The engine that makes a stage idempotent, resumable and safe: recipe first, manifest last."""
