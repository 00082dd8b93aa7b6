"""Reports: an evaluation drawn for a reader. They see scores, never rows."""
