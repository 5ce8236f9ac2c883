"""HTTP routes of the review app: pixels, tiles, masks, exports and uploads, each behind a token."""
