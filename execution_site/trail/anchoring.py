"""Anchors leave the machine: for a file elsewhere, a command or a webhook, as the settings say."""

import os
import shlex
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from execution_site.trail import anchors
from execution_site.trail.anchors import Anchor

COMMAND_SECONDS, WEBHOOK_SECONDS = 30.0, 10.0
#: All that a command is told of our environment: the rest of it holds keys.
TOLD = ("PATH", "HOME", "LANG")


def targets() -> dict[str, Callable[[Anchor], None]]:
    """Return what sends an anchor to each place that is set, by how the place is named."""
    found: dict[str, Callable[[Anchor], None]] = {}
    if path := settings.AUDIT_ANCHOR_FILE:
        found[f"file {path}"] = partial(anchors.append, to=Path(path))
    if command := shlex.split(settings.AUDIT_ANCHOR_COMMAND):
        found[f"command {command[0]}"] = partial(_run, command)
    if address := settings.AUDIT_ANCHOR_WEBHOOK:
        found[f"webhook {urlsplit(address).hostname}"] = partial(_post, address)
    return found


def send(anchor: Anchor) -> dict[str, str]:
    """Send an anchor to every place; return by place what went wrong, nothing where it arrived."""
    said = {}
    for where, deliver in targets().items():
        try:
            deliver(anchor)
        except (OSError, subprocess.SubprocessError, httpx.HTTPError) as e:
            said[where] = type(e).__name__ if isinstance(e, httpx.HTTPError) else str(e)
        else:
            said[where] = ""
    return said


def _run(command: list[str], anchor: Anchor) -> None:
    """Give a command the anchor as a line of JSON on its standard input."""
    subprocess.run(
        command,
        input=anchor.as_json() + "\n",
        text=True,
        env={name: os.environ[name] for name in TOLD if name in os.environ},
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=True,
    )


def _post(address: str, anchor: Anchor) -> None:
    """Post the anchor as JSON; a redirect is followed nowhere."""
    answer = httpx.post(address, json=anchor._asdict(), timeout=WEBHOOK_SECONDS)
    answer.raise_for_status()
