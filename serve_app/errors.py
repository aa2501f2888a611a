"""Defines every error that recserve raises on purpose.

    RecserveError
    ├── CallerError                 the caller of the HTTP API can correct the request
    │   ├── InvalidRequest     422
    │   ├── UnknownItem        404
    │   ├── UnknownRecord      404
    │   ├── EntriesInvalid     422  names every bad entry of a list
    │   ├── BodyTooLarge       413
    │   ├── Overloaded         429  with Retry-After
    │   └── NotStored          503  with Retry-After
    ├── StageFailed            ---  absorbed by the pipeline: a simpler list is answered
    │   ├── StageTimedOut
    │   └── StoreUnavailable
    ├── BundleError            ---  the replicas keep serving the bundle that they have
    │   ├── BundleMissing
    │   ├── BundleDamaged
    │   ├── ModelsUnusable
    │   ├── NoBundleOpens
    │   └── FingerprintMismatch
    └── OperatorError          ---  the command ends with the message of the error
        ├── SettingsInvalid
        ├── EmbeddedStoresFailed
        ├── ExtraMissing
        ├── DataRejected
        ├── DiskFull
        ├── SchemaMismatch
        ├── AnotherShop
        ├── DatabaseFailed
        ├── NotEnoughData
        ├── StepMissing
        ├── PromotionRefused
        ├── NothingServedBefore
        ├── ServeUnreachable
        ├── ServiceUnreachable
        └── PortTaken

Any other error that escapes is a bug: it is logged with its traceback and answered with 500.
Errors travel between processes as pickles. An error is a dataclass of its facts: a pickle repeats
its constructor with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, dataclass_transform


@dataclass_transform(eq_default=False, field_specifiers=(field,))
@dataclass(eq=False)
class RecserveError(Exception):
    """Root of all errors above. Makes every error a dataclass.

    Attributes:
        text: the message; names in braces are facts of the error.
    """

    text: ClassVar[str]

    def __init_subclass__(cls) -> None:
        # Without equality: an error is equal to itself alone, as all exceptions are.
        dataclass(eq=False)(cls)

    def __post_init__(self) -> None:
        # A pickle gives ``args`` to the constructor. Keyword arguments would be lost otherwise.
        self.args = tuple(getattr(self, fact.name) for fact in fields(self) if fact.init)

    def __str__(self) -> str:
        return self.text.format(**vars(self))


class CallerError(RecserveError):
    """A request that its caller can correct."""

    http_status: ClassVar[int] = 400


class InvalidRequest(CallerError):
    """A request has a value that is not allowed; ``message`` says what is allowed."""

    http_status = 422
    location: Sequence[str | int]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.location))}: {self.message}"


class UnknownItem(CallerError):
    """The served catalogue has no such item."""

    http_status = 404
    text = "item {item_id!r} is not in the catalogue"
    item_id: str


class UnknownRecord(CallerError):
    """Nothing is stored under this id."""

    http_status = 404
    text = "nothing is stored under this id"


class EntriesInvalid(CallerError):
    """Entries of a post are not valid, and nothing of it is stored.

    Attributes:
        entries: position, field and reason of each bad entry.
        is_list: the body was a list; otherwise it was its only entry.
    """

    http_status = 422
    entries: Sequence[tuple[int, str, str]]
    is_list: bool = True

    def __str__(self) -> str:
        return "; ".join(f"entry {index}: {reason}" for index, _, reason in self.entries)


class BodyTooLarge(CallerError):
    """The request body is longer than the limit."""

    http_status = 413
    text = "the body may have at most {limit_bytes} bytes"
    limit_bytes: int


class Overloaded(CallerError):
    """More requests are waiting than can be answered in time."""

    http_status = 429
    text = "too many requests are waiting: try again in {retry_after_s} s"
    retry_after_s: int


class NotStored(CallerError):
    """A post was not stored in time, as far as is known. The same post again is safe."""

    http_status = 503
    text = "not known to be stored ({reason}): send the same body again in {retry_after_s} s"
    reason: str
    retry_after_s: int


class StageFailed(RecserveError):
    """A stage gave no usable result; the pipeline replaces it with something simpler."""

    text = "{stage}: {reason}"
    stage: str
    reason: str


class StageTimedOut(StageFailed):
    """A stage gave no answer before its deadline."""

    reason: str = field(init=False, default="timed_out")
    deadline_s: float

    def __str__(self) -> str:
        return f"{self.stage}: no answer within {self.deadline_s * 1e3:.0f} ms"


class StoreUnavailable(StageFailed):
    """A store gave no answer, or an answer that cannot be read."""


class BundleError(RecserveError):
    """A bundle that cannot be served."""


class BundleMissing(BundleError):
    """The root has no such version."""

    root: str
    version: str
    others: Sequence[str] = ()

    def __str__(self) -> str:
        others = ", ".join(self.others)
        instead = f"; there are {others}" if others else ": publish one with `recserve fit`"
        return f"no bundle {self.version!r} under {self.root}{instead}"


class BundleDamaged(BundleError):
    """A file of the bundle is missing, or differs from the manifest."""

    text = "bundle {version} is damaged: {reason}"
    version: str
    reason: str


class ModelsUnusable(BundleError):
    """The bundle has no model that this build can use for a variant."""

    text = "bundle {version} has no usable model of {variants}"
    version: str
    variants: str


class NoBundleOpens(BundleError):
    """Versions were promoted, but a process can open none of them."""

    text = "no bundle under {root} can be opened: {reasons}"
    root: str
    reasons: str


class FingerprintMismatch(BundleError):
    """A model was fitted with features that this build assembles differently."""

    text = (
        "model {model!r} was fitted with features {actual}, this build assembles {expected}: fit"
        " again with `recserve fit`"
    )
    model: str
    expected: str
    actual: str


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
