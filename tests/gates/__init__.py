"""Gates that are measured by a command: lines that tests reach, changes that tests notice."""
