"""Surge packs: seeded, sized, with the outcome that is expected of each message."""

from ops.packs.generate import PACKS, UnknownPack, generate
from ops.packs.message import Expected, Lane, PackMessage

__all__ = ["PACKS", "Expected", "Lane", "PackMessage", "UnknownPack", "generate"]
