"""Defines every error that recserve raises on purpose.

    RecserveError
    ├── CallerError                 the caller of the HTTP API can correct the request
    │   ├── InvalidRequest     422
    │   ├── UnknownItem        404
    │   ├── BodyTooLarge       413
    │   └── Overloaded         429  with Retry-After
    ├── StageFailed            ---  absorbed by the pipeline: a simpler list is answered
    │   ├── StageTimedOut
    │   └── StoreUnavailable
    ├── BundleError            ---  the replicas keep serving the bundle that they have
    │   ├── BundleMissing
    │   ├── BundleDamaged
    │   └── FingerprintMismatch
    └── OperatorError          ---  the command ends with the message of the error
        ├── SettingsInvalid
        ├── EmbeddedStoresFailed
        ├── ExtraMissing
        ├── DataRejected
        ├── SchemaMismatch
        ├── NotEnoughData
        ├── StepMissing
        ├── PromotionRefused
        ├── NothingServedBefore
        ├── ServeUnreachable
        └── PortTaken

Any other error that escapes is a bug: it is logged with its traceback and answered with 500.
Errors travel between processes as pickles, and a pickle repeats the constructor with ``args``.
Constructors therefore pass all their arguments to ``super().__init__`` by position.
"""

from collections.abc import Sequence
from pathlib import Path


class RecserveError(Exception):
    """Root of all errors above."""


class CallerError(RecserveError):
    """A request that its caller can correct."""

    http_status = 400


class InvalidRequest(CallerError):
    """A request has a value that is not allowed; ``message`` says what is allowed."""

    http_status = 422

    def __init__(self, location: Sequence[str | int], message: str) -> None:
        super().__init__(tuple(location), message)
        self.location = tuple(location)
        self.message = message

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.location))}: {self.message}"


class UnknownItem(CallerError):
    """The served catalogue has no such item."""

    http_status = 404

    def __init__(self, item_id: str) -> None:
        super().__init__(item_id)

    def __str__(self) -> str:
        return "item {!r} is not in the catalogue".format(*self.args)


class BodyTooLarge(CallerError):
    """The request body is longer than the limit."""

    http_status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)

    def __str__(self) -> str:
        return "the body may have at most {} bytes".format(*self.args)


class Overloaded(CallerError):
    """More requests are waiting than can be answered in time."""

    http_status = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"too many requests are waiting: try again in {self.retry_after_s} s"


class StageFailed(RecserveError):
    """A stage gave no usable result; the pipeline replaces it with something simpler."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(stage, reason)
        self.stage = stage
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


class StageTimedOut(StageFailed):
    """A stage gave no answer before its deadline."""

    def __init__(self, stage: str, deadline_s: float) -> None:
        super().__init__(stage, "timed_out")
        self.args = (stage, deadline_s)  # what this constructor takes, not the parent's
        self.deadline_s = deadline_s

    def __str__(self) -> str:
        return f"{self.stage}: no answer within {self.deadline_s * 1e3:.0f} ms"


class StoreUnavailable(StageFailed):
    """A store gave no answer, or an answer that cannot be read."""


class BundleError(RecserveError):
    """A bundle that cannot be served."""


class BundleMissing(BundleError):
    """The root has no such version."""

    def __init__(self, root: str, version: str, others: Sequence[str] = ()) -> None:
        super().__init__(root, version, tuple(others))
        self.root = root
        self.version = version
        self.others = tuple(others)

    def __str__(self) -> str:
        others = ", ".join(self.others)
        instead = f"; there are {others}" if others else ": publish one with `recserve fit`"
        return f"no bundle {self.version!r} under {self.root}{instead}"


class BundleDamaged(BundleError):
    """A file of the bundle is missing, or differs from the manifest."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(version, reason)
        self.version = version
        self.reason = reason

    def __str__(self) -> str:
        return f"bundle {self.version} is damaged: {self.reason}"


class FingerprintMismatch(BundleError):
    """A model was fitted with features that this build assembles differently."""

    def __init__(self, model: str, expected: str, actual: str) -> None:
        super().__init__(model, expected, actual)
        self.model = model
        self.expected = expected
        self.actual = actual

    def __str__(self) -> str:
        return (
            f"model {self.model!r} was fitted with features {self.actual}, this build assembles"
            f" {self.expected}: fit again with `recserve fit`"
        )


class OperatorError(RecserveError):
    """A command cannot go on; the message is one sentence that says what to do."""


class SettingsInvalid(OperatorError):
    """A file, variable or option has a value that is not allowed."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(location, reason)
        self.location = location
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.location}: {self.reason}"


class EmbeddedStoresFailed(OperatorError):
    """The PostgreSQL and Redis that come with the package did not start."""

    def __init__(self, home: Path, reason: str) -> None:
        super().__init__(home, reason)
        self.home = home
        self.reason = reason

    def __str__(self) -> str:
        return f"the embedded stores in {self.home} did not start: {self.reason}"


class ExtraMissing(OperatorError):
    """A package is missing. The arguments are the extra that installs it, and its name."""

    def __str__(self) -> str:
        return "{1} is not installed: run `pip install 'recserve[{0}]'`".format(*self.args)


class DataRejected(OperatorError):
    """A file was rejected, and nothing was loaded from it."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        self.reason = reason

    def __str__(self) -> str:
        return f"nothing was loaded from {self.file}: {self.reason}"


class SchemaMismatch(OperatorError):
    """The database has no schema, or one of another version than this build uses."""

    def __init__(self, expected: int, actual: int | None) -> None:
        super().__init__(expected, actual)
        self.expected = expected
        self.actual = actual

    def __str__(self) -> str:
        if self.actual is None:
            return "the database has no recserve schema yet: run `recserve load` or `recserve fit`"
        return (
            f"the database has schema version {self.actual}, this build uses {self.expected}:"
            " use the build for that version, or load into a new database"
        )


class NotEnoughData(OperatorError):
    """There are too few data to fit on; the message says how many are needed."""


class StepMissing(OperatorError):
    """A step of the fit needs the result of another step, which has not run."""

    def __init__(self, missing: str, step: str) -> None:
        super().__init__(missing, step)
        self.missing = missing
        self.step = step

    def __str__(self) -> str:
        need = f"step {self.step!r} needs {self.missing!r} with the same data and settings"
        return f"{need}: run `recserve fit --step {self.missing}`, or `recserve fit`"


class PromotionRefused(OperatorError):
    """A version should not be served, or no replica could open it."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(version, reason)

    def __str__(self) -> str:
        version, reason = self.args
        force = f"`recserve versions promote {version} --force`"
        return f"{version} is not promoted: {reason}. To promote it anyway: {force}"


class NothingServedBefore(OperatorError):
    """There is no version to roll back to."""

    def __init__(self, root: str, others: Sequence[str]) -> None:
        super().__init__(root, tuple(others))
        self.root = root
        self.others = tuple(others)

    def __str__(self) -> str:
        promote = f"`recserve versions promote` takes {' or '.join(self.others)}"
        instead = promote if self.others else "publish a bundle with `recserve fit`"
        return f"no version that is still under {self.root} was served before: {instead}"


class ServeUnreachable(OperatorError):
    """The REST API of Serve gave no usable answer."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"Serve's API at {self.address} gave no usable answer: {self.reason}"


class PortTaken(OperatorError):
    """Another process listens on a port that this one needs."""

    def __init__(self, port: int, purpose: str) -> None:
        super().__init__(port, purpose)

    def __str__(self) -> str:
        return "port {} ({}) is in use: stop its process, or use another port".format(*self.args)
