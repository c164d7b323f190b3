"""The kinds of change that can be made to take a second person."""

from enum import StrEnum


class ChangeKind(StrEnum):
    """What can be made to take a second person; proposals and rules name it so."""

    LIMIT_UP = "limit_up"
    BREAKER_UP = "breaker_up"
    KILL_RELEASE = "kill_release"
    MODE = "mode"
    LIVE_SWITCH = "live_switch"
    RIGHTS = "rights"
    KEY = "key"
    CONNECTION = "connection"
    CREDENTIALS = "credentials"
    RULE_END = "rule_end"
