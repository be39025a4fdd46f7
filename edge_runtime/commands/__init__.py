"""The subcommands of ``edge-classify``, one a module."""
