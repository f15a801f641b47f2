"""The commands, one a file: ``add_arguments`` says what a command takes, ``call`` does it and prints."""
