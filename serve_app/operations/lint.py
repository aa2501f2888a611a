"""
What is wrong with a ``serve_config.yaml``, before Ray gets to see it.

Ray ignores keys that it does not know, in most places without a word: a misspelt ``max_replicas``
deploys and never scales. Here each key is checked against Ray's own schema classes, each value by
Ray's own validation.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from serve_app.errors import SettingsInvalid
from serve_app.operations.faults import Place, Problem, accepts, faults, near, written

# Ray's own, for what a deployment leaves out.
DEFAULT_MAX_ONGOING_REQUESTS = 5
DEFAULT_TARGET_ONGOING_REQUESTS = 2

_UNLISTED = "Ray would give it one replica and a whole CPU of its own"


def lint(
    config: Mapping[str, Any],
    *,
    args_model: type[BaseModel] | None = None,
    user_config_models: Mapping[str, type[BaseModel]] | None = None,
    deployments: Collection[str] | None = None,
    in_ingress: Collection[str] = (),
) -> list[str]:
    """
    Everything that Ray would refuse, ignore or regret about ``config``.

    Args:
        config: the parsed file, in the form of ``ray.serve.schema.ServeDeploySchema``.
        args_model: what ``args`` of an application has to be; None leaves it unchecked.
        user_config_models: by deployment, what its ``user_config`` has to be, every other
            deployment taking none; None leaves it unchecked.
        deployments: every name that the application has; None leaves names unchecked.
        in_ingress: stages that are placed in the ingress and therefore are no deployments.

    Returns:
        One sentence per place, e.g. ``applications[0].deployments[2].autoscaling_config.
        max_replica: unknown key; did you mean max_replicas?``. Empty when nothing is wrong.
    """
    problems = faults(config, ServeDeploySchema, ())
    if accepts(ServeDeploySchema, config):
        app = _Application(args_model, user_config_models, deployments, in_ingress)
        problems += _unfit(config, app)
    return [f"{written(place)}: {message}" for place, message in problems]


def load_yaml(path: Path) -> dict[str, Any]:
    """
    A YAML file whose top is a mapping.

    Raises:
        SettingsInvalid: no such file, not YAML, a key twice, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsInvalid(str(path), "no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(str(path), f"cannot be read: {error}") from error
    try:
        content = yaml.load(text, Loader=_EachKeyOnce)
    except yaml.YAMLError as error:
        raise SettingsInvalid(str(path), " ".join(str(error).split())) from error
    if not isinstance(content, dict):
        raise SettingsInvalid(str(path), "must be a mapping of keys to values")
    return content


@dataclass(frozen=True, slots=True)
class _Application:
    args_model: type[BaseModel] | None
    user_config_models: Mapping[str, type[BaseModel]] | None
    deployments: Collection[str] | None
    in_ingress: Collection[str]


def _unfit(config: Mapping[str, Any], app: _Application) -> Iterator[Problem]:
    """What Ray cannot know: whether all this fits the application."""
    for i, application in enumerate(config.get("applications") or []):
        place: Place = ("applications", i)
        if app.args_model is not None:
            args, args_place = application.get("args") or {}, (*place, "args")
            yield from faults(args, app.args_model, args_place)
        listed = application.get("deployments") or []
        names = [options.get("name") for options in listed]
        for j, options in enumerate(listed):
            yield from _unfit_deployment(options, names[:j], app, (*place, "deployments", j))
        for missing in sorted(set(app.deployments or ()) - set(names)):
            yield (*place, "deployments"), f"{missing} is not listed: {_UNLISTED}"


def _unfit_deployment(
    options: Mapping[str, Any], earlier: Sequence[str], app: _Application, place: Place
) -> Iterator[Problem]:
    name = options.get("name")
    if name in earlier:
        yield (*place, "name"), f"{name} stands here a second time"
    if name in app.in_ingress:
        yield (*place, "name"), f"{name} lives in the ingress by args.placement: leave it out here"
    elif app.deployments is not None and name not in app.deployments:
        yield (*place, "name"), f"no such deployment; {near(name, app.deployments)}"
    user_config = options.get("user_config")
    if app.user_config_models is not None and user_config is not None:
        if model := app.user_config_models.get(str(name)):
            yield from faults(user_config, model, (*place, "user_config"))
        else:
            yield (*place, "user_config"), f"{name} takes none"
    yield from _unscalable(options, place)


def _unscalable(options: Mapping[str, Any], place: Place) -> Iterator[Problem]:
    autoscaling = options.get("autoscaling_config")
    # Ray's schema takes any mapping here; what it lacks for Ray's own class is told by now.
    if not autoscaling or not accepts(AutoscalingConfig, autoscaling):
        return
    ongoing = options.get("max_ongoing_requests", DEFAULT_MAX_ONGOING_REQUESTS)
    target = autoscaling.get("target_ongoing_requests", DEFAULT_TARGET_ONGOING_REQUESTS)
    if target is None:
        yield (
            (*place, "autoscaling_config", "target_ongoing_requests"),
            "must be a number above 0: Ray takes null, and fails when it scales",
        )
    elif ongoing < target:
        yield (
            (*place, "max_ongoing_requests"),
            f"{ongoing} is below target_ongoing_requests {target}: it would never scale up",
        )


class _EachKeyOnce(yaml.SafeLoader):
    """YAML's safe loader, which would let the last of two equal keys win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, n in Counter(keys).items():
            if n > 1 and key != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands {n} times", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)
