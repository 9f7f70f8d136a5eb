"""One adapter per outside system. An adapter speaks the system's protocol and nothing else decides anything here."""
