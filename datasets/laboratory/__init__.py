"""Network namespaces in which real tools attack real services, and nothing leaves the machine."""
