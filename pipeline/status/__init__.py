"""`bertctl status`: which outputs are below a directory, how each stands, what was made of what."""
