"""PostgreSQL and Valkey for the tests: loaded before Django reads its settings.

DATABASE_URL and REDIS_URL choose servers; unset, the embedded ones are started for this run, not
flushing to disk, which tests of crashes do in sites of their own (tests/site.py).
"""

import atexit
import os
import tempfile
from pathlib import Path

from execution_site.embedded import Services

if not os.environ.get("DATABASE_URL"):
    _directory = tempfile.TemporaryDirectory(prefix="execution-tests-")
    Path(_directory.name).chmod(0o755)
    services = Services(Path(_directory.name), durable=False)
    services.own()
    services.start()
    atexit.register(_directory.cleanup)
    atexit.register(services.stop)
    os.environ.update(services.runtime.environment())
    os.environ["DATA_DIR"] = _directory.name
