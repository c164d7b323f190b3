"""What an installation may not be: refused wherever the application is loaded, in words.

Every process loads it: web under any server, each role, every command.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

LEAST_LENGTH, LEAST_DIFFERENT = 50, 5  # as Django's own check security.W009
PUBLIC_PREFIXES = ("insecure-", "django-insecure-")  # they stand in sources that anybody reads


class Danger(NamedTuple):
    """Why the application is not started, and what to do about it."""

    id: str
    text: str
    hint: str

    def __str__(self) -> str:
        return f"{self.text} ({self.id})\n    {self.hint}"


def dangers(
    *,
    debug: bool,
    demo: bool,
    host: str,
    trusted_hops: int,
    allowed_hosts: Sequence[str],
    keys: Mapping[str, str],
    own_database: bool,
) -> Iterator[Danger]:
    """Yield what must be mended before the application may be loaded.

    `own_database`: the operator's, as against the embedded one.
    """
    yield from _weak_keys(keys)
    if not allowed_hosts or "*" in allowed_hosts:
        yield Danger(
            "execution.E002",
            "ALLOWED_HOSTS is open.",
            "Set ALLOWED_HOSTS to the names under which the site is reached.",
        )
    reached = None if is_loopback(host) else f"HOST={host} is reached by others"
    reached = reached or ("it is behind a proxy (TRUSTED_HOPS)" if trusted_hops else None)
    if debug and reached:
        yield Danger(
            "execution.E004",
            f"DEBUG is on while {reached}.",
            "Leave DEBUG unset; it is for a machine of your own.",
        )
    if demo and (reached or own_database):
        where = reached or "the database is your own (DATABASE_URL)"
        yield Danger(
            "execution.E005",
            f"DEMO is on while {where}: its users have passwords that everybody knows.",
            "Set DEMO=0 (DEMO=0 make run), and make a user: manage.py createsuperuser.",
        )


def is_loopback(host: str) -> bool:
    """Tell whether what listens on this host is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name may lead anywhere
        return False


def _weak_keys(keys: Mapping[str, str]) -> Iterator[Danger]:
    hint = (
        "Leave it unset and one is made under DATA_DIR, or make one:"
        " python -c 'import secrets; print(secrets.token_urlsafe(48))'"
    )
    for name, key in keys.items():
        others = [other for other, value in keys.items() if value == key and other != name]
        if len(key) < LEAST_LENGTH or len(set(key)) < LEAST_DIFFERENT:
            problem = f"has fewer than {LEAST_LENGTH} characters or few different ones"
        elif key.startswith(PUBLIC_PREFIXES):
            problem = "is one that everybody can read"
        elif others:
            problem = f"is the same as {others[0]}"
        else:
            continue
        yield Danger("execution.E001", f"{name} {problem}.", hint)
