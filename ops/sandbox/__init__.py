"""A sandbox ERP: a real HTTP server with its own ledger, its own limits and its own log.

It runs as its own process (`python -m ops.sandbox`) and knows nothing of the software that calls it, so
that what its log says is the evidence of a stranger. `ops.sandbox.process` starts and stops it.
"""
