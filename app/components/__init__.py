"""What pages draw values with; components know neither services nor the store."""
