import shlex
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from platform import libc_ver

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config

from serve_app.operations.yaml_file import load_yaml
from serve_app.running.environment import parse_env_file

PROJECT = Path(__file__).parents[3]
PROFILES = ("fast", "safe")
OF_THE_C_LIBRARY = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Variables of the profiles that are not of Ray."""


@pytest.fixture
def cluster():
    return load_yaml(PROJECT / "cluster.yaml")


def test_passes_rays_own_validation(cluster):
    validate_config(cluster)
    validate_config(prepare_config(cluster))


def test_uses_the_version_of_ray_that_the_package_is_pinned_to(cluster):
    pinned = "ray[serve,train]>=2.60,<2.61"

    assert pinned in (PROJECT / "pyproject.toml").read_text()
    assert cluster["docker"]["image"].startswith("rayproject/ray:2.60.")


@pytest.mark.parametrize("commands", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_reads_the_environment_before_ray_starts_on_every_node(cluster, commands):
    stop, start = cluster[commands]
    words = shlex.split(start)

    assert stop == "ray stop"
    for file in ("/home/ray/recserve/configs/fast.env;", "/home/ray/stores.env;"):
        assert words.index("-a;") < words.index(file) < words.index("ray")


def test_has_a_head_and_workers_that_outlive_one_of_them(cluster):
    types = cluster["available_node_types"]

    assert cluster["head_node_type"] == "head"
    assert types["head"]["resources"] == {"CPU": 0}
    assert types["worker"]["min_workers"] >= 2


def test_copies_what_the_installation_needs(cluster):
    copied = set(cluster["file_mounts"].values())

    assert {
        "pyproject.toml",
        "setup.py",
        "requirements",
        "README.md",
        "serve_app",
        "configs",
        "serve_config.yaml",
    } <= copied
    [command] = cluster["setup_commands"]
    assert "--require-hashes --only-binary :all: -r /home/ray/recserve/requirements/" in command
    assert command.endswith("--no-deps --no-build-isolation /home/ray/recserve")


@pytest.mark.parametrize("profile", PROFILES)
def test_ray_reads_every_variable_of_a_profile(profile):
    ray = Path(find_spec("ray").origin).parent
    places = ("serve/_private/constants.py", "dashboard/modules/reporter/reporter_consts.py")
    source = "".join((ray / place).read_text() for place in places)
    core = (ray / "_raylet.so").read_bytes()

    for name in parse_env_file(PROJECT / "configs" / f"{profile}.env"):
        if name in OF_THE_C_LIBRARY:
            continue
        # What Ray's core reads is RAY_ and a name in lower case.
        setting = name.removeprefix("RAY_")
        assert f'"{name}"' in source or (setting.islower() and setting.encode() in core), name


@pytest.mark.skipif(libc_ver()[0] != "glibc", reason="another C library has its own variables")
def test_the_c_library_reads_the_variables_that_are_not_of_ray():
    maps = Path("/proc/self/maps").read_text().splitlines()
    loaded = {Path(line.split()[-1]) for line in maps if "/" in line}
    libraries = [file for file in loaded if file.name.startswith(("libc.so", "libc-", "ld-"))]
    known = b"".join(file.read_bytes() for file in libraries)

    assert OF_THE_C_LIBRARY
    for name in OF_THE_C_LIBRARY:
        assert name.encode() in known


@pytest.mark.parametrize("profile", PROFILES)
def test_every_variable_of_a_profile_has_a_reason_above_it(profile):
    lines = (PROJECT / "configs" / f"{profile}.env").read_text().splitlines()

    for above, line in pairwise(lines):
        if line.startswith(("RAY_", *OF_THE_C_LIBRARY)):
            assert above.startswith(("# ", "RAY_", *OF_THE_C_LIBRARY))
