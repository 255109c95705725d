"""One file per command of docs/commands.md."""
