"""Django's SQLite back end for many writers; `ENGINE` in the settings names this package."""
