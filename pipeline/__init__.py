"""The stages, and what makes them repeatable; it never prints and knows no flag."""
