"""Installed packages to their docstrings: what is there, its modules, what they say of themselves.

Sources are parsed and never imported, so nothing of theirs runs.
"""

from __future__ import annotations

import ast
import platform
import re
import sysconfig
import warnings
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from prose import prose

CORE = (
    "click",
    "numpy",
    "pyarrow",
    "rich",
    "safetensors",
    "sentencex",
    "tokenizers",
    "torch",
    "tqdm",
)
"""What bertctl itself depends on; what these bring along is found by following them."""

STANDARD_LIBRARY = "python"

NOT_ITS_OWN = frozenset(
    {
        "__pycache__",
        "_vendor",
        "idle_test",
        "lib2to3",
        "site-packages",
        "test",
        "tests",
        "vendored",
    }
)
"""Folders of tests, or of copies of other packages."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A distribution, and the folders or single files at the top of what it installs."""

    name: str
    version: str
    roots: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Module:
    """A dotted name and its sources: a `.py`, a `.pyi`, or both."""

    package: str
    name: str
    paths: tuple[Path, ...]


def installed_packages(core: tuple[str, ...] = CORE) -> list[Package]:
    """Return the standard library, `core` and everything installed that these require, by name."""
    standard_library = Package(
        name=STANDARD_LIBRARY,
        version=platform.python_version(),
        roots=(Path(sysconfig.get_path("stdlib")),),
    )
    found: dict[str, Package] = {standard_library.name: standard_library}
    wanted = list(core)
    while wanted:
        name = _normalised(wanted.pop())
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # another system's or another Python's dependency
        found[name] = Package(name=name, version=distribution.version, roots=_roots(distribution))
        wanted += [
            required[0]
            for line in distribution.requires or ()
            if "extra ==" not in line and (required := re.match(r"[\w.-]+", line))
        ]
    return [found[name] for name in sorted(found)]


def modules(package: Package) -> list[Module]:
    """Return a package's own modules, tests and vendored copies left out, by name."""
    sources: dict[str, list[Path]] = {}
    for root in package.roots:
        top = root if package.name == STANDARD_LIBRARY else root.parent
        for path in [root] if root.is_file() else sorted(root.rglob("*.py*")):
            if path.suffix in {".py", ".pyi"} and _is_own(path.relative_to(top)):
                sources.setdefault(_dotted(path.relative_to(top)), []).append(path)
    return [
        Module(package=package.name, name=name, paths=tuple(sorted(paths)))
        for name, paths in sorted(sources.items())
    ]


def docstring_prose(module: Module) -> list[list[str]]:
    """Return the prose paragraphs of each of a module's docstrings, in source order.

    Docstrings without prose are left out, and so are files that this Python can't parse.
    """
    return [
        paragraphs
        for path in module.paths
        for docstring in _docstrings(path.read_bytes())
        if (paragraphs := prose(docstring))
    ]


def _docstrings(source: bytes) -> list[str]:
    if b'"""' not in source and b"'''" not in source:
        return []  # parsing is most of the time, and one-line strings are hardly prose
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other people's escapes
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, documented)]
    nodes.sort(key=lambda node: getattr(node, "lineno", 0))
    return [docstring for node in nodes if (docstring := ast.get_docstring(node))]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _roots(distribution: metadata.Distribution) -> tuple[Path, ...]:
    tops = {
        path.parts[0]
        for path in distribution.files or ()
        if path.suffix in {".py", ".pyi"} and not path.parts[0].startswith(("__", "."))
    }
    return tuple(Path(str(distribution.locate_file(top))) for top in sorted(tops))


def _is_own(path: Path) -> bool:
    tests = path.name.startswith("test_") or path.name == "conftest.py"
    return not tests and NOT_ITS_OWN.isdisjoint(path.parts)


def _dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")
