"""Chooses the experiment, so that all replicas of the ingress have the same one.

A valid ``user_config`` comes to every replica from Serve. A refused one says nothing, and each
replica would keep what it happens to have. Therefore the accepted experiment lies beside the
bundles: replicas that refused their ``user_config`` use it, new ones included.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from serve_app.background import ChangeLogger, RepeatedStep
from serve_app.bundles.bundle_shelf import POLL_S
from serve_app.bundles.roots import BundleLocation, open_root
from serve_app.domain.assignment import Experiment
from serve_app.errors import OperatorError, StageFailed
from serve_app.serving.config import IngressConfig

ACCEPTED = "experiment.json"
"""File in the root of bundles with the last ``user_config`` that was accepted."""

_logger = logging.getLogger("ray.serve.recserve.ingress")


class ExperimentInUse:
    """The experiment of one replica.

    Attributes:
        experiment: assigns the variants.
    """

    def __init__(self, location: BundleLocation, variants: Sequence[str]) -> None:
        self._location = location
        self._variants = tuple(variants)
        self._default = Experiment(salt="recserve", weights={variants[0]: 1.0})
        self.experiment = self._default
        self._refusal: str | None = None
        # The content of ``ACCEPTED``, as far as this replica knows it.
        self._accepted: bytes | None = None
        self._unkept: bytes | None = None
        self._store_fault: str | None = None
        self._problems = ChangeLogger(_logger.error)
        self._repeated = RepeatedStep(self._look)

    def take(self, user_config: Mapping[str, Any] | None) -> None:
        """Uses a ``user_config``; if it is not valid, uses the accepted one.

        Args:
            user_config: ``None`` gives all users the first variant.
        """
        try:
            self.experiment = self._parsed(user_config)
        except ValueError as error:
            # Raising would make the replica unhealthy, because of one wrong weight.
            self._refusal = _one_line(error)
            self._problems.log("refusal", self._fault(self._refusal))
            self._use_accepted()
            return
        self._refusal = None
        self._problems.resolved("refusal")
        self._accepted = self._unkept = json.dumps(user_config, sort_keys=True).encode()
        self._keep(self._unkept)
        _logger.info("experiment in use: %s", dict(self.experiment.weights))

    def follow(self) -> None:
        """Starts to follow what other replicas accept; needs a running event loop."""
        self._repeated.start(POLL_S)

    def faults(self) -> list[str]:
        """Says why another experiment is in use than the configured one. Usually empty."""
        refused = [self._fault(self._refusal)] if self._refusal else []
        return refused + ([self._store_fault] if self._store_fault else [])

    async def _look(self) -> None:
        # All replicas that refuse read one file: they agree even if they accepted different ones.
        if self._refusal is not None:
            await asyncio.to_thread(self._use_accepted)
        elif self._unkept is not None:
            await asyncio.to_thread(self._keep, self._unkept)

    def _parsed(self, user_config: Mapping[str, Any] | None) -> Experiment:
        if user_config is None:
            return self._default
        return IngressConfig.model_validate(user_config).check(self._variants).experiment

    def _use_accepted(self) -> None:
        content = self._stored()
        if content is not None and self._adopt(content):
            self._accepted = content
        elif self._accepted is not None:
            # The file is lost or damaged. New replicas need it, to agree with this one.
            self._keep(self._accepted)

    def _adopt(self, content: bytes) -> bool:
        try:
            self.experiment = self._parsed(json.loads(content))
        # RecursionError: JSON of very many levels.
        except (ValueError, RecursionError) as error:
            self._note(f"the accepted experiment cannot be used: {_one_line(error)}")
            return False
        return True

    def _keep(self, content: bytes) -> None:
        try:
            if self._stored() != content:
                open_root(self._location.root).write(ACCEPTED, content)
        except FileNotFoundError:
            # Nothing is published yet: without a bundle there are no answers, and no folder.
            return
        except (OSError, OperatorError, StageFailed) as error:
            self._note(f"the accepted experiment cannot be stored: {error}")
            return
        self._unkept = None

    def _stored(self) -> bytes | None:
        try:
            content = open_root(self._location.root).read(ACCEPTED)
        except (OSError, OperatorError, StageFailed) as error:
            self._note(f"the accepted experiment cannot be read: {error}")
            return None
        self._store_fault = None
        return content

    def _note(self, fault: str) -> None:
        self._store_fault = fault
        self._problems.log("store", fault)

    def _fault(self, refusal: str) -> str:
        return f"user_config of Ingress is not used, the accepted one stays: {refusal}"


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
