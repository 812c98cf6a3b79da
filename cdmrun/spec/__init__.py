"""Spec → plan, as pure functions: load, extend, expand the matrix, validate, resolve, name by identity, plan.

Imports nothing of the science and nothing heavy; the command line, the Snakefile, the stages and the report
stand on it.
"""
