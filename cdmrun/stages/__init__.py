"""What one job does: read files, call the science, write files and a manifest."""
