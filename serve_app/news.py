"""What a process finds again and again, told once."""

from collections.abc import Callable


class ChangeLogger:
    """Tells what is wrong with something only where that is not what was told of it last."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        """
        Args:
            tell: e.g. a method of a logger.
        """
        self._tell = tell
        self._told: dict[str, str] = {}

    def wrong(self, subject: str, what: str) -> None:
        """
        Args:
            subject: one of few: what was told last is kept of each.
        """
        if self._told.get(subject) != what:
            self._told[subject] = what
            self._tell(what)

    def well(self, subject: str) -> None:
        """Whatever is wrong with it from now on is news."""
        self._told.pop(subject, None)
