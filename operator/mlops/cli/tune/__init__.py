"""`mlops tune`: which window, schedule and limits give a wanted rate of false alarms and a wanted delay."""
