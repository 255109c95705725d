"""Backups: one folder with the whole database as a SQLite file and the home's files, all hashed."""
