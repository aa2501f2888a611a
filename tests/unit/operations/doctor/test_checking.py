import socket
import tomllib
from pathlib import Path

import pytest

from serve_app.errors import BundleDamaged, StoreUnavailable
from serve_app.operations.doctor.checking import (
    PYTHON_BELOW,
    PYTHON_FROM,
    Check,
    Outcome,
    compiled_trees,
    config_keys,
    disk_writable,
    environment_profile,
    format_results,
    ports_free,
    python_version,
    run_checks,
    schema_current,
)
from serve_app.running.environment import parse_env_file

PROJECT = Path(__file__).parents[4]
SAFE, FAST = (parse_env_file(PROJECT / "configs" / f"{name}.env") for name in ("safe", "fast"))


def outcome_of(check):
    [result] = run_checks([check])
    return result.outcome, result.detail


def fails_with(error):
    def ask():
        raise error

    return ask


@pytest.fixture
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_runs_every_check_after_one_has_failed():
    results = run_checks([config_keys(lambda: ["a: unknown key"]), python_version((3, 12))])

    assert [result.outcome for result in results] == [Outcome.FAIL, Outcome.PASS]
    assert format_results(results) == (
        "FAIL  configuration   a: unknown key\nPASS  Python version  3.12\n1 of 2 failed"
    )


def test_a_fault_that_two_checks_meet_is_one_failure():
    fails = fails_with(StoreUnavailable("redis", "refused"))

    results = run_checks([Check("first", fails), Check("second", fails)])

    assert [result.outcome for result in results] == [Outcome.FAIL, Outcome.SKIP]
    assert results[1].detail == "as for 'first'"
    assert format_results(results).endswith("1 of 2 failed")


def test_a_fault_of_the_machine_is_a_failure_and_no_traceback():
    assert outcome_of(Check("disk", fails_with(OSError(28, "No space left")))) == (
        Outcome.FAIL,
        "[Errno 28] No space left",
    )


def test_the_summary_says_that_all_is_well():
    assert format_results(run_checks([python_version((3, 11))])).endswith("\nall is well")


def test_a_bug_is_not_reported_as_a_failed_check():
    with pytest.raises(ZeroDivisionError):
        run_checks([Check("divides", lambda: str(1 / 0))])


@pytest.mark.parametrize("version", [(3, 10), (3, 15)])
def test_names_the_supported_versions_of_python(version):
    assert outcome_of(python_version(version)) == (
        Outcome.FAIL,
        f"this is Python 3.{version[1]}: use 3.11 to 3.14",
    )


def test_the_supported_versions_of_python_are_those_of_the_package():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    lowest, below = (".".join(map(str, version)) for version in (PYTHON_FROM, PYTHON_BELOW))

    assert project["requires-python"] == f">={lowest},<{below}"


@pytest.mark.parametrize(("is_compiled", "outcome"), [(True, Outcome.PASS), (False, Outcome.SKIP)])
def test_compiled_trees_pass_and_others_are_skipped(is_compiled, outcome):
    assert outcome_of(compiled_trees(is_compiled))[0] == outcome


def test_a_store_that_does_not_answer_fails_with_the_reason():
    answers = Check("Redis answers", lambda: "6.2.14")
    is_down = Check("Redis answers", fails_with(StoreUnavailable("redis", "refused")))

    assert outcome_of(answers) == (Outcome.PASS, "6.2.14")
    assert outcome_of(is_down) == (Outcome.FAIL, "redis: refused")


@pytest.mark.parametrize(
    ("found", "outcome"), [(3, Outcome.PASS), (2, Outcome.FAIL), (None, Outcome.SKIP)]
)
def test_compares_the_schema_with_that_of_this_build(found, outcome):
    assert outcome_of(schema_current(3, lambda: found))[0] is outcome


def test_a_damaged_bundle_fails_with_the_reason():
    damaged = Check("bundle is whole", fails_with(BundleDamaged("v1", "model.ubj is missing")))

    assert outcome_of(Check("bundle is whole", lambda: "v1")) == (Outcome.PASS, "v1")
    assert outcome_of(damaged) == (Outcome.FAIL, "bundle v1 is damaged: model.ubj is missing")


def test_passes_a_configuration_without_problems():
    assert outcome_of(config_keys(list))[0] is Outcome.PASS


def test_a_port_of_this_service_passes_and_that_of_another_program_fails(taken_port):
    ports = {taken_port: "HTTP"}

    assert outcome_of(ports_free(ports, lambda: True)) == (
        Outcome.PASS,
        f"in use by this service: {taken_port} (HTTP)",
    )
    assert outcome_of(ports_free(ports, lambda: False))[0] is Outcome.FAIL
    assert outcome_of(ports_free({}, lambda: False))[0] is Outcome.PASS


@pytest.mark.parametrize(
    ("environment", "outcome"),
    [
        (FAST, Outcome.PASS),
        (SAFE, Outcome.PASS),
        ({}, Outcome.PASS),
        ({"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}, Outcome.FAIL),
        (FAST | {"RAY_SERVE_ENABLE_HA_PROXY": "0"}, Outcome.FAIL),
        (
            {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0"},
            Outcome.PASS,
        ),
    ],
)
def test_finds_variables_of_serve_that_contradict_each_other(environment, outcome):
    assert outcome_of(environment_profile(environment))[0] is outcome


def test_creates_a_missing_folder(tmp_path):
    assert outcome_of(disk_writable(tmp_path / "a" / "b", 1))[0] is Outcome.PASS
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_names_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")

    outcome, detail = outcome_of(disk_writable(tmp_path / "file", 1))

    assert outcome is Outcome.FAIL
    advice = "set RECSERVE_HOME to a folder that can be written"
    assert detail == f"{tmp_path / 'file'}: File exists: {advice}"


def test_names_a_disk_that_is_too_full(tmp_path):
    outcome, detail = outcome_of(disk_writable(tmp_path, 10**18))

    assert outcome is Outcome.FAIL
    assert "GB free, 1000000000.0 are needed" in detail
