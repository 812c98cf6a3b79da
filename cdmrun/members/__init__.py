"""The members of cdmrun: every module here has ``MEMBERS``, a tuple of `cdmrun.registry.Member`.

A module here is imported whenever specs are read, so it imports neither numpy nor torch at its top. A new member may
be one file: its declaration, and functions that import what they need.
"""
