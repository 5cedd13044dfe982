"""Other eyes: the logs of other tools, read as they grow, to connection records and alerts.

`events` says what a parser is and what it gives; one module per kind of log parses it; `tail`
follows files; `intake` makes records. Parsers are found by entry points (`registry`).
"""
