"""The contracts room: what may be said between systems, and what each word of it means. Pure, no I/O."""
