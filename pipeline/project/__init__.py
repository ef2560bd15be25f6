"""A whole project in one file: what it asks for, how that stands, and what is done about it."""
