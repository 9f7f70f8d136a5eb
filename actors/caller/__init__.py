"""The caller: carries out calls to one outside system within its budget. Read `poster.py` first."""
