"""Everything that moves or keeps a message durably: the broker port and its engines, and the store.

Read `life.py` first: it is the life of one message, from delivery to settlement.
"""
