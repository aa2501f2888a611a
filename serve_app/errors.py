"""Every error that recserve raises on purpose.

    RecserveError
    ├── CallerError                 the caller of the HTTP API can mend it
    │   ├── InvalidRequest     422
    │   ├── UnknownItem        404
    │   ├── BodyTooLarge       413
    │   └── Overloaded         429  with Retry-After
    ├── StageFailed            ---  absorbed by the pipeline: another list is answered
    │   ├── StageTimedOut
    │   └── StoreUnavailable
    ├── BundleError            ---  the served bundle stays the one before
    │   ├── BundleMissing
    │   ├── BundleDamaged
    │   └── FingerprintMismatch
    └── OperatorError          ---  a command ends with this one sentence
        ├── SettingsInvalid
        ├── EmbeddedStoresFailed
        ├── DataRejected
        ├── SchemaMismatch
        ├── NotEnoughData
        ├── StepMissing
        ├── PromotionRefused
        ├── NothingServedBefore
        ├── ServeUnreachable
        └── PortTaken

Anything else that escapes is a bug: it is logged with its traceback and answered with 500.
Constructors pass their arguments on to ``super().__init__`` by position, because errors travel
between processes as pickles.
"""

from collections.abc import Sequence
from pathlib import Path


class RecserveError(Exception):
    """Root of all errors above."""


class CallerError(RecserveError):
    """The caller of the HTTP API can mend it."""

    http_status = 400


class InvalidRequest(CallerError):
    """A request that says something that is not allowed; ``message`` says what is."""

    http_status = 422

    def __init__(self, location: Sequence[str | int], message: str) -> None:
        super().__init__(tuple(location), message)
        self.location = tuple(location)
        self.message = message

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.location))}: {self.message}"


class UnknownItem(CallerError):
    """No such item in the catalogue that is served."""

    http_status = 404

    def __init__(self, item_id: str) -> None:
        super().__init__(item_id)
        self.item_id = item_id

    def __str__(self) -> str:
        return f"item {self.item_id!r} is not in the catalogue"


class BodyTooLarge(CallerError):
    """The request body is longer than is read."""

    http_status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(limit_bytes)
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return f"the body may have at most {self.limit_bytes} bytes"


class Overloaded(CallerError):
    """More requests wait than can be answered in time."""

    http_status = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"too many requests are waiting: try again in {self.retry_after_s} s"


class StageFailed(RecserveError):
    """A stage gave nothing usable; the pipeline puts something simpler in its place."""

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
        self.args = (stage, deadline_s)
        self.deadline_s = deadline_s

    def __str__(self) -> str:
        return f"{self.stage}: no answer within {self.deadline_s * 1e3:.0f} ms"


class StoreUnavailable(StageFailed):
    """A store gave no answer, or one that cannot be read."""


class BundleError(RecserveError):
    """A bundle that cannot be served."""


class BundleMissing(BundleError):
    """Nothing has been published under this root, or not this version."""

    def __init__(self, root: str, version: str, others: Sequence[str] = ()) -> None:
        super().__init__(root, version, tuple(others))
        self.root = root
        self.version = version
        self.others = tuple(others)

    def __str__(self) -> str:
        there = ", ".join(self.others)
        instead = f"; there are {there}" if there else ": publish one with `recserve fit`"
        return f"no bundle {self.version!r} under {self.root}{instead}"


class BundleDamaged(BundleError):
    """A file of the bundle is missing or is not what its manifest says."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(version, reason)
        self.version = version
        self.reason = reason

    def __str__(self) -> str:
        return f"bundle {self.version} is damaged: {self.reason}"


class FingerprintMismatch(BundleError):
    """A model was fitted with features that this build assembles differently."""

    def __init__(self, model: str, expected: str, found: str) -> None:
        super().__init__(model, expected, found)
        self.model = model
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return (
            f"model {self.model!r} was fitted with features {self.found}, this build assembles"
            f" {self.expected}: fit again with `recserve fit`"
        )


class OperatorError(RecserveError):
    """Ends a command with one sentence that says what to do."""


class SettingsInvalid(OperatorError):
    """A configuration file says something that is not allowed."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class EmbeddedStoresFailed(OperatorError):
    """The PostgreSQL and Redis that come with the package could not be started."""

    def __init__(self, home: Path, reason: str) -> None:
        super().__init__(home, reason)
        self.home = home
        self.reason = reason

    def __str__(self) -> str:
        return f"the embedded stores in {self.home} did not start: {self.reason}"


class DataRejected(OperatorError):
    """A file of which nothing was loaded."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        self.reason = reason

    def __str__(self) -> str:
        return f"nothing was loaded from {self.file}: {self.reason}"


class SchemaMismatch(OperatorError):
    """The database holds another version of the schema than this build uses."""

    def __init__(self, expected: int, found: int | None) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        if self.found is None:
            return "the database has no recserve schema yet: run `recserve load` or `recserve fit`"
        return (
            f"the database has schema version {self.found}, this build uses {self.expected}:"
            " use the build that fits, or load into a new database"
        )


class NotEnoughData(OperatorError):
    """Too little to fit anything on; the message says how much is needed."""


class StepMissing(OperatorError):
    """A step of the fit cannot run before another has."""

    def __init__(self, step: str, wanted: str) -> None:
        super().__init__(step, wanted)
        self.step = step
        self.wanted = wanted

    def __str__(self) -> str:
        what = f"step {self.wanted!r} needs {self.step!r} with the same data and settings"
        return f"{what}: run `recserve fit --step {self.step}`, or `recserve fit`"


class PromotionRefused(OperatorError):
    """A version that should not be served, or that no replica would take up."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(version, reason)
        self.version = version
        self.reason = reason

    def __str__(self) -> str:
        force = f"`recserve versions promote {self.version} --force` does it all the same"
        return f"{self.version} is not promoted: {self.reason}. {force}"


class NothingServedBefore(OperatorError):
    """There is no version to roll back to."""

    def __init__(self, root: str, others: Sequence[str]) -> None:
        super().__init__(root, tuple(others))
        self.root = root
        self.others = tuple(others)

    def __str__(self) -> str:
        promote = f"`recserve versions promote` takes {' or '.join(self.others)}"
        instead = promote if self.others else "publish a bundle with `recserve fit`"
        return f"nothing that is still under {self.root} was served before: {instead}"


class ServeUnreachable(OperatorError):
    """Serve's REST API gave no usable answer."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"Serve's API at {self.address} gave no usable answer: {self.reason}"


class PortTaken(OperatorError):
    """Another process listens where this one has to."""

    def __init__(self, port: int, purpose: str) -> None:
        super().__init__(port, purpose)
        self.port = port
        self.purpose = purpose

    def __str__(self) -> str:
        return f"port {self.port} ({self.purpose}) is in use: stop what listens there, or change it"
