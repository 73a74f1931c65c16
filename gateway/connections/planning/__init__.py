"""Plans: settings drawn from who works with whom, tried one at a time, measured, and kept or rolled back."""
