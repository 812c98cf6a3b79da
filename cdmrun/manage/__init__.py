"""What people do with results: compare, accept, collect garbage, watch, begin. Knows files and plans; not torch."""
