"""The actor runtime: clock, entropy, mailboxes, supervision. It knows nothing of messages or money."""
