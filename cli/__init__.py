"""The floor that reads flags and talks to people; it alone imports click, rich and tqdm."""
