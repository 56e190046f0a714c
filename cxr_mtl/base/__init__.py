"""What every package stands on: errors, files, progress, processes, fingerprints."""
