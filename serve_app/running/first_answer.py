"""Describes a service that has just started: its address, a request to try, and a first answer."""

import json
import shlex
from typing import Any

import requests
from pydantic import BaseModel, ValidationError

from serve_app.running.text_table import aligned

PATH = "/recommendations"
N_SHOWN = 5
TIMEOUT_S = 10.0
"""Longer than a request usually takes: the first one may open stores and fill caches."""


class _Item(BaseModel):
    item_id: str
    reason: str
    metadata: dict[str, Any] | None = None


class _Answer(BaseModel):
    """The fields of an answer that are shown."""

    recommendations: list[_Item]
    model_used: str
    degraded: list[str]


def ready_message(base_url: str, user_id: str) -> str:
    """Describes the address, a request for a shell, and the answer to a first request."""
    body = shlex.quote(json.dumps({"user_id": user_id}))
    return (
        f"recserve answers at {base_url} (documentation: {base_url}/docs)\n"
        f"  curl -s {base_url}{PATH} -H 'content-type: application/json' -d {body}\n"
        f"{first_answer(base_url, user_id)}"
    )


def first_answer(base_url: str, user_id: str) -> str:
    """Asks the service once for recommendations and formats them.

    Returns:
        A title and a table of items, or a sentence that says why there are none.
    """
    body = {"user_id": user_id, "n": N_SHOWN, "include_metadata": True}
    try:
        response = requests.post(f"{base_url}{PATH}", json=body, timeout=TIMEOUT_S)
        response.raise_for_status()
        answer = _Answer.model_validate(response.json())
    # A failed first request is reported, but never ends a service that has just started.
    except requests.RequestException as error:
        return _failed(user_id, str(error))
    except ValidationError:
        return _failed(user_id, "the answer is not one of recserve's")
    return _format(answer, user_id)


def _failed(user_id: str, reason: str) -> str:
    return f"the first request for user {user_id} failed: {reason}; see `recserve status`"


def _format(answer: _Answer, user_id: str) -> str:
    degraded = ", ".join(answer.degraded)
    note = f" (degraded: {degraded}; see docs/runbook.md)" if degraded else ""
    items = answer.recommendations
    if not items:
        return f"there is nothing to recommend to user {user_id} yet{note}: run `recserve fit`"
    title = f"recommendations for user {user_id}, variant {answer.model_used}{note}:"
    rows = [
        (str(i), item.item_id, str((item.metadata or {}).get("title") or ""), item.reason)
        for i, item in enumerate(items, start=1)
    ]
    return f"{title}\n{aligned(('', 'item', 'title', 'reason'), rows)}"
