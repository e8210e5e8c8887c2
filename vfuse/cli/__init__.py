"""The command line: one file per subcommand; the only place that prints or decides an exit code."""
