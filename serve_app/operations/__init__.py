"""Operates a running application and its data, without the command line.

Nothing here prints or parses arguments: functions return text or report through callbacks.
"""
