"""What a model file says about itself, so that one file is enough. One module a kind of file."""
