"""A table turned into examples of a task, each row checked where it stands."""
