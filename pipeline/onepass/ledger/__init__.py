"""What was trained, kept so that nothing is lost and nothing is trained twice."""
