"""The console: REST, server-sent events and one page, in the supervisor's own event loop.

Alerts carry text that attackers wrote, and this page can lift blocks. So there is no third-party
script, no inline script or style, and text reaches the page as text nodes only.
"""
