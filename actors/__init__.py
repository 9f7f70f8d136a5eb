"""The actors, the runtime they run in, and the tree that supervises them (read `tree.py`)."""
