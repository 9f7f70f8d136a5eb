"""A sandbox ERP, and the systems beside it: real HTTP servers with their own ledger, limits and log.

Each runs as its own process (`python -m ops.sandbox`) and knows nothing of the software that calls it, so
that what its log says is the evidence of a stranger. `ops.sandbox.process` starts and stops it.
"""
