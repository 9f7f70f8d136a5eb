"""The peers of `make bench-rabbitmq`: what a Python team would use otherwise, each at its best sensible setting.

All of them: persistent messages of 1 KB, a quorum queue, publisher confirms, an acknowledgement after the handler.
They live in an environment of their own (`.venv-bench`, from tests/load/requirements.lock).
"""
