"""From scores to what people read: long-form CSV, summaries, tables, figures and one self-contained HTML page.

Reads products of a results folder and a `Plan`; imports the spec's plan types and nothing of the science.
"""
