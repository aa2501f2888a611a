"""Calls ShopWriter within a deadline; a call without an answer is an outcome, not an error."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from serve_app.domain.posts import NotWritten
from serve_app.errors import StageFailed
from serve_app.serving.pipeline import WRITER
from serve_app.telemetry.counting import Telemetry

Result = TypeVar("Result")


async def ask_writer(
    call: Awaitable[Result], deadline_s: float, telemetry: Telemetry
) -> Result | NotWritten:
    """Awaits an answer of ShopWriter, and counts its time."""
    started_at = time.perf_counter()
    try:
        async with asyncio.timeout(deadline_s):
            return await call
    except TimeoutError:
        return NotWritten("timed_out")
    except StageFailed as failure:
        return NotWritten(failure.reason)
    finally:
        telemetry.stage(WRITER, time.perf_counter() - started_at)
