"""The certificate's own hash, so that a changed certificate shows.

SHA-256 over canonical JSON (keys sorted, no white space, UTF-8) of the certificate without `sha256`.
A certificate holds the hashes of the files that it was made from, so log, list and statement are one chain.
"""

import hashlib

import msgspec

from ops.certificate.model import Certificate


def seal(certificate: Certificate) -> Certificate:
    """The same certificate with its hash."""
    return msgspec.structs.replace(certificate, sha256=_digest(certificate))


def seal_holds(certificate: Certificate) -> bool:
    """Whether the certificate is as it was when it was sealed."""
    return certificate.sha256 == _digest(certificate)


def _digest(certificate: Certificate) -> str:
    body = msgspec.to_builtins(certificate)
    del body["sha256"]
    return hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
