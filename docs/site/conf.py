"""The documentation as a site: these Markdown files as they are, README first.

sphinx-build -W -c docs/site . build/docs

Nothing is written for the site alone: its pages are what a code host shows, docs/index.md is its
table of contents, and a link that leads nowhere ends the build.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]

project = "bertctl"
author = "The bertctl authors"
copyright = author
version = release = re.findall(
    '__version__ = "(.*)"', (ROOT / "cli/package/__init__.py").read_text(encoding="utf-8")
)[0]

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "benchmarks/RESULTS.md"]
myst_heading_anchors = 4
smartquotes = False
nitpicky = True
highlight_language = "none"

html_theme = "furo"
html_title = f"bertctl {release}"
html_static_path = ["static"]
html_css_files = ["wide.css"]
html_additional_pages = {"index": "front.html"}
templates_path = ["templates"]
html_show_sourcelink = False
html_copy_source = False


def contents(index: str) -> str:
    """Turn the headings and links of docs/index.md into hidden tables of contents, itself first."""
    tables: list[str] = []
    for section in index.split("\n## ")[1:]:
        caption, _, body = section.partition("\n")
        links = re.findall(r"^- \[.*?\]\(([^)#]+)\.md\)", body, re.M)
        pages = [os.path.normpath(f"docs/{link}") for link in links]
        listed = [page for page in pages if page != root_doc]
        first = [] if tables else ["docs/index"]
        lines = ["```{toctree}", ":hidden:", f":caption: {caption}", "", *first, *listed, "```"]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give the front page the table of contents, which on a code host is a page of its own."""
    if docname == root_doc:
        index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
        source[0] += "\n\n" + contents(index) + "\n"


def setup(app: Sphinx) -> None:
    """Tell Sphinx."""
    app.connect("source-read", add_contents)
