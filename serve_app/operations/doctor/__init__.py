"""The checks of ``recserve doctor``: of files, stores, and the running service.

Repairs nothing, and changes nothing.
"""
