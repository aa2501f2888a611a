"""Where the parts of a step are worked on: in this process, or on a cluster."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Shared = TypeVar("Shared")
Part = TypeVar("Part")
Result = TypeVar("Result")

Share = tuple[int, int]
"""Which of how many shares of the work: (0, 1) is all of it."""


class Workers(Protocol):
    """
    Whoever works on the parts, the results are the same and come in the order of the parts.

    What is given must be a function of a module, and must not change its arguments.
    """

    def map(
        self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Iterable[Part]
    ) -> Iterator[Result]:
        """
        Args:
            shared: the same for all parts, sent once to each machine.
            parts: small.
        """
        ...

    def together(
        self, work: Callable[[Shared, Share], bytes], shared: Shared, n_workers: int
    ) -> bytes:
        """
        Lets several processes train one model: each is given its share, and XGBoost adds up what
        they find. With one it is trained in one.

        Returns:
            What the first of them returned.
        """
        ...


class Here:
    """In this process, one part after the other."""

    def map(
        self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Iterable[Part]
    ) -> Iterator[Result]:
        return (work(shared, part) for part in parts)

    def together(
        self, work: Callable[[Shared, Share], bytes], shared: Shared, n_workers: int
    ) -> bytes:
        return work(shared, (0, 1))
