"""Takes what a shop reports, describes or deletes to the stage ShopWriter.

Nothing here is part of an answer to a question for a list.
"""
