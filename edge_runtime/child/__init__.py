"""Work in a child process, and both sides of the talk with it."""
