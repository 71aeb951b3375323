"""Processes: a mailbox and a callback object that do one thing at a time, and those who restart them."""
