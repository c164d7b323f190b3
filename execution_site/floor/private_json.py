"""JSON files that are their user's alone, written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from execution_site.floor import private_files


def create(path: Path, values: Any) -> bool:
    """Write a file that is not there; of several processes the first one wins and gets True."""
    partial = _partial(path, values)
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        partial.unlink()
    return True


def replace(path: Path, values: Any) -> None:
    """Write a file in one step, whatever it held."""
    _partial(path, values).replace(path)


def _partial(path: Path, values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.unlink(missing_ok=True)
    with os.fdopen(private_files.opened(partial, os.O_EXCL | os.O_WRONLY), "w") as file:
        json.dump(values, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    return partial
