"""Where messages come in: every door hands what it read to the same desk."""
