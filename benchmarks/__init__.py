"""What do the trainer's own parts gain over the plain ways? Speed and memory, measured on demand; never a test."""
