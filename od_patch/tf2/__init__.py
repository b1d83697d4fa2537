"""What only the TensorFlow 2 half of the Object Detection API has: told from the other half, built, traced."""
