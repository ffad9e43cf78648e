"""Terminal parts that commands and flows share: options, progress, tables, exit codes."""
