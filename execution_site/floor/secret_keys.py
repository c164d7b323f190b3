"""The installation's own keys: given by the environment, or made once in `DATA_DIR/secrets.json`.

So there is no default key anywhere. A key has those before it behind it: they open and verify what
was written with them. The file holds `{name: [newest, before, ...]}` and is its user's alone.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from execution_site.floor import private_json

NAMES = ("SECRET_KEY", "CREDENTIALS_KEY", "AUDIT_KEY")
FALLBACKS = "_FALLBACKS"

Keys = dict[str, list[str]]


class KeysUnusable(ImproperlyConfigured):
    """There are no keys, and none may be made or read; the message says why."""


def load(data_dir: Path, environ: Mapping[str, str]) -> Keys:
    """Return every key with those before it, newest first.

    :raises KeysUnusable: the file is missing beside a database, or cannot be read or written
    """
    given = {name: _given(environ, name) for name in NAMES}
    if all(given.values()):
        return given
    try:
        stored = stored_keys(data_dir) or _make(data_dir)
    except (OSError, ValueError, LookupError) as e:
        raise KeysUnusable(
            f"{path_of(data_dir)} cannot be used ({e}): give {', '.join(NAMES)} in the"
            " environment, or set DATA_DIR to a folder of this user's own"
        ) from e
    return {name: given[name] or stored[name] for name in NAMES}


def is_given(name: str) -> bool:
    """Tell whether a key comes from the environment, where the operator renews it."""
    return bool(os.environ.get(name))


def valid(name: str) -> Iterator[str]:
    """Yield the keys that open and verify: this process's, then any put into the file since."""
    known = [getattr(settings, name), *getattr(settings, name + FALLBACKS)]
    yield from known
    if not is_given(name):
        yield from (key for key in stored_keys(settings.DATA_DIR).get(name, ()) if key not in known)


def stored_keys(data_dir: Path) -> Keys:
    """Return what the file holds, nothing where there is none."""
    path = path_of(data_dir)
    if not path.exists():
        return {}
    stored = json.loads(path.read_text())
    return {name: [str(key) for key in stored[name]] for name in NAMES}


def put_new_first(data_dir: Path, name: str) -> list[str]:
    """Make a new key of this name, keep those before it, and return them all."""
    stored = stored_keys(data_dir)
    stored[name] = [new_key(), *stored[name]]
    private_json.replace(path_of(data_dir), stored)
    return stored[name]


def new_key() -> str:
    """Return a key of 384 random bits."""
    return secrets.token_urlsafe(48)


def path_of(data_dir: Path) -> Path:
    """Return where the keys are kept."""
    return data_dir / "secrets.json"


def _given(environ: Mapping[str, str], name: str) -> list[str]:
    before = environ.get(name + FALLBACKS, "").split(",")
    return [key for key in (environ.get(name, ""), *before) if key] if environ.get(name) else []


def _make(data_dir: Path) -> Keys:
    """Make the file; of several processes that start at once, the first one's keys count."""
    made = _kept_with_the_ports(data_dir)
    if not made and (data_dir / "postgres").exists():
        raise ValueError("it is missing beside a database that was written with its keys")
    made = made or {name: [new_key()] for name in NAMES}
    return made if private_json.create(path_of(data_dir), made) else stored_keys(data_dir)


def _kept_with_the_ports(data_dir: Path) -> Keys:
    """Return the keys from where version 1.0 kept them."""
    path = data_dir / "runtime.json"
    kept = json.loads(path.read_text()).get("secrets", {}) if path.exists() else {}
    return {name: [kept[name]] for name in NAMES} if kept else {}
