"""What the command line offers, a module for each kind of command; `cdmrun.cli` puts them behind one door.

Nothing heavy is imported before a command needs it, so that help is instant.
"""
