"""What `denselens demo` shows: one module per task."""
