"""What people do to a running application and its data, without the command line.

Prints nothing and parses no arguments.
"""
