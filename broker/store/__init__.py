"""The durable store: one writer, group commit, one transaction for all effects of a message."""
