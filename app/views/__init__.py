"""The pages of the review app, one file each: `render(services)`."""
