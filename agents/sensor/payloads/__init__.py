"""What payloads tell: refused logins, requests, marks of attacks."""
