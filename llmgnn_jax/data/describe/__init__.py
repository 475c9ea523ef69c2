"""What a data set is like: counts, spreads, texts, relations, cold parts, leaks.

No external id of a user is in a description, nor any text that one wrote.
"""
