"""Raw text at rest, turned into documents and sentences."""
