"""Defines how the parts of a step are computed, and computes them in this process."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Shared = TypeVar("Shared")
Part = TypeVar("Part")
Result = TypeVar("Result")

Share = tuple[int, int]
"""Number of a share, and number of shares: (0, 1) is all of the work."""


class Workers(Protocol):
    """Computes parts in one or many processes, with equal results in the order of the parts.

    Functions must be module-level, because other processes import them, and must not change their
    arguments.
    """

    def map(
        self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Iterable[Part]
    ) -> Iterator[Result]:
        """Computes parts; yields the results in their order.

        Args:
            shared: given to the work on every part, sent once to each machine.
            parts: small.
        """
        ...

    def train_together(
        self, work: Callable[[Shared, Share], bytes], shared: Shared, n_workers: int
    ) -> bytes:
        """Trains one model in several processes: each works on one share, and XGBoost adds up their
        gradients. One process trains alone.

        Returns:
            The result of the first process.
        """
        ...


class LocalWorkers:
    """Computes one part after the other in this process."""

    def map(
        self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Iterable[Part]
    ) -> Iterator[Result]:
        return (work(shared, part) for part in parts)

    def train_together(
        self, work: Callable[[Shared, Share], bytes], shared: Shared, n_workers: int
    ) -> bytes:
        # One share, whatever the number: shares can only be trained at the same time.
        return work(shared, (0, 1))
