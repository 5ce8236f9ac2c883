"""What is remembered: cases, reviews, jobs and the log of who did what. The only room where SQL is spoken."""
