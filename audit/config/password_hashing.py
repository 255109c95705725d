"""How passwords are stored: Argon2id, with what OWASP asks for at least."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2id(Argon2PasswordHasher):
    """19 MiB of memory, two passes, one lane: OWASP's Password Storage Cheat Sheet, Argon2id.

    Django's own figures take six times the processor and five times the memory a log-in. Every
    password that a stranger sends costs that much, and the desk's people wait for it.
    """

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1
