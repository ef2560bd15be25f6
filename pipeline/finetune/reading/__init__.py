"""A labelled file on disk turned into a table of rows."""
