"""Sums of Greeks over positions: by underlying, expiry, strategy, account, and in total."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
GREEKS = ("delta", "gamma", "vega", "theta", "rho")


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which group each position is in, by number, and what the groups are called."""

    numbers: NDArray[np.intp]
    names: Sequence[Any]


def group(names: Sequence[Hashable]) -> Grouping:
    """Return the grouping of positions by a name of each, groups in the order they appear."""
    numbers: dict[Hashable, int] = {}
    index = [numbers.setdefault(name, len(numbers)) for name in names]
    return Grouping(np.array(index, np.intp), tuple(numbers))


def sums(greeks: Array, groupings: Mapping[str, Grouping]) -> dict[str, Array]:
    """Return, for each grouping, its groups' sums: one row a group, one column a Greek.

    `greeks` has one row a position; what is NaN in it is left out.
    """
    known = np.nan_to_num(greeks, nan=0.0)
    summed = {}
    for name, grouping in groupings.items():
        count = len(grouping.names)
        columns = [np.bincount(grouping.numbers, column, count) for column in known.T]
        summed[name] = np.stack(columns, axis=1).astype(np.float64, copy=False)
    return summed
