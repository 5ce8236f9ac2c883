"""What is done: from studies to statements about them."""
