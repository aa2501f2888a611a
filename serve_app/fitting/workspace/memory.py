"""Gives memory that was freed back to the system."""

import ctypes


def give_back_freed() -> None:
    """Without it, the C library keeps freed pages that lie between others for later arrays.

    The largest step of a fit would be charged with what earlier ones have left behind.
    """
    # glibc alone has the function. Other libraries give pages back by themselves.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
