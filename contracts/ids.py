"""Identities that can be computed again from what they identify."""

from hashlib import blake2b
from typing import Final

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # base 32 without I L O U, safe to read aloud
_CHARACTERS: Final = 20  # 100 bits: a collision among 10**9 intents has a chance below 10**-12
_BYTES: Final = 13


def intent_id(tenant: str, workflow: str, business_key: str, prefix: str = "CR") -> str:
    """The identity of one business effect for life, such as CR-4M0C7Z... (prefix, dash, 20 characters).

    The same three parts always give the same id; it is idempotency key and reference at the ERP.
    """
    digest = blake2b(digest_size=_BYTES)
    for part in (tenant, workflow, business_key):
        text = part.encode()
        digest.update(len(text).to_bytes(4, "big") + text)
    number = int.from_bytes(digest.digest(), "big")
    return prefix + "-" + "".join(_CROCKFORD[number >> 5 * place & 31] for place in range(_CHARACTERS))
