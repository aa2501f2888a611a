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
its constructor with them. The rest of the package imports every error from here.
"""

from serve_app.errors.bundle_errors import (
    BundleDamaged,
    BundleError,
    BundleMissing,
    FingerprintMismatch,
    ModelsUnusable,
    NoBundleOpens,
)
from serve_app.errors.caller_errors import (
    BodyTooLarge,
    CallerError,
    EntriesInvalid,
    InvalidRequest,
    NotStored,
    Overloaded,
    UnknownItem,
    UnknownRecord,
)
from serve_app.errors.operator_errors import (
    AnotherShop,
    DatabaseFailed,
    DataRejected,
    DiskFull,
    EmbeddedStoresFailed,
    ExtraMissing,
    NotEnoughData,
    NothingServedBefore,
    OperatorError,
    PortTaken,
    PromotionRefused,
    SchemaMismatch,
    ServeUnreachable,
    ServiceUnreachable,
    SettingsInvalid,
    StepMissing,
)
from serve_app.errors.root import (
    RecserveError,
)
from serve_app.errors.stage_errors import (
    StageFailed,
    StageTimedOut,
    StoreUnavailable,
)

__all__ = [
    "AnotherShop",
    "BodyTooLarge",
    "BundleDamaged",
    "BundleError",
    "BundleMissing",
    "CallerError",
    "DataRejected",
    "DatabaseFailed",
    "DiskFull",
    "EmbeddedStoresFailed",
    "EntriesInvalid",
    "ExtraMissing",
    "FingerprintMismatch",
    "InvalidRequest",
    "ModelsUnusable",
    "NoBundleOpens",
    "NotEnoughData",
    "NotStored",
    "NothingServedBefore",
    "OperatorError",
    "Overloaded",
    "PortTaken",
    "PromotionRefused",
    "RecserveError",
    "SchemaMismatch",
    "ServeUnreachable",
    "ServiceUnreachable",
    "SettingsInvalid",
    "StageFailed",
    "StageTimedOut",
    "StepMissing",
    "StoreUnavailable",
    "UnknownItem",
    "UnknownRecord",
]
