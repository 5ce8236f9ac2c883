"""What an image is and where images come from."""
