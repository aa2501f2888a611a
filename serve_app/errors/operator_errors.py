"""Defines the errors that end a command with their message."""

from collections.abc import Sequence
from pathlib import Path

from serve_app.errors.root import RecserveError


class OperatorError(RecserveError):
    """A command cannot go on; the message is one sentence that says what to do."""


class SettingsInvalid(OperatorError):
    """A file, variable or option has a value that is not allowed."""

    text = "{location}: {reason}"
    location: str
    reason: str


class EmbeddedStoresFailed(OperatorError):
    """The PostgreSQL and Redis that come with the package did not start."""

    text = "the embedded stores in {home} did not start: {reason}"
    home: Path
    reason: str


class ExtraMissing(OperatorError):
    """A package is missing that an extra installs."""

    text = "{package} is not installed: run `pip install 'recserve[{extra}]'`"
    extra: str
    package: str


class DataRejected(OperatorError):
    """A file was rejected, and nothing was loaded from it."""

    text = "nothing was loaded from {file}: {reason}"
    file: Path
    reason: str


class DiskFull(OperatorError):
    """No space is left for what a command writes. What was there before stays."""

    text = (
        "no space is left on the disk of {place}: free some and run the command again; nothing that"
        " was there before is lost"
    )
    place: str


class SchemaMismatch(OperatorError):
    """The database has no schema, or one of another version than this build uses."""

    text = (
        "the database has schema version {actual}, this build knows versions up to {expected}: use"
        " the build for that version, or load into a new database"
    )
    expected: int
    actual: int | None

    def __str__(self) -> str:
        if self.actual is None:
            return "the database has no recserve schema yet: run `recserve load` or `recserve fit`"
        if self.actual < self.expected:
            return f"the tables have version {self.actual}: `recserve load` or `fit` migrates them"
        return super().__str__()


class AnotherShop(OperatorError):
    """The bundle and the database belong to different shops."""

    text = (
        "{root} serves a bundle of shop {served}, the database holds shop {actual}: use that shop's"
        " database, set `bundles` to another folder, or replace the bundle with"
        " `recserve fit --force`"
    )
    root: str
    served: str
    actual: str


class DatabaseFailed(OperatorError):
    """PostgreSQL ended the work of a command; the transaction was rolled back."""

    text = "{doing} stopped, and PostgreSQL undid its changes. It says: {reason}"
    doing: str
    reason: str


class NotEnoughData(OperatorError):
    """There are too few data to fit on; the message says how many are needed."""

    text = "{message}"
    message: str


class StepMissing(OperatorError):
    """A step of the fit needs the result of another step, which has not run."""

    text = (
        "step {step!r} needs {missing!r} with the same data and settings: run"
        " `recserve fit --step {missing}`, or `recserve fit`"
    )
    missing: str
    step: str


class PromotionRefused(OperatorError):
    """A version should not be served, or no replica could open it."""

    text = "{version} is not promoted: {reason}. `recserve versions promote {version} --force` does"
    version: str
    reason: str


class NothingServedBefore(OperatorError):
    """There is no version to roll back to."""

    root: str
    others: Sequence[str]

    def __str__(self) -> str:
        promote = f"`recserve versions promote` takes {' or '.join(self.others)}"
        instead = promote if self.others else "publish a bundle with `recserve fit`"
        return f"no version that is still under {self.root} was served before: {instead}"


class ServeUnreachable(OperatorError):
    """The REST API of Serve gave no usable answer."""

    text = "Serve's API at {address} gave no usable answer: {reason}"
    address: str
    reason: str


class ServiceUnreachable(OperatorError):
    """The running service gave a command no usable answer."""

    text = "{address} gave no usable answer: {reason}"
    address: str
    reason: str


class PortTaken(OperatorError):
    """Another process listens on a port that this one needs."""

    text = "port {port} ({purpose}) is in use by {holder}: stop it, or {remedy}"
    port: int
    purpose: str
    holder: str
    remedy: str
