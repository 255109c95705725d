"""One file per command of docs/reference/commands.md."""
