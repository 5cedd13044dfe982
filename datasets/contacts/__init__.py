"""Contacts: who probed which gateway when, from logs of several sensors."""
