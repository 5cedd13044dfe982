"""Bans across gateways: what is kept of a source, whom a policy bans, and for how long.

After Scanlan, Lorimer, Hartnett and Manderson, "A Context Aware Attack Detection System Across
Multiple Gateways", section 4; docs/bans.md says where the paper leaves a choice, and which is made.
"""
