"""Whatever commands and flows share on a terminal: options, progress, tables, exit codes."""
