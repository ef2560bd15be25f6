"""`bertctl verify`: what a directory claims, held against its files and what is in them.

No code of the stages that wrote the directory is used here: what they got wrong would be wrong
here too.
"""
