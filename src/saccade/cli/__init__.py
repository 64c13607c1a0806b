"""The command line: one file a verb; parse, call the public API, print."""
