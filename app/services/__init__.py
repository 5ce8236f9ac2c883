"""What pages and workers ask for, without torch and without SQL: cases taken in, their priority, jobs."""
