"""The configuration: its sections, their comments, and reading and writing them as YAML."""
