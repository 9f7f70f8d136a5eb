"""The HTTP door: CloudEvents in, status out, operator verbs behind a token."""
