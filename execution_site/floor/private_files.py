"""Files of the data directory: their user's alone, whoever makes them.

What a command makes as root belongs to the owner of the folder: it locks no process of the site out
(execution_site/installation/unprivileged.py).
"""

import os
from pathlib import Path


def opened(path: Path, flags: int) -> int:
    """Open a file, made where it is missing, and return its descriptor.

    As root no link is followed: the folder's owner could have it lead anywhere.
    """
    is_root = os.geteuid() == 0
    descriptor = os.open(path, flags | os.O_CREAT | (os.O_NOFOLLOW if is_root else 0), 0o600)
    facts, folder = os.fstat(descriptor), path.parent.stat()
    if is_root and facts.st_uid != folder.st_uid and facts.st_uid == 0 and facts.st_nlink == 1:
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor
