"""From a filter in a request to the items that it allows.

Says which items may be shown. Says nothing about their order.
"""
