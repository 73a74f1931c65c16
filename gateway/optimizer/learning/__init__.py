"""Learning from a recorded history: models, decisions by them, and replays. The serving process never loads it."""
