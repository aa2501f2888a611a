import pickle
from pathlib import Path

import pytest

from serve_app import errors

EXAMPLES = [
    errors.InvalidRequest(["filters", 0], "must be an object"),
    errors.UnknownItem("i1"),
    errors.UnknownRecord(),
    errors.EntriesInvalid([(3, "value", "value is negative")]),
    errors.NotStored("timed_out", 2),
    errors.BodyTooLarge(10),
    errors.Overloaded(7),
    errors.StageFailed("ranker", "unreachable"),
    errors.StageTimedOut("features", 0.05),
    errors.StoreUnavailable("redis", "ConnectionError"),
    errors.BundleMissing("bundles", "20231114-00000000", ["20231114-11111111"]),
    errors.BundleDamaged("20231114-00000000", "manifest.json is missing"),
    errors.ModelsUnusable("20231114-00000000", "main"),
    errors.NoBundleOpens("bundles", "bundle 20231114-00000000 is damaged"),
    errors.FingerprintMismatch("main", "0123456789ab", "ba9876543210"),
    errors.SettingsInvalid("DATABASE_URL", "no such server"),
    errors.EmbeddedStoresFailed(Path("/home"), "no space left"),
    errors.ExtraMissing("report", "matplotlib"),
    errors.DataRejected(Path("items.csv"), "it has no rows"),
    errors.DiskFull("/data/fit"),
    errors.SchemaMismatch(1, None),
    errors.SchemaMismatch(1, 2),
    errors.SchemaMismatch(2, 1),
    errors.AnotherShop("bundles", "1f0e", "2a3b"),
    errors.DatabaseFailed("the load", "No space left on device"),
    errors.NotEnoughData("there are no items"),
    errors.StepMissing("features", "train"),
    errors.PromotionRefused("20231114-00000000", "its fit kept it back"),
    errors.NothingServedBefore("bundles", ["20231114-00000000"]),
    errors.NothingServedBefore("bundles", []),
    errors.ServeUnreachable("http://localhost:8265", "timed out"),
    errors.ServiceUnreachable("http://localhost:8000", "timed out"),
    errors.PortTaken(8000, "HTTP", "process 17 (haproxy)", "change http_options.port"),
]


def test_every_error_has_an_example():
    defined = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RecserveError)
    }
    roots = {
        errors.RecserveError,
        errors.CallerError,
        errors.BundleError,
        errors.OperatorError,
    }

    assert {type(example) for example in EXAMPLES} == defined - roots


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_survives_a_pickle(example):
    copy = pickle.loads(pickle.dumps(example))

    assert type(copy) is type(example)
    assert vars(copy) == vars(example)
    assert str(copy) == str(example)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_message_is_one_line(example):
    assert str(example)
    assert "\n" not in str(example)
