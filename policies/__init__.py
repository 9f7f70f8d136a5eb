"""Pure decisions: facts in, decision out. No I/O, no clock, no asyncio, no driver; now and random come in."""
