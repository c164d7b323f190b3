"""How passwords are hashed."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class OneLane(Argon2PasswordHasher):
    """Argon2id on one processor, so that a sign-in leaves the others to trading.

    64 MiB and three passes, as RFC 9106 recommends where memory is short; its four lanes would
    divide the work, not make it more.
    """

    memory_cost, time_cost, parallelism = 64 * 1024, 3, 1
