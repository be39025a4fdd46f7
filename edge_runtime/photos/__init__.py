"""Photos: which of them a command line names, and their pixels."""
